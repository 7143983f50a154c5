//! The server, connection and bucket that every test uses.

use std::time::Duration;

use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Error, Key, KeyedEntry, Precondition, Result, Revision, WatchEvent, WatchStream,
};
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use cim_ipld_nats::{NatsBackend, NatsSettings};
use futures::StreamExt;

/// The time limit for anything that is not expected to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn server() -> NatsServer {
    NatsServer::start(ServerOptions::default())
}

/// Settings with short timeouts.
pub(crate) fn hasty() -> NatsSettings {
    let mut settings = NatsSettings::default();
    settings.ack_timeout_ms = 300;
    settings.request_timeout_ms = 300;
    settings.patience_ms = 600;
    settings
}

pub(crate) async fn connect(server: &NatsServer) -> NatsBackend {
    NatsBackend::connect(&server.url()).await.expect("connected")
}

pub(crate) async fn connect_with(server: &NatsServer, settings: NatsSettings) -> NatsBackend {
    NatsBackend::connect_with(&server.url(), settings).await.expect("connected")
}

/// JetStream without the backend.
pub(crate) async fn jetstream(server: &NatsServer) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(server.url()).await.expect("connected"))
}

pub(crate) fn log() -> Bucket {
    Bucket::log("catalog_v1").expect("a name")
}

pub(crate) fn objects() -> Bucket {
    Bucket::objects("text_index_v1").expect("a name")
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).expect("a key")
}

pub(crate) async fn put(backend: &NatsBackend, bucket: &Bucket, name: &str, value: &str) -> Result<Revision> {
    backend.put(bucket, &key(name), Bytes::copy_from_slice(value.as_bytes()), Precondition::Any).await
}

pub(crate) async fn value(backend: &NatsBackend, bucket: &Bucket, name: &str) -> Result<Option<String>> {
    let entry = backend.get(bucket, &key(name)).await?;
    Ok(entry.map(|entry| String::from_utf8(entry.value.to_vec()).expect("text")))
}

/// Retries a read until the server responds again.
pub(crate) async fn value_at_last(backend: &NatsBackend, bucket: &Bucket, name: &str) -> Option<String> {
    let reading = async {
        loop {
            match value(backend, bucket, name).await {
                Ok(value) => return value,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the server answers again")
}

pub(crate) async fn next(watch: &mut WatchStream) -> std::result::Result<WatchEvent, Error> {
    tokio::time::timeout(PATIENCE, watch.next())
        .await
        .expect("the watch delivers an event")
        .expect("a watch does not end")
}

/// Collects entries up to the one with that key.
pub(crate) async fn entries_until(watch: &mut WatchStream, name: &str) -> Vec<KeyedEntry> {
    let mut entries: Vec<KeyedEntry> = Vec::new();
    while entries.last().is_none_or(|last| last.key.as_str() != name) {
        if let WatchEvent::Entry(entry) = next(watch).await.expect("the watch continues") {
            entries.push(entry);
        }
    }
    entries
}

pub(crate) fn names(entries: &[KeyedEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}
