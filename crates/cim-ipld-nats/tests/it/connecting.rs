//! Connecting with each kind of credentials, and the errors when it fails.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cim_ipld_backend::{Backend, Error, ErrorKind};
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use cim_ipld_nats::{NatsBackend, NatsConnection, NatsSettings};

use crate::support::{hasty, log, objects, put, value};

type Identify = fn(NatsConnection) -> NatsConnection;

/// Returns a local port without a listener.
const NOBODY: &str = "127.0.0.1:1";

fn identity(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/identities").join(name)
}

fn started(config: &str) -> NatsServer {
    NatsServer::start(ServerOptions { config: config.to_owned(), ..ServerOptions::default() })
}

fn address(server: &NatsServer) -> String {
    server.url().split_once("://").expect("a URL").1.to_owned()
}

fn to(server: &NatsServer) -> NatsConnection {
    NatsConnection::to(&server.url()).expect("a URL")
}

/// Creates a bucket over the connection and reads back a written value.
async fn works(connection: &NatsConnection) -> Result<(), Error> {
    let backend = NatsBackend::connect_to(connection, NatsSettings::default()).await?;
    backend.create(&log()).await?;
    put(&backend, &log(), "a", "b").await?;
    assert_eq!(value(&backend, &log(), "a").await?.as_deref(), Some("b"));
    Ok(())
}

fn tls(more: &str) -> String {
    let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| identity(name).display().to_string());
    format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\", ca_file: \"{ca}\", {more} }}")
}

#[tokio::test]
async fn the_first_server_that_answers_is_used() {
    let server = started("");
    let there = address(&server);
    for list in [format!("nats://{NOBODY},{there}"), format!("nats://{there},nats://{NOBODY}")] {
        works(&NatsConnection::to(&list).expect("a list")).await.unwrap_or_else(|error| panic!("{list}: {error:?}"));
    }
}

#[tokio::test]
async fn each_way_to_identify_opens_what_it_should_and_no_other_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let user = "authorization { user: ann, password: \"p@ss\" }";
    let nkey = std::fs::read_to_string(identity("user.pub")).expect("a key");
    let nkey = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", nkey.trim());
    let operator = std::fs::read_to_string(identity("operator.conf")).expect("a configuration");
    let none = |connection: NatsConnection| connection;
    let cases: [(&str, &str, Identify); 4] = [
        ("user", user, |connection| connection.user_and_password("ann", "p@ss".to_owned().into())),
        ("token", "authorization { token: t0ken }", |connection| connection.token("t0ken".to_owned().into())),
        ("nkey", &nkey, |connection| connection.nkey_file(identity("user.nk"))),
        ("credentials", &operator, |connection| connection.credentials_file(identity("user.creds"))),
    ];
    for (name, config, identify) in cases {
        let server = started(config);
        works(&identify(to(&server))).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        for wrong in [none(to(&server)), to(&server).token("wrong".to_owned().into())] {
            let refused = works(&wrong).await.expect_err(name);
            assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{name}: {refused:?}");
        }
    }
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").expect("written");
    let server = started("");
    for wrong in [to(&server).credentials_file(&empty), to(&server).nkey_file(&empty), to(&server).ca_file("none.pem")]
    {
        let refused = works(&wrong).await.expect_err("no such file");
        assert_eq!(refused.kind(), ErrorKind::InvalidSettings, "{refused:?}");
    }
}

#[tokio::test]
async fn tls_needs_an_authority_that_is_trusted_and_shows_a_certificate() {
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(identity);
    let server = started(&tls(""));
    let url = format!("tls://localhost:{}", address(&server).rsplit_once(':').expect("a port").1);
    let secure = || NatsConnection::to(&url).expect("a URL");
    works(&secure().ca_file(&ca)).await.expect("the authority is trusted");
    let refused = works(&secure()).await.expect_err("nobody knows the authority");
    assert_eq!(refused.kind(), ErrorKind::Untrusted, "{refused:?}");
    assert!(refused.to_string().contains("certificate") && refused.hint().contains("authority"), "{refused:?}");

    let plain = started("");
    let refused = works(&NatsConnection::to(&format!("tls://{}", address(&plain))).expect("a URL").ca_file(&ca)).await;
    let refused = refused.expect_err("the server has no TLS");
    assert_eq!(refused.kind(), ErrorKind::Untrusted, "{refused:?}");
    assert!(refused.to_string().contains("does not speak TLS"), "{refused:?}");

    let server = started(&tls("verify: true, handshake_first: true"));
    let secure = || NatsConnection::to(&format!("tls://{}", address(&server))).expect("a URL").ca_file(&ca).tls_first();
    works(&secure().client_certificate(&cert, &key)).await.expect("the certificate is accepted");
    let refused = works(&secure()).await.expect_err("no certificate was shown");
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused:?}");
}

