//! Merges beside writes, and the number of segments that they leave.

use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::{Backend, MemoryBackend};
use cim_ipld_backend_testkit::FaultInjecting;
use cim_ipld_persistence::{Engine, Settings};
use tokio::time::Instant;

use crate::merged_away::{hold_next_page, piled_up};
use crate::support::{cid, cids, documents, encrypted, memory, total};

#[tokio::test(start_paused = true)]
async fn persistence_writes_and_folds_while_a_merge_is_under_way() {
    let slow = FaultInjecting::over(Arc::new(MemoryBackend::new()));
    let backend: Arc<dyn Backend> = Arc::new(slow.clone());
    let engine = piled_up(&backend).await;
    let held = hold_next_page(&slow, false);
    let began = Instant::now();
    let merging = tokio::spawn({
        let engine = engine.clone();
        async move { engine.merge().await }
    });
    held.await.expect("the merge reads");
    engine.index(&documents(100..104)).await.expect("indexed");
    engine.delete(&[cid(3)]).await.expect("deleted");
    engine.fold().await.expect("folded");
    assert!(began.elapsed() < Duration::from_secs(30), "the merge is held for a minute");
    assert_eq!(engine.stats().await.expect("counted").segments, 9);
    merging.await.expect("joined").expect("merged");
    assert_eq!(engine.stats().await.expect("counted").segments, 2);
    let found = cids(&engine, "shared").await;
    assert_eq!((found.len(), found.contains(&cid(3)), found.contains(&cid(100))), (35, false, true));
    assert!(engine.verify().await.expect("verified").is_sound());
}

/// Segments remain few with a large memtable and with a small one, and with a budget that is too
/// small to merge all documents into one segment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn persistence_keeps_segments_few_with_any_budget() {
    const MIB: usize = 1 << 20;
    for (memory_bytes, memtable_bytes, documents_per_merge) in
        [(256 * MIB, 256 << 10, u32::MAX), (256 * MIB, 64 << 10, u32::MAX), (MIB / 8, 64 << 10, 682)]
    {
        let mut settings = Settings::default();
        settings.memory_budget_bytes = memory_bytes;
        settings.memtable_budget_bytes = Some(memtable_bytes);
        let engine = Engine::builder(memory()).settings(settings).create(encrypted()).await.expect("created");
        const DOCUMENTS: u32 = 4_000;
        for batch in 0..DOCUMENTS / 50 {
            engine.index(&documents(batch * 50..(batch + 1) * 50)).await.expect("indexed");
        }
        engine.fold().await.expect("folded");
        engine.merge().await.expect("merged");
        let stats = engine.stats().await.expect("counted");
        eprintln!("{memory_bytes} {memtable_bytes}: {} segments, {} bytes", stats.segments, stats.segment_bytes);
        // All are in the smallest class, unless they are as large as merging makes them.
        let full = 2 * DOCUMENTS.div_ceil(documents_per_merge);
        assert!(stats.segments <= full as usize + 7, "{} segments, {memory_bytes} {memtable_bytes}", stats.segments);
        assert_eq!(total(&engine, "shared").await, u64::from(DOCUMENTS));
    }
}
