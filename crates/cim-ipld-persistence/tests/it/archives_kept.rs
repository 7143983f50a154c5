//! What an export holds: in memory a few blocks, in the store the pages that it has yet to read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, Key, KeyPrefix, Limits, MemoryBackend, Precondition, Result, Revision,
    WatchStream,
};
use cim_ipld_index::Timestamp;
use cim_ipld_persistence::{Clock, Engine, Environment, ExportOptions, GarbageOptions, ImportOptions, Randomness};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{by_hand, cid, create, document, documents, encrypted, key, memory, open, total};

/// Counts the transfers of objects in flight.
#[derive(Clone, Debug)]
struct InFlight {
    inner: MemoryBackend,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    all: Arc<AtomicUsize>,
}

impl InFlight {
    fn new(inner: MemoryBackend) -> Self {
        Self { inner, now: Arc::default(), most: Arc::default(), all: Arc::default() }
    }

    async fn transfer<T>(&self, bucket: &Bucket, transfer: impl Future<Output = T>) -> T {
        // The engine follows the catalog meanwhile.
        if bucket.name() == "catalog_v1" {
            return transfer.await;
        }
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.all.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let done = transfer.await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        done
    }
}

#[async_trait]
impl Backend for InFlight {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        self.inner.create(bucket).await
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        self.transfer(bucket, self.inner.get(bucket, key)).await
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        self.transfer(bucket, self.inner.put(bucket, key, value, precondition)).await
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        self.inner.delete(bucket, keys).await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        self.inner.scan(bucket, prefix, after)
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        self.inner.watch(bucket, prefix, after)
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

#[tokio::test(start_paused = true)]
async fn the_blocks_in_flight_do_not_grow_with_the_index() {
    const PARALLEL: usize = 4;
    let mut settings = by_hand();
    settings.parallel_transfers = PARALLEL.try_into().expect("not zero");
    let store = MemoryBackend::new();
    let engine = create(&(Arc::new(store.clone()) as Arc<dyn Backend>)).await;
    for number in 0..6 {
        engine.index(&documents(number * 50..number * 50 + 50)).await.expect("indexed");
        engine.fold().await.expect("folded");
    }
    engine.close().await;
    let from = InFlight::new(store);
    let source = Engine::builder(Arc::new(from.clone())).settings(settings.clone()).open(Some(key(1)));
    let source = source.await.expect("opened");
    let mut archive = Vec::new();
    from.most.store(0, Ordering::SeqCst);
    let report = source.export(&mut archive, ExportOptions::default()).await.expect("exported");
    assert!(report.blocks > 50, "{report:?}");
    assert!(from.most.load(Ordering::SeqCst) <= PARALLEL);

    let to = InFlight::new(MemoryBackend::new());
    let target = Engine::builder(Arc::new(to.clone())).settings(settings);
    // The last byte of the archive is withheld for a second, to show that blocks are stored while
    // the archive is still being read.
    let (mut sender, receiver) = tokio::io::duplex(4096);
    let stored_early = {
        let to = to.clone();
        async move {
            let (most, last) = archive.split_at(archive.len() - 1);
            sender.write_all(most).await.expect("sent");
            tokio::time::sleep(Duration::from_secs(1)).await;
            // Before the new index is opened, which fetches the headers of all segments.
            let stored = (to.all.load(Ordering::SeqCst), to.most.load(Ordering::SeqCst));
            sender.write_all(last).await.expect("sent");
            stored
        }
    };
    let import = target.import(receiver, Some(key(1)), ImportOptions::default());
    let ((stored_early, most), import) = futures::future::join(stored_early, import).await;
    let import = import.expect("imported");
    assert!(stored_early as u64 >= report.blocks - 1, "{stored_early} of {report:?}");
    assert!(most <= PARALLEL, "{most}");
    assert_eq!(total(&import.engine, "shared").await, 300);
}

/// Exports 800 documents to a slow reader, does something with another engine of the same index
/// after the beginning was read, and checks the archive. Returns the other engine.
async fn export_slowly(meanwhile: impl AsyncFnOnce(&Engine)) -> Engine {
    let backend = memory();
    let engine = create(&backend).await;
    // More than an export collects before it writes a directory, so that pages are read later.
    let large = |number| document(number, 0).with_text("shared ".repeat(1500));
    for number in 0..4 {
        let documents: Vec<_> = (number * 200..number * 200 + 200).map(large).collect();
        engine.index(&documents).await.expect("indexed");
        engine.fold().await.expect("folded");
    }
    let (writer, mut reader) = tokio::io::duplex(512);
    let exporting = {
        let engine = engine.clone();
        tokio::spawn(async move { engine.export(writer, ExportOptions::default()).await })
    };
    let mut archive = vec![0; 2000];
    reader.read_exact(&mut archive).await.expect("the beginning");
    let other = open(&backend).await;
    meanwhile(&other).await;
    reader.read_to_end(&mut archive).await.expect("the rest");
    let report = exporting.await.expect("it ends").expect("exported");
    assert_eq!(report.documents, 800);
    let builder = Engine::builder(memory()).settings(by_hand());
    let copy = builder.import(&archive[..], Some(key(1)), ImportOptions::default()).await.expect("imported").engine;
    assert_eq!(total(&copy, "shared").await, 800);
    other
}

/// Deletes and merges away everything, so that only a snapshot keeps the pages.
async fn empty(engine: &Engine) {
    engine.delete(&(0..800).map(cid).collect::<Vec<_>>()).await.expect("deleted");
    engine.fold().await.expect("folded");
    engine.merge().await.expect("merged");
    assert_eq!(total(engine, "shared").await, 0);
}

#[tokio::test]
async fn pages_stay_until_a_slow_export_has_read_them() {
    let other = export_slowly(empty).await;
    assert!(other.snapshots().await.expect("listed").is_empty());
    assert!(other.verify().await.expect("verified").is_sound());
}

#[derive(Debug)]
struct At(AtomicI64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

struct Random;

impl Randomness for Random {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.chunks_mut(32).for_each(|part| part.copy_from_slice(&cim_ipld_envelope::random::<32>()[..part.len()]));
    }
}

/// Returns the number of snapshots in the store, including those of exports.
async fn snapshots(backend: &Arc<dyn Backend>) -> usize {
    use futures::StreamExt;
    let catalog = Bucket::log("catalog_v1").expect("a name");
    let prefix = KeyPrefix::below("snapshot").expect("a prefix");
    backend.scan(&catalog, &prefix, Revision::ZERO).count().await
}

/// Ends an engine while an export is running, so that its snapshot remains.
async fn kill_an_export(dying: &Engine) {
    let (writer, mut reader) = tokio::io::duplex(16);
    {
        let mut export = std::pin::pin!(dying.export(writer, ExportOptions::default()));
        let mut begun = [0; 16];
        tokio::select! {
            _ = &mut export => unreachable!("nobody reads it"),
            read = reader.read_exact(&mut begun) => assert!(read.is_ok()),
        }
        dying.clone().close().await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn what_a_dead_export_kept_is_released_by_a_later_one() {
    let backend = memory();
    let clock = Arc::new(At(AtomicI64::new(1_700_000_000_000)));
    let environment = Environment::deterministic(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Random));
    let builder = || Engine::builder(Arc::clone(&backend)).settings(by_hand()).environment(environment.clone());
    let engine = builder().create(encrypted()).await.expect("created");
    engine.index(&documents(0..50)).await.expect("indexed");

    // Dropped: the snapshot is deleted in the background.
    let (writer, mut reader) = tokio::io::duplex(16);
    let exporting = {
        let engine = engine.clone();
        tokio::spawn(async move { engine.export(writer, ExportOptions::default()).await })
    };
    reader.read_exact(&mut [0; 16]).await.expect("it has begun");
    assert_eq!(snapshots(&backend).await, 1);
    assert!(engine.snapshots().await.expect("listed").is_empty(), "it is not one of the user's");
    exporting.abort();
    let _ = exporting.await;
    for _ in 0..1000 {
        if snapshots(&backend).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(snapshots(&backend).await, 0);

    // Killed: it stays until it expires.
    kill_an_export(&builder().open(Some(key(1))).await.expect("opened")).await;
    assert_eq!(snapshots(&backend).await, 1);
    engine.export(&mut Vec::new(), ExportOptions::default()).await.expect("exported");
    assert_eq!(snapshots(&backend).await, 1, "it may be alive");
    clock.0.fetch_add(8 * 24 * 60 * 60 * 1000, Ordering::SeqCst);
    engine.export(&mut Vec::new(), ExportOptions::default()).await.expect("exported");
    assert_eq!(snapshots(&backend).await, 0);
    assert!(engine.verify().await.expect("verified").is_sound());
    let reserved = engine.create_snapshot("cim/export/1").await.expect_err("reserved");
    assert_eq!(reserved.kind(), cim_ipld_persistence::ErrorKind::InvalidInput);
}

fn at_once() -> GarbageOptions {
    let mut options = GarbageOptions::default();
    options.grace_period = Duration::ZERO;
    options
}

async fn empty_and_collect(engine: &Engine) {
    empty(engine).await;
    let report = engine.collect_garbage(&at_once(), |_| {}).await.expect("collected");
    assert!(report.examined.objects > 0, "{report:?}");
}

#[tokio::test]
async fn a_collection_keeps_what_a_running_export_has_yet_to_read() {
    export_slowly(empty_and_collect).await;
}

#[tokio::test]
async fn a_collection_releases_what_a_dead_export_kept_once_it_has_expired() {
    let backend = memory();
    let clock = Arc::new(At(AtomicI64::new(1_700_000_000_000)));
    let environment = Environment::deterministic(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Random));
    let builder = || Engine::builder(Arc::clone(&backend)).settings(by_hand()).environment(environment.clone());
    let engine = builder().create(encrypted()).await.expect("created");
    engine.index(&documents(0..50)).await.expect("indexed");
    kill_an_export(&builder().open(Some(key(1))).await.expect("opened")).await;
    let pages = |backend: Arc<dyn Backend>| async move {
        use futures::StreamExt;
        let text = Bucket::objects("text_index_v1").expect("a name");
        backend.scan(&text, &KeyPrefix::all(), Revision::ZERO).count().await
    };
    let marks = 1;
    empty_and_collect(&engine).await;
    assert_eq!(snapshots_of_exports(&backend).await, 1, "it may be alive");
    assert!(pages(Arc::clone(&backend)).await > marks, "its pages are kept");
    clock.0.fetch_add(8 * 24 * 60 * 60 * 1000, Ordering::SeqCst);
    let mut dry = at_once();
    dry.dry_run = true;
    engine.collect_garbage(&dry, |_| {}).await.expect("counted");
    assert_eq!(snapshots_of_exports(&backend).await, 1, "a dry run removes nothing");
    engine.collect_garbage(&at_once(), |_| {}).await.expect("collected");
    assert_eq!(snapshots_of_exports(&backend).await, 0);
    assert!(pages(Arc::clone(&backend)).await <= 2 * marks, "only the marks of the collections are left");
    let report = engine.verify().await.expect("verified");
    assert!(report.is_sound() && report.unnamed.objects == 0, "{report:?}");
}

/// Returns the number of snapshots in the store, without the marks of collections.
async fn snapshots_of_exports(backend: &Arc<dyn Backend>) -> usize {
    use futures::TryStreamExt;
    let catalog = Bucket::log("catalog_v1").expect("a name");
    let prefix = KeyPrefix::below("snapshot").expect("a prefix");
    let entries = backend.scan(&catalog, &prefix, Revision::ZERO);
    let keys: Vec<Key> = entries.map_ok(|entry| entry.key).try_collect().await.expect("scanned");
    keys.iter().filter(|key| !key.as_str().starts_with("snapshot.age")).count()
}
