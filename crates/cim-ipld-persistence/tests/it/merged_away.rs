//! Another process merges the segments that a process is about to read. The process then reads the
//! merged segment.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim_ipld_backend::{Backend, ErrorKind as StoreErrorKind, MemoryBackend};
use cim_ipld_backend_testkit::{Fault, FaultInjecting, OperationKind};
use cim_ipld_persistence::Engine;
use tokio::sync::oneshot;

use crate::hand::{BUCKETS, Hand};
use crate::staged::{Act, Call, Staged};
use crate::support::{cid, cids, create, document, documents, open};

/// Creates an index of eight small segments, which one merge turns into a single segment.
pub(crate) async fn piled_up(backend: &Arc<dyn Backend>) -> Engine {
    let engine = create(backend).await;
    for round in 0..8 {
        engine.index(&documents(round * 4..round * 4 + 4)).await.expect("indexed");
        engine.fold().await.expect("folded");
    }
    assert_eq!(engine.stats().await.expect("counted").segments, 8);
    engine
}

/// Delays the next read of an object by a minute. The returned receiver is notified when that read
/// begins. If `then_cut_off` is set, the store is unavailable to the next read of the manifest.
pub(crate) fn hold_next_page(backend: &FaultInjecting, then_cut_off: bool) -> oneshot::Receiver<()> {
    let (held, is_held) = oneshot::channel();
    let state = Mutex::new((Some(held), then_cut_off));
    backend.when(move |operation| {
        let (held, cut_off) = &mut *state.lock().expect("unpoisoned");
        let catalog = operation.bucket.name().starts_with("catalog");
        if operation.kind != OperationKind::Get {
            return None;
        }
        match held.take() {
            Some(held) if !catalog => {
                held.send(()).expect("awaited");
                Some(Fault::Delay(Duration::from_secs(60)))
            }
            None if catalog && std::mem::take(cut_off) => Some(Fault::Fail(StoreErrorKind::Unavailable)),
            unused => {
                *held = unused;
                None
            }
        }
    });
    is_held
}

#[tokio::test(start_paused = true)]
async fn persistence_opens_an_index_whose_pages_are_merged_away_meanwhile() {
    let memory: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let one = piled_up(&memory).await;
    let slow = FaultInjecting::over(Arc::clone(&memory));
    let held = hold_next_page(&slow, false);
    let backend: Arc<dyn Backend> = Arc::new(slow);
    let opening = tokio::spawn(async move { open(&backend).await });
    held.await.expect("a header is read");
    one.merge().await.expect("merged");
    let two = opening.await.expect("joined");
    assert_eq!(cids(&two, "shared").await, cids(&one, "shared").await);
}

#[tokio::test(start_paused = true)]
async fn persistence_follows_a_record_whose_pages_are_merged_away_meanwhile() {
    for then_cut_off in [false, true] {
        let memory: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
        let one = piled_up(&memory).await;
        let slow = FaultInjecting::over(Arc::clone(&memory));
        let backend: Arc<dyn Backend> = Arc::new(slow.clone());
        let two = open(&backend).await;
        let held = hold_next_page(&slow, then_cut_off);
        let last = one.index(&[document(3, 1), document(100, 0)]).await.expect("indexed");
        held.await.expect("the document that is replaced is looked up");
        one.merge().await.expect("merged");
        two.wait_for(last).await.expect("followed");
        assert_eq!(cids(&two, "version1").await, [cid(3)]);
        assert_eq!(cids(&two, "shared").await, cids(&one, "shared").await);
    }
}

/// A merge has removed the pages of a search, and junk or an older manifest has replaced the
/// manifest of that merge before the process has opened the merged segment. Only this process can
/// restore that manifest.
#[tokio::test(start_paused = true)]
async fn persistence_searches_while_it_restores_the_manifest_of_a_merge() {
    for is_replay in [false, true] {
        searches_while_it_restores(is_replay).await;
    }
}

async fn searches_while_it_restores(is_replay: bool) {
    let hand = Hand::default();
    let one = piled_up(&hand.store()).await;
    let staged = Staged::over(&hand);
    let two = open(&staged.store()).await;
    let mut known = Vec::new();
    for name in BUCKETS {
        known.extend(hand.all(name).await.into_iter().map(|entry| entry.key));
    }
    staged.play(move |call| match call {
        Call::Get(key) if !known.contains(key) => Act::Hold,
        _ => Act::Pass,
    });
    let older = hand.value("manifest").await;
    one.merge().await.expect("merged");
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(one);
    hand.put("manifest", if is_replay { older } else { "junk".into() }).await;
    let searching = tokio::spawn(async move { cids(&two, "shared").await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    staged.release();
    assert_eq!(searching.await.expect("found").len(), 32, "after a replay: {is_replay}");
}
