use std::sync::Arc;

use cim_ipld_backend::{Backend, Bucket, KeyPrefix, MemoryBackend, Revision};
use cim_ipld_backend_testkit::{Counting, OperationKind};
use cim_ipld_persistence::{Engine, ErrorKind, IndexName};
use futures::TryStreamExt;

use crate::support::{by_hand, create, document, documents, encrypted, memory, total};

const PAGES: [&str; 4] = ["text_index_v1", "tag_index_v1", "type_index_v1", "metadata_cache_v1"];

#[tokio::test]
async fn persistence_verifies_and_merges_by_reading_each_page_about_once() {
    let counting = Counting::new(MemoryBackend::new());
    let mut settings = by_hand();
    // The cache for searches is far smaller than a segment. Merges and verification hold a few
    // pages of their own.
    settings.memory_budget_bytes = 20 << 20;
    let backend: Arc<dyn Backend> = Arc::new(counting.clone());
    let engine = Engine::create(backend, &IndexName::default(), encrypted(), settings).await.expect("created");
    let long = "ballast ".repeat(400);
    for round in 0..8 {
        let batch: Vec<_> = (round * 60..round * 60 + 60)
            .map(|number| document(number, 0).with_text(format!("shared {number} {long}")))
            .collect();
        engine.index(&batch).await.expect("indexed");
        engine.fold().await.expect("folded");
    }
    let reads = || PAGES.iter().map(|bucket| counting.counts().of(bucket, OperationKind::Get).operations).sum::<u64>();

    let before = reads();
    let report = engine.verify().await.expect("verified");
    let headers = report.segments;
    assert!(report.is_sound(), "{:?}", report.problems);
    assert!(report.pages > 100, "{report:?}");
    assert!(reads() - before <= report.pages + 4 * headers, "{} reads of {} pages", reads() - before, report.pages);

    let before = reads();
    engine.merge().await.expect("merged");
    assert_eq!(engine.stats().await.expect("counted").segments, 1);
    let merged = reads() - before;
    assert!(merged <= report.pages * 5 / 4 + 4 * headers, "{merged} reads of {} pages", report.pages);
    assert_eq!(total(&engine, "shared").await, 480);
    assert!(engine.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn persistence_reports_all_problems_at_once() {
    let backend = memory();
    let engine = create(&backend).await;
    engine.index(&documents(0..30)).await.expect("indexed");
    engine.fold().await.expect("folded");
    let mut lost = 0;
    for bucket in PAGES {
        let bucket = Bucket::objects(bucket).expect("a name");
        let entries = backend.scan(&bucket, &KeyPrefix::all(), Revision::ZERO);
        let keys: Vec<_> = entries.map_ok(|entry| entry.key).try_collect().await.expect("scanned");
        backend.delete(&bucket, &keys).await.expect("deleted");
        lost += keys.len();
    }
    let report = engine.verify().await.expect("verified");
    assert_eq!(report.problems.len(), lost, "{:?}", report.problems);
    assert!(report.problems.iter().all(|problem| problem.kind == ErrorKind::Lost));
}
