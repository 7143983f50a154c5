//! A denied permission is reported at once, with its subject.

use cim_ipld_backend::{Backend, ErrorKind, KeyPrefix, Revision};
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use cim_ipld_nats::{NatsBackend, NatsSettings};
use futures::StreamExt;

use crate::support::{connect, log, objects, put, value};

/// Starts a server with one unrestricted user and one that may not publish to `denied`.
fn server(denied: &str) -> NatsServer {
    let config = format!(
        r#"authorization {{ users: [
            {{ user: all, password: all }},
            {{ user: some, password: "p@ss:word", permissions: {{ publish: {{ deny: {denied} }} }} }}
        ] }}
        no_auth_user: all"#
    );
    NatsServer::start(ServerOptions { config, ..ServerOptions::default() })
}

/// Connects as the restricted user, with timeouts long enough that no error comes from one.
async fn limited(server: &NatsServer) -> NatsBackend {
    let mut settings = NatsSettings::default();
    settings.ack_timeout_ms = 600_000;
    settings.request_timeout_ms = 600_000;
    let url = server.url().replace("nats://", "nats://some:p%40ss%3Aword@");
    NatsBackend::connect_with(&url, settings).await.expect("connected")
}

#[tokio::test]
async fn wrong_credentials_are_denied() {
    let server = server("\"nothing\"");
    for user in ["nobody:knows", "some:wrong", "wrong"] {
        let url = server.url().replace("nats://", &format!("nats://{user}@"));
        let error = NatsBackend::connect(&url).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
        assert!(!format!("{error:?}").contains("wrong") && !error.to_string().contains("knows"), "{error:?}");
    }
}

#[tokio::test]
async fn each_call_names_the_subject_that_it_may_not_use() {
    let all = KeyPrefix::all();
    for (denied, call) in [
        ("$KV.catalog_v1.>", "put"),
        ("$JS.API.STREAM.MSG.GET.>", "get"),
        ("$JS.API.STREAM.PURGE.>", "delete"),
        ("$JS.API.CONSUMER.CREATE.>", "scan"),
        ("$JS.API.STREAM.INFO.>", "open"),
    ] {
        let server = server(&format!("\"{denied}\""));
        let owner = connect(&server).await;
        owner.create(&log()).await.expect("created");
        put(&owner, &log(), "key", "value").await.expect("written");
        let backend = limited(&server).await;
        let outcome = match call {
            "put" => put(&backend, &log(), "key", "other").await.map(drop),
            "delete" => backend.delete(&log(), &[crate::support::key("key")]).await,
            "scan" => backend.scan(&log(), &all, Revision::ZERO).next().await.expect("an error").map(drop),
            _ => value(&backend, &log(), "key").await.map(drop),
        };
        let error = outcome.expect_err(call);
        assert_eq!(error.kind(), ErrorKind::Denied, "{call}: {error:?}");
        let subject = denied.trim_end_matches('>');
        assert!(error.to_string().contains(subject), "{call}: {error}");
        assert_eq!(value(&owner, &log(), "key").await.expect("read").as_deref(), Some("value"), "{call}");
    }
}

#[tokio::test]
async fn a_bucket_that_may_not_be_made_is_denied() {
    let server = server("\"$JS.API.STREAM.CREATE.>\"");
    let error = limited(&server).await.create(&log()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
}

/// Without permission for direct reads, objects are read through the leader.
#[tokio::test]
async fn objects_are_read_without_the_right_to_direct_reads() {
    let server = server("\"$JS.API.DIRECT.GET.>\"");
    let backend = limited(&server).await;
    backend.create(&objects()).await.expect("created");
    put(&backend, &objects(), "page", "value").await.expect("written");
    assert_eq!(value(&backend, &objects(), "page").await.expect("read").as_deref(), Some("value"));
}
