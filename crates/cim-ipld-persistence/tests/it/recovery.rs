//! An index that has lost objects is examined, restored and repaired.

use std::sync::Arc;

use cim_ipld_backend::{Backend, ErrorKind as StoreErrorKind, Key, Precondition};
use cim_ipld_persistence::{
    Condition, Engine, ErrorKind, FilePin, RepairOptions, RepairSource, StoreSource, StoredObject,
};

use crate::hand::{BUCKETS, Hand, Held, bucket};
use crate::staged::{Act, Call, Staged};
use crate::support::{by_hand, cid, document, documents, key, total};

/// Returns the keys in the object buckets.
async fn objects(hand: &Hand) -> Vec<StoredObject> {
    let mut objects = Vec::new();
    for name in &BUCKETS[1..] {
        for entry in hand.all(name).await {
            objects.push(StoredObject { bucket: (*name).to_owned(), key: entry.key.as_str().to_owned() });
        }
    }
    objects
}

async fn lose(hand: &Hand, object: &StoredObject) {
    let key = Key::new(&object.key).expect("a key");
    hand.0.delete(&bucket(&object.bucket), &[key]).await.expect("deleted");
}

/// An index with an intact snapshot of 10 documents, and 10 more.
async fn with_snapshot() -> (Hand, Vec<StoredObject>) {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..10)).await.expect("indexed");
    engine.create_snapshot("good").await.expect("snapshot");
    let before = objects(&hand).await;
    engine.index(&documents(10..20)).await.expect("indexed");
    engine.fold().await.expect("folded");
    engine.index(&documents(20..23)).await.expect("indexed");
    engine.close().await;
    let later = objects(&hand).await.into_iter().filter(|object| !before.contains(object)).collect();
    (hand, later)
}

#[tokio::test(start_paused = true)]
async fn recovery_restores_an_intact_snapshot_whatever_else_is_lost() {
    let (whole, later) = with_snapshot().await;
    assert!(later.len() > 5, "{later:?}");
    for lost in &later {
        let hand = whole.fork();
        lose(&hand, lost).await;
        let recovery = Held::all().builder(hand.store()).open_for_recovery(Some(key(1))).await.expect("opened");
        let list = recovery.snapshots().await.expect("listed");
        assert_eq!((list.snapshots.len(), list.unreadable), (1, 0), "{lost}");
        let report = recovery.verify().await.expect("verified");
        assert_eq!(report.problems.len(), 1, "{lost}: {:?}", report.problems);
        assert_eq!(report.problems[0].object.as_ref(), Some(lost));
        assert!(report.problems[0].of_index && report.problems[0].snapshots.is_empty(), "{:?}", report.problems);
        let restored = recovery.restore_snapshot("good").await.expect("restored");
        assert_eq!(restored.documents, 10);
        let engine = Held::all().open(hand.store()).await.expect("opened");
        assert_eq!(total(&engine, "shared").await, 10, "{lost}");
        assert!(engine.verify().await.expect("verified").is_sound(), "{lost}");
        engine.index(&[document(50, 0)]).await.expect("indexed");
        engine.fold().await.expect("folded");
        assert_eq!(total(&Held::all().open(hand.store()).await.expect("opened"), "shared").await, 11);
    }
}

