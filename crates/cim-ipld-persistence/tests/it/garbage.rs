//! Garbage collection after crashes: nothing unnamed is left, and nothing needed is removed.

use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::{Backend, Bucket, Key, Precondition};
use cim_ipld_backend_testkit::{CrashMoment, Crashing};
use cim_ipld_persistence::{Engine, ErrorKind, GarbageOptions, GarbageReport, ObjectCount};

use crate::hand::{Hand, Held, bucket};
use crate::support::{cid, create, document, documents, open, total};

fn at_once() -> GarbageOptions {
    let mut options = GarbageOptions::default();
    options.grace_period = Duration::ZERO;
    options
}

async fn collect(engine: &Engine, options: &GarbageOptions) -> GarbageReport {
    engine.collect_garbage(options, |_| {}).await.expect("collected")
}

/// Folds, snapshots and merges, until the store crashes.
async fn work(backend: &Arc<dyn Backend>) -> cim_ipld_persistence::Result<()> {
    let engine = crate::support::try_open(backend, Some(crate::support::key(1))).await?;
    for number in 0..9 {
        engine.index(&[document(number, 1), document(100 + number, 0)]).await?;
        engine.fold().await?;
    }
    engine.create_snapshot("one").await?;
    engine.delete(&[cid(100)]).await?;
    engine.merge().await?;
    engine.delete_snapshot("one").await
}

#[tokio::test(start_paused = true)]
async fn recovery_collects_what_crashes_left_behind() {
    let mut collected = 0;
    for moment in CrashMoment::ALL {
        for operation in (3..).step_by(17) {
            let crashing = Crashing::new();
            let backend: Arc<dyn Backend> = Arc::new(crashing.clone());
            let engine = create(&backend).await;
            engine.index(&documents(0..20)).await.expect("indexed");
            engine.close().await;
            crashing.crash_at(crashing.operations() + operation, moment);
            let worked = work(&backend).await;
            if !crashing.has_crashed() {
                worked.expect("nothing crashed");
                break;
            }
            let after: Arc<dyn Backend> = Arc::new(crashing.reopen());
            let engine = open(&after).await;
            let before = total(&engine, "shared").await;
            let unnamed = engine.verify().await.expect("verified").unnamed;
            let report = collect(&engine, &at_once()).await;
            assert_eq!(report.removed, unnamed, "{moment:?} at {operation}");
            collected += report.removed.objects;
            let report = engine.verify().await.expect("verified");
            assert!(report.is_sound(), "{moment:?} at {operation}: {:?}", report.problems);
            assert_eq!(report.unnamed, ObjectCount::default(), "{moment:?} at {operation}");
            assert_eq!(total(&engine, "shared").await, before);
            drop(engine);
            let engine = open(&after).await;
            assert_eq!(total(&engine, "shared").await, before, "{moment:?} at {operation}");
        }
    }
    assert!(collected > 50, "only {collected} objects were left behind");
}

async fn junk(hand: &Hand, name: &str) {
    let key = Key::new(name).expect("a key");
    hand.0.put(&bucket("text_index_v1"), &key, vec![7; 100].into(), Precondition::Any).await.expect("put");
}

async fn has(hand: &Hand, name: &str) -> bool {
    let bucket: Bucket = bucket("text_index_v1");
    hand.0.get(&bucket, &Key::new(name).expect("a key")).await.expect("read").is_some()
}

#[tokio::test]
async fn recovery_keeps_what_is_younger_than_the_grace_period() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..10)).await.expect("indexed");
    engine.fold().await.expect("folded");
    junk(&hand, "old").await;
    let mut options = GarbageOptions::default();
    options.grace_period = Duration::from_millis(300);
    let report = collect(&engine, &options).await;
    assert_eq!((report.removed.objects, report.young.objects), (0, 1), "its age is unknown");
    tokio::time::sleep(Duration::from_millis(400)).await;
    junk(&hand, "young").await;
    let mut dry = options.clone();
    dry.dry_run = true;
    assert_eq!(collect(&engine, &dry).await.removed, ObjectCount { objects: 1, bytes: 100 });
    assert!(has(&hand, "old").await, "a dry run removes nothing");
    let report = collect(&engine, &options).await;
    assert_eq!((report.removed.objects, report.young.objects), (1, 1), "{report:?}");
    assert!(!has(&hand, "old").await && has(&hand, "young").await);
    let report = engine.verify().await.expect("verified");
    assert!(report.is_sound() && report.unnamed.objects == 1, "{report:?}");
}

