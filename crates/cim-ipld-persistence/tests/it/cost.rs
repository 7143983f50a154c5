use std::sync::Arc;

use cim_ipld_backend::{Backend, MemoryBackend};
use cim_ipld_backend_testkit::Counting;
use cim_ipld_persistence::Engine;

use crate::support::{create, document, documents};

/// Bytes that reach the store for one more document.
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
    // Numbers of five digits all along, so that the documents themselves are equally long.
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
