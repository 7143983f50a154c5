//! Garbage collection while another process has stored objects that no manifest names yet, and
//! automatic collection.

use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::Backend;
use cim_ipld_backend_testkit::{CrashMoment, Crashing};
use cim_ipld_persistence::{Engine, GarbageOptions, IndexName, ObjectCount, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::hand::{Hand, Held};
use crate::staged::{Act, Call, Staged};
use crate::support::{by_hand, cid, create, document, documents, key, open, total, try_open};

type Work = fn(Engine) -> BoxFuture<'static, Result<()>>;

async fn collect(engine: &Engine) -> ObjectCount {
    let mut options = GarbageOptions::default();
    options.grace_period = Duration::ZERO;
    engine.collect_garbage(&options, |_| {}).await.expect("collected").removed
}

/// Runs `work` on an engine that is suspended before it puts the first key that begins with
/// `prefix`, and collects the garbage meanwhile.
async fn collect_during(work: Work, prefix: &'static str, hand: &Hand, collector: &Engine) -> (Engine, Result<()>) {
    let staged = Staged::over(hand);
    let engine = Held::all().open(staged.store()).await.expect("opened");
    let (suspended, mut is_suspended) = mpsc::unbounded_channel();
    staged.play(move |call| match call {
        Call::Put(key, _) if key.as_str().starts_with(prefix) => {
            let _ = suspended.send(());
            Act::Hold
        }
        _ => Act::Pass,
    });
    let task = tokio::spawn(work(engine.clone()));
    is_suspended.recv().await.expect("it puts such a key");
    let removed = collect(collector).await;
    assert!(removed.objects > 0, "the engine has stored nothing before");
    staged.release();
    (engine, task.await.expect("it does not panic"))
}

#[tokio::test]
async fn a_process_that_is_suspended_before_it_publishes_a_manifest_stores_its_objects_again() {
    // What it does, whether there are unfolded documents, and how many documents and segments are
    // left.
    let works: [(&str, Work, bool, u64, usize); 4] = [
        ("fold", |engine| async move { engine.fold().await }.boxed(), true, 10, 9),
        ("merge", |engine| async move { engine.merge().await }.boxed(), true, 10, 1),
        ("snapshot", |engine| async move { engine.create_snapshot("two").await.map(drop) }.boxed(), false, 8, 8),
        ("restore", |engine| async move { engine.restore_snapshot("one").await.map(drop) }.boxed(), true, 8, 8),
    ];
    for (what, work, has_tail, left, segments) in works {
        let hand = Hand::default();
        let collector = Held::all().create(hand.store()).await.expect("created");
        for number in 0..8 {
            collector.index(&[document(number, 0)]).await.expect("indexed");
            collector.fold().await.expect("folded");
        }
        collector.create_snapshot("one").await.expect("snapshot");
        if has_tail {
            collector.index(&documents(8..10)).await.expect("indexed");
        }
        let (engine, worked) = collect_during(work, "manifest", &hand, &collector).await;
        worked.unwrap_or_else(|error| panic!("{what}: {error}"));
        collect(&collector).await;
        let report = engine.verify().await.expect("verified");
        assert!(report.is_sound(), "{what}: {:?}", report.problems);
        assert_eq!(report.unnamed, ObjectCount::default(), "{what}");
        let opened = Held::all().open(hand.store()).await.expect("opened");
        assert_eq!(total(&opened, "shared").await, left, "{what}");
        assert_eq!(opened.stats().await.expect("stats").segments, segments, "{what}");
    }
}

#[tokio::test]
async fn a_process_that_is_suspended_before_it_puts_a_record_stores_its_body_again() {
    let hand = Hand::default();
    let collector = Held::all().create(hand.store()).await.expect("created");
    let write: Work = |engine| {
        let long = document(1, 0).with_text(format!("shared {}", "ballast ".repeat(200_000)));
        async move { engine.index(&[long]).await.map(drop) }.boxed()
    };
    let (engine, written) = collect_during(write, "journal.", &hand, &collector).await;
    written.expect("written");
    collect(&collector).await;
    for engine in [&engine, &Held::all().open(hand.store()).await.expect("opened")] {
        let report = engine.verify().await.expect("verified");
        assert!(report.is_sound(), "{:?}", report.problems);
        assert_eq!(report.unnamed, ObjectCount::default());
        assert_eq!(total(engine, "shared").await, 1);
    }
}

/// Folds and merges until the store crashes.
async fn work(backend: &Arc<dyn Backend>, round: u32) -> Result<()> {
    let engine = try_open(backend, Some(key(1))).await?;
    for number in 0..9 {
        engine.index(&[document(number, round)]).await?;
        engine.delete(&[cid(100 + number)]).await?;
        engine.fold().await?;
    }
    engine.merge().await
}

#[tokio::test(start_paused = true)]
async fn an_automatic_collection_removes_what_twenty_crashes_left_behind() {
    let mut crashing = Crashing::new();
    let backend: Arc<dyn Backend> = Arc::new(crashing.clone());
    let engine = create(&backend).await;
    engine.index(&documents(0..20)).await.expect("indexed");
    engine.close().await;
    for round in 0..20 {
        let moment = CrashMoment::ALL[round as usize % CrashMoment::ALL.len()];
        crashing.crash_at(crashing.operations() + 12 + 7 * u64::from(round), moment);
        let backend: Arc<dyn Backend> = Arc::new(crashing.clone());
        work(&backend, round).await.expect_err("the store crashes");
        crashing = crashing.reopen();
    }
    let backend: Arc<dyn Backend> = Arc::new(crashing);
    let left = open(&backend).await.verify().await.expect("verified").unnamed;
    assert!(left.objects > 20, "the crashes left {left:?}");
    let mut settings = by_hand();
    settings.background = true;
    settings.memtable_budget_bytes = Some(1);
    settings.collect_garbage_every = Some(Duration::ZERO);
    let opened = Engine::open(backend, &IndexName::default(), Some(key(1)), settings).await.expect("opened");
    opened.index(&[document(20, 0)]).await.expect("indexed");
    let collected = async {
        while opened.verify().await.expect("verified").unnamed != ObjectCount::default() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), collected).await.expect("everything unnamed is removed");
    let report = opened.verify().await.expect("verified");
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(total(&opened, "shared").await, 21);
}