#[tokio::test]
async fn recovery_collects_nothing_while_names_are_unknown() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..10)).await.expect("indexed");
    engine.create_snapshot("one").await.expect("snapshot");
    engine.index(&documents(10..20)).await.expect("indexed");
    engine.fold().await.expect("folded");
    junk(&hand, "junk").await;
    let record = hand.all("catalog_v1").await.into_iter().find(|entry| entry.key.as_str().starts_with("snapshot."));
    let record = record.expect("a snapshot");
    hand.delete(&record.key).await;
    let error = engine.collect_garbage(&at_once(), |_| {}).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert!(has(&hand, "junk").await);
    hand.again(&record).await;
    collect(&engine, &at_once()).await;
    assert!(!has(&hand, "junk").await);
    assert!(engine.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn recovery_collects_nothing_while_a_record_that_may_name_a_body_cannot_be_read() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    let long = "ballast ".repeat(200_000);
    engine.index(&[document(1, 0).with_text(format!("shared {long}"))]).await.expect("indexed");
    engine.close().await;
    let record = hand.last_record().await;
    let before = hand.all("metadata_cache_v1").await;
    assert!(before.len() > 1, "the body is spilled");
    for at in [6, 100] {
        let damaged = hand.fork();
        let mut value = record.entry.value.to_vec();
        value[at] ^= 1;
        damaged.put(record.key.as_str(), value).await;
        let engine = Held::all().open(damaged.store()).await.expect("nothing depends on the record");
        let error = engine.collect_garbage(&at_once(), |_| {}).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert_eq!(error.object().map(|object| object.key.as_str()), Some(record.key.as_str()));
        engine.close().await;
        damaged.again(&record).await;
        let engine = Held::all().open(damaged.store()).await.expect("opened");
        collect(&engine, &at_once()).await;
        assert_eq!(total(&engine, "shared").await, 1, "byte {at}");
        engine.close().await;
        assert_eq!(total(&Held::all().open(damaged.store()).await.expect("opened"), "shared").await, 1);
    }
}

#[tokio::test]
async fn recovery_collects_nothing_while_the_newest_manifest_cannot_be_read() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..10)).await.expect("indexed");
    engine.fold().await.expect("folded");
    junk(&hand, "junk").await;
    let older = hand.value("manifest").await;
    engine.index(&documents(10..20)).await.expect("indexed");
    engine.fold().await.expect("folded");
    let newest = hand.value("manifest").await;
    for wrong in [older.to_vec(), vec![1, 2, 3]] {
        hand.put("manifest", wrong).await;
        // The engine may have put back the manifest before.
        if let Err(error) = engine.collect_garbage(&at_once(), |_| {}).await {
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
            assert!(has(&hand, "junk").await);
        }
        hand.put("manifest", newest.clone()).await;
    }
    collect(&engine, &at_once()).await;
    assert!(!has(&hand, "junk").await);
    assert!(engine.verify().await.expect("verified").is_sound());
}

/// A node of the ancestry is stored before the manifest that names it. A process that is about to
/// publish that manifest does not store the node again, however old it is.
#[tokio::test]
async fn recovery_keeps_the_node_that_the_next_manifest_will_name() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    let mut nodes = 0;
    for number in 0..40 {
        let before = hand.all("metadata_cache_v1").await;
        let manifest = hand.all("catalog_v1").await.into_iter().find(|entry| entry.key.as_str() == "manifest");
        let earlier = hand.fork();
        engine.create_snapshot(&format!("snapshot {number}")).await.expect("snapshot");
        // A snapshot without a fold stores nothing here but completed nodes of the ancestry.
        for node in hand.all("metadata_cache_v1").await.into_iter().filter(|entry| !before.contains(entry)) {
            let metadata = bucket("metadata_cache_v1");
            earlier.0.put(&metadata, &node.key, node.entry.value.clone(), Precondition::Any).await.expect("put");
            let opened = Held::all().open(earlier.store()).await.expect("opened");
            collect(&opened, &at_once()).await;
            let kept = earlier.0.get(&metadata, &node.key).await.expect("read");
            assert!(kept.is_some(), "the node of {manifest:?} is gone");
            nodes += 1;
        }
    }
    assert_eq!(nodes, 2);
}
