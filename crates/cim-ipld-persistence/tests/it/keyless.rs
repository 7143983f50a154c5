//! Entries stored by someone without a key, or with a retired key, stop no process and cost little
//! more than their size.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cim_ipld_backend::ErrorKind as StoreErrorKind;
use cim_ipld_envelope::{EncryptionAlgorithm, Envelope, ObjectContext, ObjectKind, SealOptions};
use cim_ipld_persistence::ErrorKind;

use crate::hand::{Hand, Held, Lying, Outcome, check, numbers};
use crate::staged::{Act, Call, Staged};
use crate::support::{cid, document, documents, key, total};

const AES: EncryptionAlgorithm = EncryptionAlgorithm::AES256GCM;

/// Returns a copy of the object whose header names a data key that does not exist.
fn under_no_key(object: &Bytes) -> Vec<u8> {
    let mut object = object.to_vec();
    object[8] ^= 0xff;
    object
}

/// Stores the entries of a case, and checks that the engine still works.
async fn works_after(puts: &[&str]) -> Outcome {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await?;
    engine.index(&documents(0..3)).await?;
    let retired = hand.value("keyset").await;
    engine.rotate_key(&key(2), AES).await?;
    let manifest = hand.value("manifest").await;
    for put in puts {
        match *put {
            "manifest" => hand.put("manifest", under_no_key(&manifest)).await,
            "root" => hand.put("keyset", retired.clone()).await,
            other => hand.put(other, "junk").await,
        };
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    engine.index(&[document(3, 0)]).await?;
    engine.fold().await?;
    let fresh = Held::all().open_with(hand.store(), key(2)).await?;
    for engine in [&engine, &fresh] {
        check(numbers(engine).await? == [0, 1, 2, 3], "a document is missing")?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn keyless_objects_under_unknown_keys_stop_no_process() {
    let cases: [&[&str]; 5] =
        [&["root"], &["manifest"], &["manifest", "other", "other"], &["manifest", "root"], &["root", "manifest"]];
    let mut stopped = Vec::new();
    for puts in cases {
        if let Err(error) = works_after(puts).await {
            stopped.push(format!("{puts:?}: {error}"));
        }
    }
    assert!(stopped.is_empty(), "{stopped:#?}");
}

/// A root that was announced, and then replaced by the next rotation, is stored again.
#[tokio::test(start_paused = true)]
async fn keyless_replay_of_an_announced_root_is_repaired() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..3)).await.expect("indexed");
    engine.rotate_key(&key(2), AES).await.expect("rotated");
    let between = hand.value("keyset").await;
    engine.rotate_key(&key(3), AES).await.expect("rotated");
    let newest = hand.value("keyset").await;
    hand.put("keyset", between).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    engine.index(&[document(3, 0)]).await.expect("the older root is no rotation");
    assert_eq!(hand.value("keyset").await, newest);
    let fresh = Held::all().open_with(hand.store(), key(3)).await.expect("opened");
    assert_eq!(numbers(&fresh).await.expect("read"), [0, 1, 2, 3]);
}

/// An older manifest is put into the store while the only process that knows the newest manifest is
/// still reading the objects that it names.
#[tokio::test(start_paused = true)]
async fn keyless_replay_during_a_rebuild_is_put_back() {
    replay_is_put_back(|key| !["manifest", "keyset"].contains(&key)).await;
}

/// The watch shows the newest manifest to the only process that remains, but when that process
/// reads the manifest, an older one has been put in its place.
#[tokio::test(start_paused = true)]
async fn keyless_replay_before_a_rebuild_is_put_back() {
    replay_is_put_back(|key| key == "manifest").await;
}

/// Another process publishes a manifest and ends, and an older one is put in its place while the
/// reads of this process from the keys in `held` are delayed.
async fn replay_is_put_back(held: fn(&str) -> bool) {
    let hand = Hand::default();
    let staged = Staged::over(&hand);
    let reader = Held::all().create(staged.store()).await.expect("created");
    let writer = Held::all().open(hand.store()).await.expect("opened");
    writer.index(&documents(0..3)).await.expect("indexed");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let older = hand.value("manifest").await;
    staged.play(move |call| match call {
        Call::Get(key) if held(key.as_str()) => Act::Hold,
        _ => Act::Pass,
    });
    writer.fold().await.expect("folded");
    let newest = hand.value("manifest").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(writer);
    hand.put("manifest", older).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    staged.release();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(hand.value("manifest").await, newest);
    assert_eq!(numbers(&reader).await.expect("read"), [0, 1, 2]);
}

