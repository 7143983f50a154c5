//! The number of bytes that several processes write to one index, compared with a single process
//! that writes the same documents.

use std::sync::Arc;

use cim_ipld_backend::{Backend, MemoryBackend};
use cim_ipld_backend_testkit::{Counting, Counts, OperationKind};
use cim_ipld_index::Document;
use cim_ipld_persistence::{Engine, IndexName, Settings};

use crate::support::{cid, encrypted, key};

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.memtable_budget_bytes = Some(400 << 10);
    settings
}

/// Returns a document about as long as a short article, whose words repeat as in a natural
/// language.
fn article(number: u32) -> Document {
    let words: Vec<String> =
        (0..60u32).map(|place| format!("w{}", number.wrapping_mul(place * place + 7) % 2003)).collect();
    Document::new(cid(number)).with_title(format!("title {number}")).with_text(words.join(" "))
}

async fn counts_of(processes: u32, documents: u32) -> Counts {
    let counting = Counting::new(MemoryBackend::new());
    let backend: Arc<dyn Backend> = Arc::new(counting.clone());
    let (name, settings) = (IndexName::default(), settings());
    let first = Engine::create(Arc::clone(&backend), &name, encrypted(), settings.clone()).await.expect("created");
    let mut engines = vec![first];
    for _ in 1..processes {
        engines.push(Engine::open(Arc::clone(&backend), &name, Some(key(1)), settings.clone()).await.expect("opened"));
    }
    let writers = engines.into_iter().zip(0..).map(|(engine, process)| {
        tokio::spawn(async move {
            for number in (process..documents).step_by(processes as usize) {
                engine.index(&[article(number)]).await.expect("indexed");
            }
            engine
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("joined").close().await;
    }
    counting.counts()
}

/// All processes write at the same time, and none of them waits for the folds and merges of the
/// others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn persistence_writes_for_ten_processes_little_more_than_for_one() {
    const DOCUMENTS: u32 = 3_000;
    let mut totals = Vec::new();
    for processes in [1, 10] {
        let counts = counts_of(processes, DOCUMENTS).await;
        let buckets = ["text_index_v1", "type_index_v1", "metadata_cache_v1", "catalog_v1"];
        let written = buckets.map(|bucket| (bucket, counts.of(bucket, OperationKind::Put).bytes));
        eprintln!("{DOCUMENTS} documents by {processes}: {} bytes, {written:?}", counts.bytes_written());
        totals.push(counts.bytes_written());
    }
    assert!(totals[1] * 10 <= totals[0] * 13, "{totals:?}");
}
