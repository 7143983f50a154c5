//! The conformance suite, with both durabilities, and across closing and reopening.

use cim_ipld_backend::Durability;
use cim_ipld_backend_testkit::conformance::{self, Fixture};
use cim_ipld_embedded::{EmbeddedBackend, EmbeddedSettings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_backend_conforms() {
    // Outlives every store, because an open store still opens files by name.
    let root = tempfile::tempdir().unwrap();
    for durability in [Durability::PowerLoss, Durability::Crash] {
        conformance::run(async || {
            let folder = tempfile::tempdir_in(&root).unwrap().keep();
            let mut settings = EmbeddedSettings::default();
            settings.durability = durability;
            let backend = EmbeddedBackend::open_with(&folder, settings).await.unwrap();
            Fixture::new(backend).reopened_by(async move || EmbeddedBackend::open_existing(&folder).await.unwrap())
        })
        .await;
    }
}
