//! Processes that interfere with each other at the worst moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use cim_ipld_backend::{Backend, Bucket, ErrorKind as StoreErrorKind, Key, KeyPrefix, MemoryBackend, Revision};
use cim_ipld_backend_testkit::{Fault, FaultInjecting, Operation, OperationKind};
use cim_ipld_persistence::ErrorKind;
use futures::StreamExt;

use crate::support::{cid, create, document, documents, open, total};

fn is_manifest(operation: &Operation) -> bool {
    operation.key.as_ref().is_some_and(|key: &Key| key.as_str() == "manifest")
}

/// A restore is slow to publish, and its snapshot is deleted in the meantime. Whichever succeeds
/// first, no manifest names a missing object.
#[tokio::test(start_paused = true)]
async fn persistence_restores_no_snapshot_that_is_being_deleted() {
    let memory = MemoryBackend::new();
    let shared: Arc<dyn Backend> = Arc::new(memory.clone());
    let slow = FaultInjecting::new(memory.clone());
    let other = create(&shared).await;
    let restoring = open(&(Arc::new(slow.clone()) as Arc<dyn Backend>)).await;
    other.index(&documents(0..10)).await.expect("indexed");
    other.create_snapshot("one").await.expect("snapshot");
    // After this, only the snapshot names its pages.
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
    assert_eq!(restored.expect_err("the snapshot is gone").kind(), ErrorKind::SnapshotMissing);

    let reopened = open(&shared).await;
    assert_eq!(total(&reopened, "shared").await, 0);
    assert!(reopened.verify().await.expect("verified").is_sound());
    slow.heal();
    assert_eq!(restoring.restore_snapshot("one").await.expect_err("gone").kind(), ErrorKind::SnapshotMissing);
    let last = restoring.index(&[document(1, 0)]).await.expect("the process that lost the race continues");
    other.wait_for(last).await.expect("followed");
    assert_eq!(total(&other, "shared").await, 1);
}

/// The creation of a snapshot is slow, and all segments that it is about to name are merged in the
/// meantime. The resulting snapshot names only existing objects.
#[tokio::test(start_paused = true)]
async fn persistence_creates_no_snapshot_of_segments_that_were_merged() {
    let shared: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let other = create(&shared).await;
    for round in 0..8 {
        other.index(&documents(round * 4..round * 4 + 4)).await.expect("indexed");
        other.fold().await.expect("folded");
    }
    let slow = FaultInjecting::over(Arc::clone(&shared));
    let engine = open(&(Arc::new(slow.clone()) as Arc<dyn Backend>)).await;
    slow.when(|operation| {
        let snapshot = operation.key.as_ref().is_some_and(|key| key.as_str().starts_with("snapshot."));
        (operation.kind == OperationKind::Put && snapshot).then_some(Fault::Delay(Duration::from_secs(1)))
    });
    let making = tokio::spawn({
        let engine = engine.clone();
        async move { engine.create_snapshot("one").await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    other.merge().await.expect("merged");
    assert_eq!(making.await.expect("joined").expect("made").documents, 32);
    assert_eq!(other.snapshots().await.expect("listed").len(), 1);
    let last = other.delete(&(0..32).map(cid).collect::<Vec<_>>()).await.expect("deleted");
    engine.wait_for(last).await.expect("followed");
    assert!(engine.verify().await.expect("verified").is_sound());
    engine.restore_snapshot("one").await.expect("restored");
    assert_eq!(total(&engine, "shared").await, 32);
    let records = shared.scan(&Bucket::log("catalog_v1").expect("a name"), &snapshots(), Revision::ZERO);
    assert_eq!(records.count().await, 1, "the first attempt left no record behind");
}

fn snapshots() -> KeyPrefix {
    KeyPrefix::below("snapshot").expect("a prefix")
}

/// Two processes create a snapshot of the same name at the same time. One of them succeeds.
#[tokio::test(start_paused = true)]
async fn persistence_creates_a_snapshot_of_a_name_only_once() {
    let shared: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let one = create(&shared).await;
    one.index(&documents(0..4)).await.expect("indexed");
    let two = open(&shared).await;
    let made = futures::future::join(one.create_snapshot("one"), two.create_snapshot("one")).await;
    let outcomes = [made.0, made.1];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let refused = outcomes.into_iter().find_map(Result::err).expect("one was refused");
    assert_eq!(refused.kind(), ErrorKind::SnapshotExists);
    assert_eq!(two.snapshots().await.expect("listed").len(), 1);
}

/// A process that was disconnected reads a record that attests a newer manifest, and the store is
/// unavailable when the process reads that manifest. This is not a loss.
#[tokio::test(start_paused = true)]
async fn persistence_does_not_report_an_unavailable_store_as_a_loss() {
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
            // The keyset, the manifest and the caught-up event.
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
    assert_eq!(failures.load(Ordering::SeqCst), 0, "the store did not fail every planned read");
    assert_eq!(total(&reader, "shared").await, 9);
}

/// A dropped call has written either all of its documents or none.
#[tokio::test(start_paused = true)]
async fn persistence_writes_a_dropped_call_completely_or_not_at_all() {
    for polls in 0..12 {
        let memory = MemoryBackend::new();
        let slow = FaultInjecting::new(memory.clone());
        let shared: Arc<dyn Backend> = Arc::new(memory);
        let engine = create(&(Arc::new(slow.clone()) as Arc<dyn Backend>)).await;
        slow.when(|operation| (operation.kind == OperationKind::Put).then_some(Fault::Delay(Duration::from_millis(5))));
        let batch = documents(0..4);
        let call = engine.index(&batch);
        // The call runs for this time, and is then dropped.
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
