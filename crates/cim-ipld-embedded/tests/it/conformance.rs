//! The storage contract holds, with either durability, and across closing and opening.

use cim_ipld_backend::Durability;
use cim_ipld_backend_testkit::conformance::{self, Fixture};
use cim_ipld_embedded::{EmbeddedBackend, EmbeddedSettings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_backend_conforms() {
    // Outlives every store: an open one still opens files by their names.
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