#[tokio::test]
async fn prefixes_and_domains_are_used_for_everything() {
    let domain = ServerOptions { jetstream: "domain: hub".to_owned(), ..ServerOptions::default() };
    let server = NatsServer::start(domain);
    works(&to(&server).domain("hub").expect("a domain")).await.expect("the domain is there");
    let inbox = started(
        r#"authorization { users: [ { user: a, password: a, permissions: { subscribe: { allow: ["_IN.a.>"] } } } ] }"#,
    );
    let as_a = || to(&inbox).user_and_password("a", "a".to_owned().into());
    works(&as_a().inbox_prefix("_IN.a").expect("a subject")).await.expect("the inbox is allowed");
    let began = Instant::now();
    let refused = works(&as_a()).await.expect_err("no answer can arrive");
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused:?}");
    assert!(refused.to_string().contains("inbox") && began.elapsed() < Duration::from_secs(3), "{refused:?}");
    for wrong in ["", "a b", "a..b", "a.>"] {
        assert!(to(&inbox).api_prefix(wrong).is_err() && to(&inbox).inbox_prefix(wrong).is_err(), "{wrong:?}");
    }
    assert!(to(&inbox).domain("a.b").is_err());
}

/// A denied write names its subject, also with the API prefix of a domain.
#[tokio::test]
async fn a_refusal_in_a_domain_is_heard() {
    let config = r#"authorization { users: [ { user: a, password: a,
        permissions: { publish: { deny: ["$KV.>"] } } } ] }"#;
    let options =
        ServerOptions { jetstream: "domain: hub".to_owned(), config: config.to_owned(), ..ServerOptions::default() };
    let server = NatsServer::start(options);
    let connection = to(&server).user_and_password("a", "a".to_owned().into()).domain("hub").expect("a domain");
    let mut settings = NatsSettings::default();
    settings.ack_timeout_ms = 600_000;
    let backend = NatsBackend::connect_to(&connection, settings).await.expect("connected");
    backend.create(&log()).await.expect("made");
    let refused = put(&backend, &log(), "a", "b").await.expect_err("it may not publish");
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused:?}");
    assert!(refused.to_string().contains("$KV.catalog_v1.a"), "{refused:?}");
}

#[tokio::test]
async fn reasons_are_told_apart_at_once() {
    let accounts = r#"accounts { A: { users: [ { user: a, password: a } ] }, B: { jetstream: enabled, users: [ { user: b, password: b } ] } }"#;
    let no_jetstream = started(accounts);
    let limited = |limits: &str| {
        started(&format!("accounts {{ B: {{ jetstream: {{ {limits} }}, users: [ {{ user: a, password: a }} ] }} }}"))
    };
    let (few, sized) = (limited("max_streams: 1, max_file: 1GB"), limited("max_bytes_required: true"));
    let as_a = |server: &NatsServer| server.url().replace("nats://", "nats://a:a@");
    for (url, kind, error, hint) in [
        (format!("nats://{NOBODY}"), ErrorKind::Unavailable, "refused", "start a server"),
        ("nats://no-such-host.invalid".to_owned(), ErrorKind::Unavailable, "name", "host name"),
        (as_a(&no_jetstream), ErrorKind::Disabled, "JetStream not enabled for account", "turn JetStream on"),
        (as_a(&few), ErrorKind::Full, "maximum number of streams", "raise the limit"),
        (as_a(&sized), ErrorKind::Incompatible, "max bytes", "maximum size"),
    ] {
        let began = Instant::now();
        let connected = NatsBackend::connect_with(&url, hasty()).await;
        let refused = match connected {
            Ok(backend) => {
                let first = backend.create(&log()).await;
                first.and(backend.create(&objects()).await).expect_err("refused")
            }
            Err(error) => error,
        };
        assert_eq!(refused.kind(), kind, "{url}: {refused:?}");
        assert!(
            refused.to_string().contains(error) && refused.hint().contains(hint),
            "{url}: {refused:?} {}",
            refused.hint()
        );
        assert!(began.elapsed() < Duration::from_secs(5), "{url}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn buckets_are_made_as_asked() {
    let server = started("server_tags: [ssd]");
    let mut settings = NatsSettings::default();
    settings.in_memory = true;
    settings.max_bytes = Some(1 << 20);
    settings.placement_tags = vec!["ssd".to_owned()];
    let backend = NatsBackend::connect_to(&to(&server), settings.clone()).await.expect("connected");
    backend.create(&log()).await.expect("made");
    let stream = crate::support::jetstream(&server).await.get_stream("KV_catalog_v1").await.expect("it is there");
    let config = &stream.cached_info().config;
    assert_eq!((config.max_bytes, config.storage), (1 << 20, async_nats::jetstream::stream::StorageType::Memory));
    assert_eq!(config.placement.as_ref().map(|placement| placement.tags.clone()), Some(vec!["ssd".to_owned()]));

    // A bucket that exists gets the limit of a later attempt, and keeps it if none is asked for.
    for (asked, expected) in [(Some(2 << 20), 2 << 20), (None, 2 << 20)] {
        settings.max_bytes = asked;
        let backend = NatsBackend::connect_to(&to(&server), settings.clone()).await.expect("connected");
        backend.create(&log()).await.expect("made");
        let stream = crate::support::jetstream(&server).await.get_stream("KV_catalog_v1").await.expect("it is there");
        assert_eq!(stream.cached_info().config.max_bytes, expected, "{asked:?}");
    }

    let refused = NatsBackend::connect(&server.url()).await.expect("connected").create(&log()).await;
    assert_eq!(refused.expect_err("memory was not allowed").kind(), ErrorKind::Incompatible);
    let mut settings = NatsSettings::default();
    settings.allow_in_memory = true;
    let backend = NatsBackend::connect_to(&to(&server), settings).await.expect("connected");
    backend.create(&log()).await.expect("memory is allowed");
    assert_eq!(backend.limits().durability, cim_ipld_backend::Durability::Process);
}
