use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::{Backend, Bucket, Key, MemoryBackend};
use cim_ipld_backend_testkit::{Counting, Fault, FaultInjecting};
use cim_ipld_persistence::{Engine, IndexName, Settings};
use tokio::time::Instant;

use crate::support::{cid, create, document, documents, encrypted, key};

/// Returns the number of bytes written to the store for one more document.
async fn bytes_of_one_more(engine: &Engine, backend: &Counting, number: u32) -> u64 {
    let before = backend.counts();
    engine.index(&[document(number, 0)]).await.expect("indexed");
    backend.counts().since(&before).bytes_written()
}

#[tokio::test]
async fn persistence_writes_no_more_for_a_document_when_the_index_is_large() {
    let counting = Counting::new(MemoryBackend::new());
    let backend: Arc<dyn Backend> = Arc::new(counting.clone());
    let engine = create(&backend).await;
    // All numbers have five digits, so that the documents have the same length.
    engine.index(&documents(10_000..11_000)).await.expect("indexed");
    engine.fold().await.expect("folded");
    let small = bytes_of_one_more(&engine, &counting, 90_001).await;
    for thousand in 11..70 {
        engine.index(&documents(thousand * 1000..(thousand + 1) * 1000)).await.expect("indexed");
        if thousand % 20 == 0 {
            engine.fold().await.expect("folded");
        }
    }
    let large = bytes_of_one_more(&engine, &counting, 90_002).await;
    eprintln!("one more document: {small} bytes at 1,000 documents, {large} at 60,000");
    assert!(small > 0);
    assert!(large * 10 <= small * 11, "{small} bytes at 1,000 documents, {large} at 60,000");
}

#[tokio::test]
async fn persistence_opens_by_reading_the_tail_and_not_the_index() {
    let counting = Counting::new(MemoryBackend::new());
    let backend: Arc<dyn Backend> = Arc::new(counting.clone());
    let engine = create(&backend).await;
    let mut costs = Vec::new();
    for size in [1_000, 10_000] {
        engine.index(&documents(size..size * 2)).await.expect("indexed");
        engine.fold().await.expect("folded");
        engine.fold().await.expect("folded");
        let before = counting.counts();
        drop(crate::support::open(&backend).await);
        costs.push(counting.counts().since(&before).operations());
    }
    assert!(costs[1] <= costs[0] + 8, "operations to open: {costs:?}");
}

/// Every operation of the store takes a second, so the time to open an index is the number of
/// rounds: the root and the manifest; segments, deletes, window and journal; the manifest again.
/// With a journal to replay, the CID filters of the segments are read as well.
#[tokio::test(start_paused = true)]
async fn persistence_opens_in_three_rounds() {
    let memory = MemoryBackend::new();
    let backend: Arc<dyn Backend> = Arc::new(memory.clone());
    let engine = create(&backend).await;
    let slow = FaultInjecting::new(memory);
    slow.when(|_| Some(Fault::Delay(Duration::from_secs(1))));
    let slow: Arc<dyn Backend> = Arc::new(slow);
    let rounds = async || {
        let start = Instant::now();
        crate::support::open(&slow).await.close().await;
        start.elapsed().as_secs()
    };
    let mut found = Vec::new();
    for segments in 0..5 {
        let first = segments * 100;
        engine.index(&documents(first..first + 50)).await.expect("indexed");
        let with_journal = rounds().await;
        engine.delete(&(0..first).map(cid).collect::<Vec<_>>()).await.expect("deleted");
        engine.fold().await.expect("folded");
        found.push((with_journal, rounds().await));
    }
    assert_eq!(engine.stats().await.expect("stats").segments, 5, "every fold adds a segment");
    assert_eq!(found, [(3, 3), (4, 3), (4, 3), (4, 3), (4, 3)]);
}

/// The cost of opening the index in a process that writes one document and closes.
#[derive(Clone, Copy, Debug, Default)]
struct Opening {
    operations: u64,
    bytes: u64,
    manifest_bytes: u64,
}

impl Opening {
    fn max(self, other: Self) -> Self {
        Self {
            operations: self.operations.max(other.operations),
            bytes: self.bytes.max(other.bytes),
            manifest_bytes: self.manifest_bytes.max(other.manifest_bytes),
        }
    }
}

/// Opens the index, writes a document and closes it again, once per run, until the last of `marks`
/// is reached. For each mark, returns the most expensive opening among the `last_runs` runs before
/// it.
async fn openings(settings: Settings, marks: &[u32], last_runs: u32) -> Vec<Opening> {
    let counting = Counting::new(MemoryBackend::new());
    let backend: Arc<dyn Backend> = Arc::new(counting.clone());
    let (catalog, manifest) = (Bucket::log("catalog_v1").expect("a bucket"), Key::new("manifest").expect("a key"));
    let name = IndexName::default();
    Engine::create(Arc::clone(&backend), &name, encrypted(), settings.clone()).await.expect("created").close().await;
    let (mut runs, mut most_expensive) = (0, Vec::new());
    for mark in marks {
        let mut most = Opening::default();
        while runs < *mark {
            let before = counting.counts();
            let engine =
                Engine::open(Arc::clone(&backend), &name, Some(key(1)), settings.clone()).await.expect("opened");
            let cost = counting.counts().since(&before);
            engine.index(&[document(runs, 0)]).await.expect("indexed");
            engine.close().await;
            runs += 1;
            if runs + last_runs > *mark {
                let entry = backend.get(&catalog, &manifest).await.expect("read").expect("a manifest");
                let manifest_bytes = entry.value.len() as u64;
                most = most.max(Opening { operations: cost.operations(), bytes: cost.bytes_read(), manifest_bytes });
            }
        }
        eprintln!("after {mark} runs: {most:?}");
        most_expensive.push(most);
    }
    most_expensive
}

/// An upper bound of the bytes that one writer entry and one position digest together occupy in the
/// window. The window holds at most 4096 of each.
const WINDOW_BYTES: u64 = 50;

#[tokio::test]
async fn persistence_opens_as_cheaply_after_many_processes_that_wrote_once() {
    const MARKS: [u32; 2] = [400, 1_600];
    let mut settings = Settings::default();
    settings.memtable_budget_bytes = Some(64 << 10);
    let openings = openings(settings, &MARKS, 100).await;
    let [few, many] = openings[..] else { panic!("two marks") };
    assert!(many.operations <= few.operations + 8, "{few:?}, {many:?}");
    assert!(many.manifest_bytes * 2 <= few.manifest_bytes * 3, "{few:?}, {many:?}");
    assert!(many.bytes <= few.bytes * 3 / 2 + u64::from(MARKS[1] - MARKS[0]) * WINDOW_BYTES, "{few:?}, {many:?}");
}

/// A tail of many records is folded by one of the closing processes, even if it is far below the
/// memtable budget.
#[tokio::test]
async fn persistence_leaves_no_long_tail_to_processes_that_write_once() {
    const TAIL: u32 = 512;
    const MARKS: [u32; 2] = [TAIL + 20, 3 * TAIL + 20];
    let openings = openings(Settings::default(), &MARKS, TAIL).await;
    let [few, many] = openings[..] else { panic!("two marks") };
    assert!(many.bytes <= few.bytes * 3 / 2 + u64::from(MARKS[1] - MARKS[0]) * WINDOW_BYTES, "{few:?}, {many:?}");
    // Without a fold, this would be exceeded.
    assert!(few.bytes < 200 << 10, "{few:?}");
}
