//! Thousands of processes each write one document. Neither the size of the manifest nor the cost of
//! opening grows with their number.

use std::sync::Arc;

use cim_ipld_backend::{Backend, KeyPrefix};
use cim_ipld_backend_testkit::{Counting, OperationKind};
use cim_ipld_persistence::Engine;

use crate::hand::{Hand, Held, bucket};
use crate::support::{document, total};

const WRITERS: u32 = 2_000;
/// The number of writers between two folds.
const WRITERS_PER_FOLD: u32 = 50;

#[derive(Debug)]
struct Cost {
    manifest_bytes: usize,
    gets: u64,
    read_bytes: u64,
    window_bytes: usize,
}

/// Returns the cost of the next opening, right after a fold.
async fn cost(hand: &Hand, counting: &Counting) -> Cost {
    let before = counting.counts();
    drop(open(counting).await);
    let counts = counting.counts().since(&before);
    let objects = hand.all("metadata_cache_v1").await;
    Cost {
        manifest_bytes: hand.value("manifest").await.len(),
        gets: counts.total(OperationKind::Get).operations,
        read_bytes: counts.bytes_read(),
        window_bytes: objects.last().map_or(0, |object| object.entry.value.len()),
    }
}

async fn open(counting: &Counting) -> Engine {
    Held::all().open(Arc::new(counting.clone())).await.expect("opened")
}

#[tokio::test(start_paused = true)]
async fn history_costs_no_more_after_thousands_of_writers() {
    let hand = Hand::default();
    let counting = Counting::new(hand.0.clone());
    Held::all().create(Arc::new(counting.clone())).await.expect("created").close().await;
    let mut costs = Vec::new();
    for number in 0..WRITERS {
        let engine = open(&counting).await;
        engine.index(&[document(number, 0)]).await.expect("indexed");
        if number % WRITERS_PER_FOLD == WRITERS_PER_FOLD - 1 {
            engine.fold().await.expect("folded");
            engine.merge().await.expect("merged");
        }
        engine.close().await;
        if [WRITERS / 8, WRITERS / 2, WRITERS].contains(&(number + 1)) {
            costs.push(cost(&hand, &counting).await);
            eprintln!("after {} writers: {:?}", number + 1, costs.last().expect("pushed"));
        }
    }
    let [early, half, late] = &costs[..] else { panic!("three costs") };
    // The window contains a writer for as long as its records may be accepted.
    let bounded = |cost: &Cost| cost.window_bytes <= 64 * 4096 && cost.read_bytes <= 2 * 64 * 4096;
    assert!(costs.iter().all(bounded), "{costs:?}");
    // The frontier of the ancestry grows with the logarithm of the generation, and segments come
    // and go.
    assert!(late.manifest_bytes <= half.manifest_bytes + 1024, "{half:?}, then {late:?}");
    assert!(late.manifest_bytes <= early.manifest_bytes + 2048, "{early:?}, then {late:?}");
    assert!(late.gets <= early.gets + 20, "{early:?}, then {late:?}");
    let engine = open(&counting).await;
    assert_eq!(total(&engine, "shared").await, u64::from(WRITERS));
    let journal =
        counting.scan(&bucket("catalog_v1"), &KeyPrefix::below("journal").expect("a prefix"), Default::default());
    let left = futures::StreamExt::count(journal).await;
    assert!(left <= 2 * WRITERS_PER_FOLD as usize, "{left} records are left in the journal");
}
