//! The catalog of a running process is purged or recreated, a backup is renumbered, or a store is
//! too small. No lost write is acknowledged, and remaining objects are not overwritten.

use std::sync::Arc;

use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, Key, KeyPrefix, Limits, MemoryBackend, Precondition, Revision, WatchStream,
};
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use cim_ipld_index::Document;
use cim_ipld_nats::NatsBackend;
use cim_ipld_persistence::{Engine, ErrorKind, IndexName};

use crate::hand::{BUCKETS, Hand, Held, bucket};
use crate::support::{cid, cids, document, documents, encrypted, total};

/// Creates an index with segments, a snapshot, deletes and a journal.
async fn populated(backend: Arc<dyn Backend>) -> Engine {
    let engine = Held::all().create(backend).await.expect("created");
    engine.index(&documents(0..10)).await.expect("indexed");
    engine.fold().await.expect("folded");
    engine.create_snapshot("one").await.expect("snapshot");
    engine.delete(&[cid(3)]).await.expect("deleted");
    engine.index(&documents(10..12)).await.expect("indexed");
    engine
}

/// Puts back the lost catalog, and checks that the index is complete.
async fn put_back(engine: &Engine, backend: Arc<dyn Backend>) {
    engine.put_back().await.expect("put back");
    engine.index(&[document(50, 0)]).await.expect("indexed");
    let fresh = Held::all().open(backend).await.expect("opened");
    for engine in [engine, &fresh] {
        assert_eq!(total(engine, "shared").await, 12);
        assert!(!cids(engine, "shared").await.contains(&cid(3)));
    }
    let error = engine.put_back().await.expect_err("nothing is lost");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn history_acknowledges_nothing_after_its_catalog_was_purged() {
    let hand = Hand::default();
    let engine = populated(hand.store()).await;
    hand.purge(&["catalog_v1"]).await;
    for number in 20..23 {
        let error = engine.index(&[document(number, 0)]).await.expect_err("the index is gone");
        assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    }
    assert_eq!(hand.all("catalog_v1").await, []);
    let error = Held::all().open(hand.store()).await.expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    let error = Held::all().create(hand.store()).await.expect_err("something is left");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert_eq!(Engine::exists(&hand.0, &IndexName::default()).await.expect_err("left").kind(), ErrorKind::Lost);
    put_back(&engine, hand.store()).await;
    let fresh = Held::all().open(hand.store()).await.expect("opened");
    // The snapshot's record was in the catalog.
    let report = fresh.verify().await.expect("verified");
    assert!(report.problems.iter().all(|problem| problem.message.starts_with("a snapshot")), "{:?}", report.problems);
}

#[tokio::test(start_paused = true)]
async fn history_overwrites_no_index_that_was_created_in_its_place() {
    let hand = Hand::default();
    let engine = populated(hand.store()).await;
    hand.purge(&BUCKETS).await;
    let other = Held::all().create(hand.store()).await.expect("nothing is left");
    other.index(&documents(100..103)).await.expect("indexed");
    let error = engine.index(&[document(20, 0)]).await.expect_err("another index");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    let error = engine.put_back().await.expect_err("another index");
    assert_eq!(error.kind(), ErrorKind::IndexExists, "{error}");
    other.index(&documents(103..104)).await.expect("indexed");
    assert_eq!(total(&other, "shared").await, 4);
    assert!(other.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn history_reports_a_catalog_that_was_emptied_on_a_server() {
    let server = NatsServer::start(ServerOptions::default());
    let connect = async || {
        let backend = NatsBackend::connect(&server.url()).await.expect("connected");
        Arc::new(backend) as Arc<dyn Backend>
    };
    let engine = populated(connect().await).await;
    empty_catalog(&*connect().await).await;
    for number in 20..23 {
        let error = engine.index(&[document(number, 0)]).await.expect_err("the index is gone");
        assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    }
    put_back(&engine, connect().await).await;
}

/// Removes every entry of the catalog.
async fn empty_catalog(backend: &dyn Backend) {
    use futures::StreamExt;
    let catalog = bucket("catalog_v1");
    let entries = backend.scan(&catalog, &KeyPrefix::all(), Revision::ZERO);
    let keys: Vec<Key> = entries.map(|entry| entry.expect("scanned").key).collect().await;
    backend.delete(&catalog, &keys).await.expect("deleted");
}

#[tokio::test(start_paused = true)]
async fn history_creates_no_index_over_remaining_objects() {
    let hand = Hand::default();
    populated(hand.store()).await.close().await;
    for gone in [&["keyset"][..], &["manifest"], &["keyset", "manifest"]] {
        let rest = hand.fork();
        for key in gone {
            rest.delete(&Key::new(key).expect("a key")).await;
        }
        let before = rest.all("catalog_v1").await;
        let results = [
            Held::all().open(rest.store()).await.map(drop),
            Held::all().create(rest.store()).await.map(drop),
            Held::all().builder(rest.store()).open_or_create(Some(crate::support::key(1)), None).await.map(drop),
            Engine::exists(&rest.0, &IndexName::default()).await.map(drop),
        ];
        for (number, result) in results.into_iter().enumerate() {
            assert_eq!(result.expect_err("something is left").kind(), ErrorKind::Lost, "{gone:?}, {number}");
        }
        assert_eq!(rest.all("catalog_v1").await, before, "{gone:?} gone, and something was written");
    }
}

#[tokio::test]
async fn history_opens_a_backup_that_another_server_renumbered() {
    let hand = Hand::default();
    let engine = populated(hand.store()).await;
    engine.fold().await.expect("folded");
    engine.index(&documents(30..33)).await.expect("indexed");
    let server = NatsServer::start(ServerOptions::default());
    let backend: Arc<dyn Backend> = Arc::new(NatsBackend::connect(&server.url()).await.expect("connected"));
    for name in BUCKETS {
        let bucket = bucket(name);
        backend.create(&bucket).await.expect("created");
        // The revisions differ from those of the original.
        let padding = Key::new("padding").expect("a key");
        for _ in 0..7 {
            backend.put(&bucket, &padding, "x".into(), Precondition::Any).await.expect("put");
        }
        backend.delete(&bucket, &[padding]).await.expect("deleted");
        for entry in hand.all(name).await {
            backend.put(&bucket, &entry.key, entry.entry.value, Precondition::Absent).await.expect("put");
        }
    }
    let moved = Held::all().open(Arc::clone(&backend)).await.expect("opened");
    assert_eq!(cids(&moved, "shared").await, cids(&engine, "shared").await);
    moved.index(&[document(40, 0)]).await.expect("indexed");
    moved.fold().await.expect("folded");
    moved.restore_snapshot("one").await.expect("restored");
    moved.index(&[document(41, 0)]).await.expect("indexed");
    let report = moved.verify().await.expect("verified");
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(total(&Held::all().open(backend).await.expect("opened"), "shared").await, 11);
}

#[tokio::test(start_paused = true)]
async fn history_refuses_a_batch_that_no_reader_would_accept() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    let text = "word ".repeat(1 << 20);
    let batch: Vec<Document> = (0..30).map(|number| document(number, 0).with_text(text.clone())).collect();
    let before = hand.all("metadata_cache_v1").await.len();
    let error = engine.index(&batch).await.expect_err("too much");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains(&(128 << 20).to_string()), "the limit is not named: {error}");
    assert_eq!(hand.all("metadata_cache_v1").await.len(), before);
    assert_eq!(hand.records().await, []);
    engine.index(&batch[..4]).await.expect("a smaller batch");
    let fresh = Held::all().open(hand.store()).await.expect("opened");
    assert_eq!(total(&fresh, "word").await, 4);
}

/// A store that accepts only small values.
#[derive(Debug)]
struct Small(MemoryBackend, usize);

#[async_trait::async_trait]
impl Backend for Small {
    async fn create(&self, bucket: &Bucket) -> cim_ipld_backend::Result<()> {
        self.0.create(bucket).await
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> cim_ipld_backend::Result<Option<Entry>> {
        self.0.get(bucket, key).await
    }

    async fn put(
        &self,
        bucket: &Bucket,
        key: &Key,
        value: bytes::Bytes,
        precondition: Precondition,
    ) -> cim_ipld_backend::Result<Revision> {
        assert!(value.len() <= self.1, "{} bytes", value.len());
        self.0.put(bucket, key, value, precondition).await
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> cim_ipld_backend::Result<()> {
        self.0.delete(bucket, keys).await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        self.0.scan(bucket, prefix, after)
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        self.0.watch(bucket, prefix, after)
    }

    fn limits(&self) -> Limits {
        Limits { max_value_bytes: self.1, ..self.0.limits() }
    }
}

#[tokio::test(start_paused = true)]
async fn history_names_the_limit_of_a_store_that_accepts_only_small_values() {
    let memory = MemoryBackend::new();
    let small: Arc<dyn Backend> = Arc::new(Small(memory.clone(), 10_000));
    let error = Engine::builder(Arc::clone(&small)).create(encrypted()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    let numbers: Vec<usize> =
        error.to_string().split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert!(numbers.contains(&10_000), "{error}");
    let needed = *numbers.iter().max().expect("a number");
    assert!(!Engine::exists(&memory, &IndexName::default()).await.expect("looked"));
    // With the required limit, everything can be written.
    let enough: Arc<dyn Backend> = Arc::new(Small(MemoryBackend::new(), needed));
    let engine = Held::all().create(Arc::clone(&enough)).await.expect("created");
    let long = document(1, 0).with_text("long text ".repeat(needed / 2));
    engine.index(&[long, document(2, 0)]).await.expect("indexed");
    engine.fold().await.expect("folded");
    assert!(Held::all().open(enough).await.expect("opened").verify().await.expect("verified").is_sound());
}