#[tokio::test(start_paused = true)]
async fn recovery_names_a_lost_record_once_and_applies_the_later_ones() {
    let (whole, _) = with_snapshot().await;
    let records = whole.records().await;
    let engine = Held::all().open(whole.store()).await.expect("opened");
    for number in 30..36 {
        engine.index(&[document(number, 0)]).await.expect("indexed");
    }
    engine.close().await;
    let lost = whole.records().await[records.len() + 2].clone();
    let copy: Arc<dyn RepairSource> = Arc::new(StoreSource::new(Arc::new(whole.0.fork())));
    whole.delete(&lost.key).await;
    let error = Held::all().open(whole.store()).await.expect_err("a record is missing");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    let recovery = Held::all().builder(whole.store()).open_for_recovery(Some(key(1))).await.expect("opened");
    let report = recovery.verify().await.expect("verified");
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert_eq!(report.problems[0].object.as_ref().map(|object| object.key.as_str()), Some(lost.key.as_str()));
    assert!(report.problems[0].message.contains("3 later records depend on it"), "{:?}", report.problems);
    assert_eq!(report.condition(), Condition::DataLost);

    let with_copy = whole.fork();
    for (hand, sources, missing) in [(&with_copy, std::slice::from_ref(&copy), 0), (&whole, &[][..], 1)] {
        let dry = RepairOptions::default().dry_run(true);
        let builder = Held::all().builder(hand.store());
        let before = hand.all("catalog_v1").await;
        let planned = builder.repair(Some(key(1)), sources, dry).await.expect("planned");
        assert_eq!(hand.all("catalog_v1").await, before, "a dry run changed the store");
        let builder = Held::all().builder(hand.store());
        let report = builder.repair(Some(key(1)), sources, RepairOptions::default()).await.expect("repaired");
        assert_eq!(planned, report);
        assert_eq!((report.lost_records, report.is_complete()), (missing, missing == 0), "{report:?}");
        assert_eq!(report.salvaged_records, missing * 3, "{report:?}");
        assert_eq!(report.changed_history, missing > 0);
        let engine = Held::all().open(hand.store()).await.expect("opened");
        assert_eq!(total(&engine, "shared").await, 29 - missing);
        assert!(engine.verify().await.expect("verified").is_sound());
    }
}

#[tokio::test(start_paused = true)]
async fn recovery_rebuilds_text_tags_and_types_from_the_stored_documents() {
    let (whole, _) = with_snapshot().await;
    let hand = whole.fork();
    for name in ["text_index_v1", "tag_index_v1", "type_index_v1"] {
        hand.purge(&[name]).await;
    }
    let recovery = Held::all().builder(hand.store()).open_for_recovery(Some(key(1))).await.expect("opened");
    assert_eq!(recovery.verify().await.expect("verified").condition(), Condition::Recoverable);
    let builder = Held::all().builder(hand.store());
    let report = builder.repair(Some(key(1)), &[], RepairOptions::default()).await.expect("repaired");
    assert!(report.is_complete() && !report.changed_history, "{report:?}");
    assert_eq!(report.rebuilt_segments, 2);
    let engine = Held::all().open(hand.store()).await.expect("opened");
    let before = Held::all().open(whole.store()).await.expect("opened");
    for query in ["shared", "tag:tag1", "type:text/html", "number5 OR group3"] {
        let (now, then) = (crate::support::cids(&engine, query).await, crate::support::cids(&before, query).await);
        assert_eq!(now, then, "{query}");
    }
    engine.restore_snapshot("good").await.expect("the snapshot is rebuilt, too");
    assert_eq!(total(&engine, "shared").await, 10);
}

#[tokio::test(start_paused = true)]
async fn recovery_says_which_documents_are_lost() {
    let (whole, later) = with_snapshot().await;
    let mut lost = 0;
    for object in later.iter().filter(|object| object.bucket == "metadata_cache_v1") {
        let hand = whole.fork();
        lose(&hand, object).await;
        let recovery = Held::all().builder(hand.store()).open_for_recovery(Some(key(1))).await.expect("opened");
        let verified = recovery.verify().await.expect("verified");
        let builder = Held::all().builder(hand.store());
        let report = builder.repair(Some(key(1)), &[], RepairOptions::default()).await.expect("repaired");
        let engine = Held::all().open(hand.store()).await.expect("opened");
        let found = total(&engine, "shared").await;
        assert_eq!(found + report.lost_documents.len() as u64 + report.lost_unknown_documents, 23, "{report:?}");
        assert_eq!(verified.problems[0].documents, 23 - found, "{:?}", verified.problems);
        assert!(report.lost_documents.iter().all(|lost| (10..20).any(|number| cid(number) == *lost)));
        lost += report.lost_documents.len();
    }
    assert_eq!(lost, 10, "one object has the documents");
}

