//! The storage contract holds, with either durability, and across closing and opening.

use cim_ipld_backend::Durability;
use cim_ipld_backend_testkit::conformance::{self, Fixture};
use cim_ipld_embedded::{EmbeddedBackend, EmbeddedSettings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_backend_conforms() {
    for durability in [Durability::PowerLoss, Durability::Crash] {
        conformance::run(async || {
            let folder = tempfile::tempdir().unwrap();
            let mut settings = EmbeddedSettings::default();
            settings.durability = durability;
            let backend = EmbeddedBackend::open_with(folder.path(), settings).await.unwrap();
            Fixture::new(backend).reopened_by(async move || {
                // The folder's name goes when this closure does; the open store goes on without it.
                EmbeddedBackend::open_existing(folder.path()).await.unwrap()
            })
        })
        .await;
    }
}
