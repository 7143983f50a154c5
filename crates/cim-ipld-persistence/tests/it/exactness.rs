//! Honest stores behind networks that lag, lose responses and deliver twice: a fold contains
//! exactly the applied records, and each record takes effect once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cim_ipld_backend::{Backend, ErrorKind as StoreErrorKind, MemoryBackend};
use cim_ipld_backend_testkit::{Counting, Fault, FaultInjecting, OperationKind};
#[cfg(feature = "simulation")]
use cim_ipld_persistence::Rule;
use cim_ipld_persistence::{Engine, ErrorKind, Settings};

use crate::hand::{Hand, Held, Lie, Lying, Outcome, check};
use crate::support::{by_hand, cid, cids, document, documents, encrypted, key, total};

/// A process whose watch lags, but claims to have caught up, folds exactly what it has applied.
async fn lagging_watch(held: Held) -> Outcome {
    for delivered in 0..8 {
        let hand = Hand::default();
        let one = held.create(hand.store()).await?;
        one.index(&[document(0, 0)]).await?;
        one.fold().await?;
        for number in 1..6 {
            one.index(&[document(number, 0)]).await?;
        }
        let lying = Lying::over(&hand).claiming_to_have_caught_up();
        lying.allow(0);
        let two = held.open(lying.store()).await?;
        lying.allow(delivered);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let folding = tokio::spawn({
            let two = two.clone();
            async move { two.fold().await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let last = one.index(&[document(6, 0)]).await?;
        lying.release();
        folding.await??;
        two.wait_for(last).await?;
        two.fold().await?;
        let fresh = held.open(hand.store()).await?;
        for engine in [&one, &two, &fresh] {
            let found = total(engine, "shared").await;
            check(found == 7, format!("{found} documents instead of 7 after {delivered} events"))?;
        }
        check(fresh.verify().await?.is_sound(), "the index is not sound")?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_folds_no_more_than_a_lagging_process_applied() {
    lagging_watch(Held::all()).await.expect("held");
}

/// A failed fold is repeated after further records.
async fn fold_again(held: Held) -> Outcome {
    let hand = Hand::default();
    let faulty = FaultInjecting::new(hand.0.clone());
    let engine = held.create(Arc::new(faulty.clone())).await?;
    engine.index(&documents(0..5)).await?;
    faulty.when(|operation| {
        let is_object = operation.kind == OperationKind::Put && !operation.bucket.name().starts_with("catalog");
        is_object.then_some(Fault::Fail(StoreErrorKind::Denied))
    });
    check(engine.fold().await.is_err(), "the fold succeeded")?;
    faulty.heal();
    engine.index(&documents(5..12)).await?;
    engine.fold().await?;
    let fresh = held.open(hand.store()).await?;
    for engine in [&engine, &fresh] {
        let found = total(engine, "shared").await;
        check(found == 12, format!("{found} documents instead of 12"))?;
    }
    check(fresh.verify().await?.is_sound(), "the index is not sound")
}

#[tokio::test(start_paused = true)]
async fn history_sets_the_watermark_to_the_position_of_the_folded_input() {
    fold_again(Held::all()).await.expect("held");
}

/// A slow reader misses a record that was trimmed. The next record was written concurrently
/// with the missing one, so it does not attest it.
async fn slow_reader(held: Held) -> Outcome {
    let hand = Hand::default();
    let one = held.create(hand.store()).await?;
    let (concurrent, reading) = (Lying::over(&hand), Lying::over(&hand));
    let two = held.open(concurrent.store()).await?;
    let reader = held.open(reading.store()).await?;
    concurrent.allow(0);
    reading.allow(0);
    one.index(&[document(1, 0)]).await?;
    one.fold().await?;
    let first = hand.last_record().await;
    // This process has seen neither the record nor the fold.
    let writing = tokio::spawn({
        let two = two.clone();
        async move { two.index(&[document(2, 0)]).await }
    });
    while hand.last_record().await.key == first.key {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    one.fold().await?;
    check(!hand.has(&first.key).await, "the first record was not trimmed")?;
    concurrent.release();
    writing.await??;
    // No acknowledged write is missing while a later one is visible.
    reading.allow(1);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let found = cids(&reader, "shared").await;
        check(!found.contains(&cid(2)) || found.contains(&cid(1)), "the reader shows a later record alone")?;
    }
    reading.release();
    let last = one.index(&[document(3, 0)]).await?;
    reader.wait_for(last).await?;
    check(total(&reader, "shared").await == 3, "the reader lacks documents")
}

#[tokio::test(start_paused = true)]
async fn history_shows_a_slow_reader_no_order_that_never_existed() {
    slow_reader(Held::all()).await.expect("held");
}

/// An acknowledgement is lost; the record is folded and trimmed, and then arrives again.
async fn landed_twice(held: Held) -> Outcome {
    let hand = Hand::default();
    let faulty = FaultInjecting::new(hand.0.clone());
    let engine = held.create(Arc::new(faulty.clone())).await?;
    let struck = AtomicBool::new(false);
    faulty.when(move |operation| {
        let is_record = operation.key.as_ref().is_some_and(|key| key.as_str().starts_with("journal."));
        let strikes = operation.kind == OperationKind::Put && is_record && !struck.swap(true, Ordering::Relaxed);
        strikes.then_some(Fault::LostAfter)
    });
    engine.index(&[document(1, 0)]).await?;
    let record = hand.last_record().await;
    engine.index(&[document(1, 1)]).await?;
    for number in 2..5 {
        engine.index(&[document(number, 0)]).await?;
        engine.fold().await?;
    }
    check(!hand.has(&record.key).await, "the record was not trimmed")?;
    hand.again(&record).await;
    engine.index(&[document(5, 0)]).await?;
    let fresh = held.open(hand.store()).await?;
    for engine in [&engine, &fresh] {
        check(total(engine, "shared").await == 5, "each document must be found once")?;
        check(cids(engine, "version1").await == [cid(1)], "an older version came back")?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_applies_a_record_only_once_if_it_arrives_again_after_a_trim() {
    landed_twice(Held::all()).await.expect("held");
}

/// A write with an unknown outcome is repeated, and the first attempt arrives later.
async fn landed_late(held: Held) -> Outcome {
    let hand = Hand::default();
    let lying = Lying::over(&hand);
    let engine = held.create(lying.store()).await?;
    engine.index(&[document(1, 0)]).await?;
    // The record is in flight for as long as the writer waits.
    lying.lie(Lie::Hold);
    let error = engine.index(&[document(2, 0)]).await.expect_err("not read back");
    check(error.kind() == ErrorKind::OutcomeUnknown, format!("{error:?}"))?;
    let late = lying.take_kept().expect("the record that was sent");
    engine.index(&[document(2, 1)]).await?;
    engine.delete(&[cid(1)]).await?;
    hand.put(late.0.as_str(), late.1).await;
    engine.index(&[document(3, 0)]).await?;
    let fresh = held.open(hand.store()).await?;
    for engine in [&engine, &fresh] {
        check(cids(engine, "version1").await == [cid(2)], "an older version came back")?;
        check(total(engine, "shared").await == 2, "two documents must be found")?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_ignores_a_write_that_arrives_after_a_later_one_of_its_writer() {
    landed_late(Held::all()).await.expect("held");
}

/// A restore while other processes write: writes after the restore are kept.
async fn restore_during_writes(held: Held) -> Outcome {
    let hand = Hand::default();
    let lying = Lying::over(&hand);
    let one = held.create(hand.store()).await?;
    one.index(&documents(0..5)).await?;
    one.create_snapshot("kept").await?;
    let two = held.open(lying.store()).await?;
    let last = one.index(&documents(10..15)).await?;
    two.wait_for(last).await?;
    // The process that restores has not seen the last acknowledged write.
    lying.allow(0);
    let before = one.index(&[document(20, 0)]).await?;
    let restoring = tokio::spawn({
        let two = two.clone();
        async move { two.restore_snapshot("kept").await.map(drop) }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    lying.release();
    restoring.await??;
    let last = two.index(&[document(21, 0)]).await?;
    one.wait_for(last.max(before)).await?;
    let fresh = held.open(hand.store()).await?;
    for engine in [&one, &two, &fresh] {
        let found = total(engine, "shared").await;
        check(
            found == 6,
            format!("{found} documents: a write before the restore survived it, or a later one did not"),
        )?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_restores_after_everything_that_was_acknowledged_before() {
    restore_during_writes(Held::all()).await.expect("held");
}

#[tokio::test]
async fn history_keeps_concurrent_writes_during_restores() {
    let hand = Hand::default();
    let one = Held::all().create(hand.store()).await.expect("created");
    let two = Held::all().open(hand.store()).await.expect("opened");
    one.index(&documents(0..5)).await.expect("indexed");
    one.create_snapshot("kept").await.expect("snapshot");
    let writing = tokio::spawn(async move {
        for number in 100..200 {
            two.index(&[document(number, 0)]).await.expect("indexed");
        }
        two
    });
    for _ in 0..10 {
        one.restore_snapshot("kept").await.expect("restored");
        tokio::task::yield_now().await;
    }
    let two = writing.await.expect("joined");
    // No write is applied partially, and all processes agree.
    let last = two.index(&[document(200, 0)]).await.expect("indexed");
    one.wait_for(last).await.expect("followed");
    let fresh = Held::all().open(hand.store()).await.expect("opened");
    let found = cids(&one, "shared").await;
    assert_eq!(found, cids(&two, "shared").await);
    assert_eq!(found, cids(&fresh, "shared").await);
    assert!((0..5).chain([200]).all(|number| found.contains(&cid(number))));
    assert!(fresh.verify().await.expect("verified").is_sound());
}

const BUDGET_BYTES: usize = 256 << 10;
const ROUNDS: u32 = 300;
const BATCH: u32 = 10;

/// Writes a fixed set of documents, with the processes taking turns. Returns the number of bytes
/// written to the store.
async fn bytes_written(processes: usize) -> u64 {
    let counting = Counting::new(MemoryBackend::new());
    let backend: Arc<dyn Backend> = Arc::new(counting.clone());
    let mut settings = Settings::default();
    settings.memtable_budget_bytes = Some(BUDGET_BYTES);
    let builder = |settings: &Settings| Engine::builder(Arc::clone(&backend)).settings(settings.clone());
    let mut engines = vec![builder(&settings).create(encrypted()).await.expect("created")];
    while engines.len() < processes {
        engines.push(builder(&settings).open(Some(key(1))).await.expect("opened"));
    }
    for round in 0..ROUNDS {
        let engine = &engines[round as usize % processes];
        engine.index(&documents(round * BATCH..(round + 1) * BATCH)).await.expect("indexed");
        // About as slow as a durable write. The paused clock does not advance while a process
        // folds.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let last = engines[0].index(&[document(0, 1)]).await.expect("indexed");
    for engine in &engines {
        engine.wait_for(last).await.expect("followed");
    }
    // Wait until the last folds and merges have finished.
    let mut before = counting.counts().bytes_written();
    loop {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let now = counting.counts().bytes_written();
        if now == before {
            return now;
        }
        before = now;
    }
}

/// Ten processes write, and the tail exceeds the budget: each fold is performed by one of
/// them.
#[tokio::test(start_paused = true)]
async fn history_folds_once_for_ten_processes() {
    let (one, ten) = (bytes_written(1).await, bytes_written(10).await);
    eprintln!("{} documents: {one} bytes by one process, {ten} by ten", ROUNDS * BATCH);
    assert!(ten * 10 <= one * 13, "{one} bytes by one process, {ten} by ten");
}

/// Two processes, one of which writes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_folds_by_the_writer_that_takes_the_tail_over_the_budget() {
    let shared = Arc::new(MemoryBackend::new());
    let idle = Counting::over(Arc::clone(&shared) as Arc<dyn Backend>);
    let mut settings = by_hand();
    (settings.background, settings.memtable_budget_bytes) = (true, Some(BUDGET_BYTES));
    // The reader gives the writer a fraction of this time to fold.
    settings.write_timeout = Duration::from_secs(30);
    let writer = Engine::builder(shared).settings(settings.clone());
    let writer = writer.create(encrypted()).await.expect("created");
    let reader = Engine::builder(Arc::new(idle.clone())).settings(settings).open(Some(key(1))).await.expect("opened");
    for round in 0..100 {
        let last = writer.index(&documents(round * 20..(round + 1) * 20)).await.expect("indexed");
        reader.wait_for(last).await.expect("followed");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(writer.stats().await.expect("counted").segments > 0);
    assert_eq!(idle.counts().total(OperationKind::Put).operations, 0, "the process that writes nothing has folded");
}

/// Each scenario fails without its rule.
#[cfg(feature = "simulation")]
#[tokio::test(start_paused = true)]
async fn history_breaks_on_honest_stores_without_each_rule() {
    use crate::hand::break_without;
    use futures::FutureExt;
    break_without(vec![
        (Rule::ExactWatermark, Box::new(|held| fold_again(held).boxed())),
        (Rule::GapRead, Box::new(|held| slow_reader(held).boxed())),
        (Rule::Duplicate, Box::new(|held| landed_twice(held).boxed())),
        (Rule::Duplicate, Box::new(|held| landed_late(held).boxed())),
        (Rule::RestoreBarrier, Box::new(|held| restore_during_writes(held).boxed())),
    ])
    .await;
}