/// One bit of an object's header is flipped, in each of its first 16 bytes in turn. The version,
/// the algorithm and the id of the data key in the header are not authenticated until the object is
/// opened.
#[tokio::test(start_paused = true)]
async fn recovery_takes_a_damaged_header_for_damage_whatever_it_claims() {
    let (whole, later) = with_snapshot().await;
    let copy: Arc<dyn RepairSource> = Arc::new(StoreSource::new(Arc::new(whole.0.fork())));
    let record = whole.all("catalog_v1").await.into_iter().find(|entry| entry.key.as_str().starts_with("snapshot."));
    let record = record.expect("a snapshot").key.as_str().to_owned();
    let last = whole.last_record().await.key.as_str().to_owned();
    let of_catalog = [record, last].map(|key| StoredObject { bucket: "catalog_v1".to_owned(), key });
    for (number, object) in later.iter().chain(&of_catalog).enumerate() {
        let (bucket, key_name) = (bucket(&object.bucket), Key::new(&object.key).expect("a key"));
        let intact = whole.0.get(&bucket, &key_name).await.expect("read").expect("there").value;
        // The first 16 bytes of one object, and two bytes of every other object.
        for at in if number == 0 { 0..16 } else { 5..7 } {
            let what = format!("byte {at} of {object}");
            let mut damaged = intact.to_vec();
            damaged[at] ^= 0x40;
            // A running engine that has applied a record folds it when it is damaged.
            let running = whole.fork();
            let engine = Held::all().open(running.store()).await.expect("opened");
            running.0.put(&bucket, &key_name, damaged.clone().into(), Precondition::Any).await.expect("put");
            let report = engine.verify().await.expect("verified by a running engine");
            let named: Vec<_> = report.problems.iter().filter_map(|problem| problem.object.as_ref()).collect();
            assert!(named.contains(&object), "{what}: {:?}", report.problems);
            engine.close().await;
            let hand = whole.fork();
            hand.0.put(&bucket, &key_name, damaged.into(), Precondition::Any).await.expect("put");
            let recovery = Held::all().builder(hand.store()).open_for_recovery(Some(key(1))).await.expect("opened");
            let report = recovery.verify().await.expect("verified");
            let named: Vec<_> = report.problems.iter().filter_map(|problem| problem.object.as_ref()).collect();
            assert_eq!(named, [object], "{what}: {:?}", report.problems);
            assert_eq!(report.problems[0].kind, ErrorKind::Damaged, "{what}");
            let builder = Held::all().builder(hand.store());
            let sources = std::slice::from_ref(&copy);
            let report = builder.repair(Some(key(1)), sources, RepairOptions::default()).await.expect("repaired");
            assert!(report.is_complete(), "{what}: {report:?}");
            let engine = Held::all().open(hand.store()).await.expect("opened");
            assert_eq!(total(&engine, "shared").await, 23, "{what}");
            assert!(engine.verify().await.expect("verified").is_sound(), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn recovery_does_not_take_a_rotation_for_damage() {
    let (whole, _) = with_snapshot().await;
    let recovery = Held::all().builder(whole.store()).open_for_recovery(Some(key(1))).await.expect("opened");
    let engine = Held::all().open(whole.store()).await.expect("opened");
    let algorithm = cim_ipld_envelope::EncryptionAlgorithm::AES256GCM;
    engine.rotate_key(&key(2), algorithm).await.expect("rotated");
    engine.close().await;
    let error = recovery.verify().await.expect_err("the key was changed");
    assert_eq!(error.kind(), ErrorKind::KeyRotated, "{error}");
}

/// The rotation has replaced the root, but not the manifest: only the newest journal records do not
/// open under the former key.
#[tokio::test(start_paused = true)]
async fn recovery_does_not_take_an_unfinished_rotation_for_damage() {
    let (whole, _) = with_snapshot().await;
    let recovery = Held::all().builder(whole.store()).open_for_recovery(Some(key(1))).await.expect("opened");
    let staged = Staged::over(&whole);
    let engine = Held::all().open(staged.store()).await.expect("opened");
    staged.play(|call| match call {
        Call::Put(key, _) if key.as_str() == "manifest" => Act::Fail(StoreErrorKind::Denied),
        _ => Act::Pass,
    });
    let algorithm = cim_ipld_envelope::EncryptionAlgorithm::AES256GCM;
    engine.rotate_key(&key(2), algorithm).await.expect_err("it cannot fold");
    drop(engine);
    let error = recovery.verify().await.expect_err("the key was changed");
    assert_eq!(error.kind(), ErrorKind::KeyRotated, "{error}");
}

#[tokio::test(start_paused = true)]
async fn recovery_puts_back_the_root_and_the_manifest() {
    let (whole, _) = with_snapshot().await;
    let copy: Arc<dyn RepairSource> = Arc::new(StoreSource::new(Arc::new(whole.0.fork())));
    for gone in [&["keyset"][..], &["manifest"], &["keyset", "manifest"]] {
        let hand = whole.fork();
        for name in gone {
            hand.delete(&Key::new(name).expect("a key")).await;
        }
        let repair = |sources: Vec<Arc<dyn RepairSource>>, byte| {
            let builder = Held::all().builder(hand.store());
            async move { builder.repair(Some(key(byte)), &sources, RepairOptions::default()).await }
        };
        assert_eq!(repair(vec![], 1).await.expect_err("nothing has it").kind(), ErrorKind::Lost);
        repair(vec![Arc::clone(&copy)], 9).await.expect_err("another key");
        let report = repair(vec![Arc::clone(&copy)], 1).await.expect("repaired");
        assert_eq!(report.restored_objects, gone.len() as u64);
        let engine = Held::all().open(hand.store()).await.expect("opened");
        assert_eq!(total(&engine, "shared").await, 23, "{gone:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn recovery_never_undoes_a_rotation() {
    let (whole, _) = with_snapshot().await;
    let copy: Arc<dyn RepairSource> = Arc::new(StoreSource::new(Arc::new(whole.0.fork())));
    let engine = Held::all().open(whole.store()).await.expect("opened");
    let algorithm = cim_ipld_envelope::EncryptionAlgorithm::AES256GCM;
    engine.rotate_key(&key(2), algorithm).await.expect("rotated");
    engine.close().await;
    let before = whole.value("keyset").await;
    let builder = Held::all().builder(whole.store());
    let error = builder.repair(Some(key(1)), &[copy], RepairOptions::default()).await.expect_err("the former key");
    assert_eq!(error.kind(), ErrorKind::WrongKey, "{error}");
    assert_eq!(whole.value("keyset").await, before);
}

#[tokio::test(start_paused = true)]
async fn recovery_refuses_a_store_older_than_the_pin() {
    let folder = tempfile::tempdir().expect("a folder");
    let pin = Arc::new(FilePin::new(folder.path().join("pin")));
    let hand = Hand::default();
    let builder = |hand: &Hand| Engine::builder(hand.store()).settings(by_hand()).pin(pin.clone());
    let engine = builder(&hand).create(crate::support::encrypted()).await.expect("created");
    engine.index(&documents(0..3)).await.expect("indexed");
    engine.fold().await.expect("folded");
    let older = hand.fork();
    engine.index(&documents(3..6)).await.expect("indexed");
    engine.fold().await.expect("folded");
    engine.close().await;
    let error = builder(&older).repair(Some(key(1)), &[], RepairOptions::default()).await.expect_err("older");
    assert_eq!(error.kind(), ErrorKind::Rollback, "{error}");
    let repaired = builder(&older).accept_store().repair(Some(key(1)), &[], RepairOptions::default()).await;
    assert!(repaired.expect("accepted").is_unchanged());
    let unchanged = builder(&hand).repair(Some(key(1)), &[], RepairOptions::default()).await.expect("sound");
    assert!(unchanged.is_unchanged(), "{unchanged:?}");
}