/// The publisher of the newest manifest has not yet removed the objects that this manifest no
/// longer names when an older manifest is put in its place. The publisher ends before it has
/// restored the newest manifest.
#[tokio::test(start_paused = true)]
async fn keyless_replay_before_a_removal_leaves_an_index_that_opens() {
    let hand = Hand::default();
    let staged = Staged::over(&hand);
    let engine = Held::all().create(staged.store()).await.expect("created");
    engine.index(&documents(0..3)).await.expect("indexed");
    engine.fold().await.expect("folded");
    engine.delete(&[cid(0)]).await.expect("deleted");
    engine.fold().await.expect("folded");
    let older = hand.value("manifest").await;
    engine.delete(&[cid(1)]).await.expect("deleted");
    let mut is_published = false;
    staged.play(move |call| match call {
        Call::Put(key, _) if key.as_str() == "manifest" => {
            is_published = true;
            Act::Pass
        }
        Call::Get(key) if key.as_str() == "manifest" && is_published => Act::Hold,
        _ => Act::Pass,
    });
    let replay = async {
        while hand.value("manifest").await == older {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        hand.put("manifest", older.clone()).await;
        staged.release();
        staged.play(|call| match call {
            Call::Put(key, _) if key.as_str() == "manifest" => Act::Fail(StoreErrorKind::Denied),
            _ => Act::Pass,
        });
    };
    let (folded, ()) = tokio::join!(engine.fold(), replay);
    folded.expect("folded");
    drop(engine);
    let fresh = Held::all().open(hand.store()).await.expect("opened");
    assert_eq!(numbers(&fresh).await.expect("read"), [2]);
}

/// A rotation was announced and came to nothing; then somebody puts an entry whose header names an
/// unknown data key.
#[tokio::test(start_paused = true)]
async fn keyless_junk_after_a_failed_rotation_stops_no_process() {
    let hand = Hand::default();
    let staged = Staged::over(&hand);
    let engine = Held::all().create(staged.store()).await.expect("created");
    engine.index(&documents(0..3)).await.expect("indexed");
    staged.play(|call| match call {
        Call::Put(key, _) if key.as_str() == "keyset" => Act::Fail(StoreErrorKind::Denied),
        _ => Act::Pass,
    });
    engine.rotate_key(&key(2), AES).await.expect_err("denied");
    staged.release();
    let record = hand.last_record().await.entry.value;
    hand.put("journal.00000000000000aa.0", under_no_key(&record)).await;
    engine.index(&[document(3, 0)]).await.expect("junk is ignored");
    let fresh = Held::all().open(hand.store()).await.expect("opened");
    assert_eq!(numbers(&fresh).await.expect("read"), [0, 1, 2, 3]);
}

/// A record under a retired key claims a body of a hundred thousand chunks, none of which exists.
#[tokio::test(start_paused = true)]
async fn keyless_record_under_a_retired_key_costs_little() {
    let hand = Hand::default();
    let staged = Staged::over(&hand);
    let engine = Held::all().create(staged.store()).await.expect("created");
    engine.index(&documents(0..3)).await.expect("indexed");
    let retired = Envelope::open_root(&hand.value("keyset").await, Some(&key(1))).await.expect("opened");
    engine.rotate_key(&key(2), AES).await.expect("rotated");
    let name = "journal.00000000000000aa.0";
    let mut record = vec![2, 0, 0];
    record.extend([0; 16]);
    record.extend([0, 0, 1]);
    record.extend([7; 32]);
    record.push(252);
    record.extend(100_000_u32.to_le_bytes());
    record.extend([0; 32]);
    let context = ObjectContext::new("catalog_v1", ObjectKind::JOURNAL, name, 0);
    hand.put(name, retired.seal(&context, &record, &SealOptions::default()).expect("sealed")).await;
    let removed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&removed);
    staged.play(move |call| {
        if let Call::Delete(keys) = call {
            counted.fetch_add(keys.len(), Ordering::Relaxed);
        }
        Act::Pass
    });
    engine.index(&[document(3, 0)]).await.expect("indexed");
    assert_eq!(engine.stats().await.expect("read").ignored.total(), 1, "the record is counted");
    engine.fold().await.expect("folded");
    let removed = removed.load(Ordering::Relaxed);
    assert!(removed < 4096, "{removed} objects were to be removed for an entry of a few hundred bytes");
}

