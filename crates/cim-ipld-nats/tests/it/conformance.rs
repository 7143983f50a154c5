//! The conformance suite on one server, with buckets in files and in memory.

use std::sync::{Arc, Mutex};

use cim_ipld_backend_testkit::conformance::{self, Fixture};
use cim_ipld_nats::{NatsBackend, NatsSettings};

use crate::support::{connect, connect_with, server};

/// Buckets in files are reopened after the server was killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_with_files_conforms() {
    let server = Arc::new(Mutex::new(server()));
    conformance::run(async || {
        let url = server.lock().expect("not poisoned").url();
        let killed = Arc::clone(&server);
        Fixture::new(NatsBackend::connect(&url).await.expect("connected")).reopened_by(async move || {
            killed.lock().expect("not poisoned").restart();
            NatsBackend::connect(&url).await.expect("connected")
        })
    })
    .await;
}

/// Buckets in memory exist as long as the server runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_with_memory_conforms() {
    let server = Arc::new(server());
    let mut settings = NatsSettings::default();
    settings.in_memory = true;
    conformance::run(async || {
        let (again, same) = (Arc::clone(&server), settings.clone());
        let backend = connect_with(&server, settings.clone()).await;
        Fixture::new(backend).reopened_by(async move || connect_with(&again, same).await)
    })
    .await;
}

/// An existing context works as well as a connection made by the backend.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_of_the_callers_conforms() {
    let server = server();
    let jetstream = crate::support::jetstream(&server).await;
    conformance::run(async || Fixture::new(NatsBackend::new(jetstream.clone()))).await;
    drop(connect(&server).await);
}
