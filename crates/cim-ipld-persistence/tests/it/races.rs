//! Processes that come into each other's way at the worst moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use cim_ipld_backend::{Backend, ErrorKind as StoreErrorKind, Key, MemoryBackend};
use cim_ipld_backend_testkit::{Fault, FaultInjecting, Operation, OperationKind};
use cim_ipld_persistence::ErrorKind;

use crate::support::{cid, create, document, documents, open, total};

fn is_manifest(operation: &Operation) -> bool {
    operation.key.as_ref().is_some_and(|key: &Key| key.as_str() == "manifest")
}

/// A restore that is slow to publish, and a deletion of that very snapshot in between: whichever wins, nothing is named that
/// is gone.
#[tokio::test(start_paused = true)]
async fn persistence_restores_no_snapshot_that_is_being_deleted() {
    let memory = MemoryBackend::new();
    let shared: Arc<dyn Backend> = Arc::new(memory.clone());
    let slow = FaultInjecting::new(memory.clone());
    let other = create(&shared).await;
    let restoring = open(&(Arc::new(slow.clone()) as Arc<dyn Backend>)).await;
    other.index(&documents(0..10)).await.expect("indexed");
    other.create_snapshot("one").await.expect("snapshot");
    // Enough that nothing but the snapshot names its pages.
    let last = other.delete(&(0..10).map(cid).collect::<Vec<_>>()).await.expect("deleted");
    other.fold().await.expect("folded");
    other.merge().await.expect("merged");
    restoring.wait_for(last).await.expect("followed");

    slow.when(|operation| {
        (operation.kind == OperationKind::Put && is_manifest(operation)).then_some(Fault::Delay(Duration::from_secs(1)))
    });
    let restore = tokio::spawn({
        let restoring = restoring.clone();
        async move { restoring.restore_snapshot("one").await.map(drop) }
    });
    // The restore has read everything and waits to publish.
    tokio::time::sleep(Duration::from_millis(500)).await;
    other.delete_snapshot("one").await.expect("deleted");
    let restored = restore.await.expect("joined");
    assert_eq!(restored.expect_err("the snapshot is gone").kind(), ErrorKind::Conflict);

    let reopened = open(&shared).await;
    assert_eq!(total(&reopened, "shared").await, 0);
    assert!(reopened.verify().await.expect("verified").is_sound());
    slow.heal();
    assert_eq!(restoring.restore_snapshot("one").await.expect_err("gone").kind(), ErrorKind::SnapshotMissing);
    let last = restoring.index(&[document(1, 0)]).await.expect("the loser goes on");
    other.wait_for(last).await.expect("followed");
    assert_eq!(total(&other, "shared").await, 1);
}

/// A process that was cut off meets a record of a manifest that has been replaced since, and the store fails it just when
/// it wants to read the newest one: that is no loss.
#[tokio::test(start_paused = true)]
async fn persistence_takes_a_store_that_is_away_for_no_loss() {
    let memory = MemoryBackend::new();
    let shared: Arc<dyn Backend> = Arc::new(memory.clone());
    let writer = create(&shared).await;
    let faulty = FaultInjecting::new(memory);
    let (away, failures) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let (seen_away, failing) = (Arc::clone(&away), Arc::clone(&failures));
    let mut watches = 0;
    faulty.when(move |operation| match operation.kind {
        OperationKind::Watch => {
            watches += 1;
            // Keyset, manifest and the mark that these are all.
            if watches == 1 {
                return Some(Fault::CutAfter(3));
            }
            seen_away.load(Ordering::SeqCst).then_some(Fault::Fail(StoreErrorKind::Unavailable))
        }
        OperationKind::Get if is_manifest(operation) && watches > 1 => {
            let fails = failing.load(Ordering::SeqCst) > 0;
            fails.then(|| {
                failing.fetch_sub(1, Ordering::SeqCst);
                Fault::Fail(StoreErrorKind::Unavailable)
            })
        }
        _ => None,
    });
    away.store(true, Ordering::SeqCst);
    let reader = open(&(Arc::new(faulty) as Arc<dyn Backend>)).await;

    writer.index(&documents(0..5)).await.expect("indexed");
    writer.fold().await.expect("folded");
    writer.index(&documents(5..8)).await.expect("indexed");
    writer.fold().await.expect("folded");
    let last = writer.index(&documents(8..9)).await.expect("indexed");
    failures.store(2, Ordering::SeqCst);
    away.store(false, Ordering::SeqCst);
    reader.wait_for(last).await.expect("followed");
    assert_eq!(failures.load(Ordering::SeqCst), 0, "the store failed it");
    assert_eq!(total(&reader, "shared").await, 9);
}

/// A call that nobody waits for any more has written all of its documents, or none.
#[tokio::test(start_paused = true)]
async fn persistence_writes_a_dropped_call_wholly_or_not_at_all() {
    for polls in 0..12 {
        let memory = MemoryBackend::new();
        let slow = FaultInjecting::new(memory.clone());
        let shared: Arc<dyn Backend> = Arc::new(memory);
        let engine = create(&(Arc::new(slow.clone()) as Arc<dyn Backend>)).await;
        slow.when(|operation| (operation.kind == OperationKind::Put).then_some(Fault::Delay(Duration::from_millis(5))));
        let batch = documents(0..4);
        let call = engine.index(&batch);
        // As far as it gets in that time, then it is dropped.
        let done = tokio::time::timeout(Duration::from_millis(polls), call).await;
        slow.heal();
        let last = engine.index(&[document(100, 0)]).await.expect("the next call");
        let found = total(&engine, "shared").await;
        assert!(found == 5 || (found == 1 && done.is_err()), "after {polls} ms: {found} documents, {done:?}");
        let reopened = open(&shared).await;
        reopened.wait_for(last).await.expect("followed");
        assert_eq!(total(&reopened, "shared").await, found);
    }
}