/// The manifest entry is overwritten, and its repair fails or has an unknown outcome.
#[tokio::test(start_paused = true)]
async fn keyless_overwrite_stops_no_process_whose_repair_fails() {
    let mut stopped = Vec::new();
    for kind in [StoreErrorKind::OutcomeUnknown, StoreErrorKind::Full, StoreErrorKind::Denied] {
        let hand = Hand::default();
        let staged = Staged::over(&hand);
        let engine = Held::all().create(staged.store()).await.expect("created");
        engine.index(&documents(0..3)).await.expect("indexed");
        staged.play(move |call| match call {
            Call::Put(key, _) if key.as_str() == "manifest" => Act::Fail(kind),
            _ => Act::Pass,
        });
        hand.put("manifest", "junk").await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        staged.release();
        if let Err(error) = engine.index(&[document(3, 0)]).await {
            stopped.push(format!("{kind:?}: {error:?}"));
        }
    }
    assert!(stopped.is_empty(), "{stopped:#?}");
}

/// Two processes follow different manifests of the same generation, because one of them did not see
/// a replay in time.
#[tokio::test]
async fn keyless_replay_makes_no_two_processes_overwrite_each_other_forever() {
    let hand = Hand::default();
    let late = Lying::over(&hand);
    let one = Held::all().create(late.store()).await.expect("created");
    one.index(&documents(0..3)).await.expect("indexed");
    one.fold().await.expect("folded");
    let older = hand.value("manifest").await;
    one.create_snapshot("one").await.expect("made");
    late.allow(0);
    hand.put("manifest", older).await;
    let two = Held::all().open(hand.store()).await.expect("opened");
    two.create_snapshot("two").await.expect("made");
    late.release();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = hand.put("probe", "").await.number();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let writes = hand.put("probe", "").await.number() - before;
    assert!(writes < 50, "{writes} writes in a second, although no documents are written");
}

/// The bucket is missing when the manifest is read. That is a loss, so the process can put the
/// catalog back.
#[tokio::test(start_paused = true)]
async fn keyless_removal_of_the_bucket_is_a_loss() {
    let hand = Hand::default();
    let staged = Staged::over(&hand);
    let engine = Held::all().create(staged.store()).await.expect("created");
    engine.index(&documents(0..3)).await.expect("indexed");
    staged.play(|call| match call {
        Call::Get(_) => Act::Fail(StoreErrorKind::BucketMissing),
        _ => Act::Pass,
    });
    hand.put("other", "junk").await;
    hand.put("other", "junk again").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = engine.index(&[document(3, 0)]).await.expect_err("the bucket is gone");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");
}

/// Two records were written concurrently. The first is stored again, byte for byte, so that it
/// comes after the second in the store.
#[tokio::test(start_paused = true)]
async fn keyless_repetition_of_a_record_does_not_change_the_order() {
    let hand = Hand::default();
    let late = Lying::over(&hand);
    let one = Held::all().create(hand.store()).await.expect("created");
    let two = Held::all().open(late.store()).await.expect("opened");
    late.allow(0);
    one.index(&[document(1, 0)]).await.expect("indexed");
    let first = hand.last_record().await;
    let deleting = tokio::spawn(async move { two.delete(&[cid(1)]).await.map(|_| two) });
    while hand.records().await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    late.release();
    let two = deleting.await.expect("ended").expect("acknowledged");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(total(&one, "shared").await, 0, "the deletion follows the insertion");
    hand.again(&first).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let fresh = Held::all().open(hand.store()).await.expect("opened");
    for engine in [&one, &two, &fresh] {
        assert_eq!(total(engine, "shared").await, 0, "a deleted document came back");
    }
    one.index(&[document(2, 0)]).await.expect("indexed");
    for engine in [&two, &fresh] {
        engine.index(&[document(3, 0)]).await.expect("all processes follow the same order");
    }
}

/// A record is overwritten with the bytes of another record, and the only process that knows the
/// original closes immediately afterwards. The index that it leaves can be opened without loss.
#[tokio::test(start_paused = true)]
async fn keyless_substitution_is_repaired_on_close() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    for number in 1..=4 {
        engine.index(&[document(number, 0)]).await.expect("indexed");
    }
    let records = hand.records().await;
    hand.put(records[2].key.as_str(), records[0].entry.value.clone()).await;
    engine.index(&[document(5, 0)]).await.expect("a running process is not stopped");
    engine.close().await;
    let fresh = Held::all().open(hand.store()).await.expect("opened");
    assert_eq!(total(&fresh, "shared").await, 5);
    assert!(fresh.verify().await.expect("read").is_sound());
}
