//! Engines, documents and stores for the tests.

use std::sync::Arc;
use std::time::Duration;

use cid::Cid;
use cim_ipld_backend::{Backend, MemoryBackend};
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use cim_ipld_embedded::EmbeddedBackend;
use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, KeySource};
use cim_ipld_index::{Document, Query, SearchOptions, SearchResults};
use cim_ipld_nats::NatsBackend;
use cim_ipld_persistence::{Engine, IndexName, Protection, Result, Settings, content_cid};

/// Returns the key whose bytes are all `byte`.
pub(crate) fn key(byte: u8) -> KeySource {
    KeySource::from(EncryptionKey::from_bytes(EncryptionAlgorithm::AES256GCM, [byte; 32]))
}

pub(crate) fn encrypted() -> Protection {
    Protection::Encrypted { algorithm: EncryptionAlgorithm::AES256GCM, key: key(1) }
}

/// Returns settings under which folds and merges happen only on request.
pub(crate) fn by_hand() -> Settings {
    let mut settings = Settings::default();
    settings.background = false;
    settings.write_timeout = Duration::from_secs(2);
    settings
}

pub(crate) async fn create(backend: &Arc<dyn Backend>) -> Engine {
    Engine::create(Arc::clone(backend), &IndexName::default(), encrypted(), by_hand()).await.expect("created")
}

pub(crate) async fn open(backend: &Arc<dyn Backend>) -> Engine {
    try_open(backend, Some(key(1))).await.expect("opened")
}

pub(crate) async fn try_open(backend: &Arc<dyn Backend>, key: Option<KeySource>) -> Result<Engine> {
    Engine::open(Arc::clone(backend), &IndexName::default(), key, by_hand()).await
}

pub(crate) fn memory() -> Arc<dyn Backend> {
    Arc::new(MemoryBackend::new())
}

pub(crate) fn cid(number: u32) -> Cid {
    content_cid(&number.to_le_bytes())
}

/// Returns a document whose words, tag and type are derived from its number and version.
pub(crate) fn document(number: u32, version: u32) -> Document {
    Document::new(cid(number))
        .with_title(format!("title{number}"))
        .with_author("somebody")
        .with_tag(format!("tag{}", number % 3))
        .with_content_type(if number.is_multiple_of(2) { "text/plain" } else { "text/html" })
        .with_size(u64::from(number))
        .with_text(format!("shared words number{number} version{version} group{}", number % 5))
}

pub(crate) fn documents(numbers: std::ops::Range<u32>) -> Vec<Document> {
    numbers.map(|number| document(number, 0)).collect()
}

pub(crate) async fn search(engine: &Engine, query: &str) -> SearchResults {
    let query = Query::parse(query).expect("a query");
    engine.search(&query, &SearchOptions::default().limit(1000)).await.expect("found")
}

pub(crate) async fn total(engine: &Engine, query: &str) -> u64 {
    search(engine, query).await.total
}

/// Returns the CIDs that a search finds, in ascending order and without scores.
pub(crate) async fn cids(engine: &Engine, query: &str) -> Vec<Cid> {
    let mut cids: Vec<Cid> = search(engine, query).await.hits.into_iter().map(|hit| hit.cid).collect();
    cids.sort();
    cids
}

/// A store that can be closed and reopened, as if by another process.
pub(crate) enum Store {
    Memory(MemoryBackend),
    Embedded(tempfile::TempDir),
    Nats(NatsServer),
}

impl Store {
    /// Returns one store of each kind.
    pub(crate) async fn all() -> Vec<(&'static str, Self)> {
        let folder = tempfile::tempdir().expect("a folder");
        vec![
            ("memory", Self::Memory(MemoryBackend::new())),
            ("embedded", Self::Embedded(folder)),
            ("nats", Self::Nats(NatsServer::start(ServerOptions::default()))),
        ]
    }

    pub(crate) async fn connect(&self) -> Arc<dyn Backend> {
        match self {
            Self::Memory(backend) => Arc::new(backend.clone()),
            Self::Embedded(folder) => {
                Arc::new(EmbeddedBackend::open(folder.path().join("store")).await.expect("the store opens"))
            }
            Self::Nats(server) => Arc::new(NatsBackend::connect(&server.url()).await.expect("connected")),
        }
    }
}
