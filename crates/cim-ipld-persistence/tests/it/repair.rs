//! Someone else stores entries under the keys that a process reads and writes. The process is not
//! stopped by unauthenticated entries, overwrites nothing newer than its own state, and it leaves
//! no garbage.

use std::time::Duration;

use cim_ipld_backend::{Backend, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_envelope::{Envelope, ObjectContext, ObjectKind, SealOptions};
use cim_ipld_persistence::ErrorKind;
use futures::StreamExt;
use tokio::time::Instant;

use crate::hand::{Hand, Held, Lying, MemoryPin, bucket, numbers};
use crate::support::{cid, document, documents, encrypted, key, total};

/// Returns the keys of a writer's next records, which anyone who watches the journal can predict.
async fn next_keys(hand: &Hand) -> Vec<String> {
    let last = hand.last_record().await;
    let (writer, sequence) = last.key.as_str().rsplit_once('.').expect("a record's key");
    let sequence: u64 = sequence.parse().expect("a number");
    (1..4).map(|ahead| format!("{writer}.{}", sequence + ahead)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_occupied_key_delays_a_writer_only_briefly() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    for number in 0..5 {
        engine.index(&[document(2 * number, 0)]).await.expect("indexed");
        for taken in next_keys(&hand).await {
            hand.put(&taken, "junk").await;
        }
        let begin = Instant::now();
        engine.index(&[document(2 * number + 1, 0)]).await.expect("indexed");
        assert!(begin.elapsed() < Duration::from_millis(100), "{:?}", begin.elapsed());
    }
    let fresh = Held::all().open(hand.store()).await.expect("opened");
    for engine in [&engine, &fresh] {
        assert_eq!(numbers(engine).await.expect("read"), Vec::from_iter(0..10));
    }
}

#[tokio::test(start_paused = true)]
async fn root_and_manifest_are_restored_if_a_known_record_exists() {
    for emptied in [&["keyset", "manifest"][..], &["manifest", "keyset"], &["keyset"], &["manifest"]] {
        let hand = Hand::default();
        let engine = Held::all().create(hand.store()).await.expect("created");
        engine.index(&documents(0..3)).await.expect("indexed");
        engine.fold().await.expect("folded");
        engine.index(&[document(3, 0)]).await.expect("indexed");
        let before = (hand.value("keyset").await, hand.value("manifest").await);
        for place in emptied {
            hand.delete(&Key::new(place).expect("a key")).await;
        }
        engine.index(&[document(4, 0)]).await.expect("indexed");
        engine.create_snapshot("one").await.expect("made");
        engine.delete_snapshot("one").await.expect("deleted");
        assert_eq!(hand.value("keyset").await, before.0, "{emptied:?}");
        let fresh = Held::all().open(hand.store()).await.expect("opened");
        for engine in [&engine, &fresh] {
            assert_eq!(numbers(engine).await.expect("read"), [0, 1, 2, 3, 4], "{emptied:?}");
            assert!(engine.verify().await.expect("verified").is_sound(), "{emptied:?}");
        }
    }
}

/// Seals `content` as a manifest, as newer software with the key would.
async fn sealed_manifest(hand: &Hand, content: &[u8]) -> bytes::Bytes {
    let envelope = Envelope::open_root(&hand.value("keyset").await, Some(&key(1))).await.expect("opened");
    let catalog = bucket("catalog_v1");
    let context = ObjectContext::new(catalog.name(), ObjectKind::MANIFEST, "manifest", 0);
    envelope.seal(&context, content, &SealOptions::default()).expect("sealed")
}

#[tokio::test(start_paused = true)]
async fn a_manifest_of_a_newer_format_stops_a_process_and_is_never_replaced() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..3)).await.expect("indexed");
    let newer = sealed_manifest(&hand, &[99, 1, 2, 3]).await;
    hand.put("manifest", newer.clone()).await;
    let error = engine.index(&[document(3, 0)]).await.expect_err("a newer format");
    assert_eq!(error.kind(), ErrorKind::UnsupportedVersion, "{error}");
    assert_eq!(engine.fold().await.expect_err("a newer format").kind(), ErrorKind::UnsupportedVersion);
    let error = Held::all().open(hand.store()).await.expect_err("a newer format");
    assert_eq!(error.kind(), ErrorKind::UnsupportedVersion, "{error}");
    assert_eq!(hand.value("manifest").await, newer);
}

#[tokio::test(start_paused = true)]
async fn an_unauthenticated_newer_format_is_junk() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..3)).await.expect("indexed");
    for place in ["manifest", "keyset"] {
        let before = hand.value(place).await;
        for version in [0, 3, 99, 255] {
            // The version is the second byte of the header of an envelope, and the first byte of
            // some other formats.
            for at in 0..6 {
                let mut claimed = before.to_vec();
                claimed[at] = version;
                hand.put(place, claimed).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        engine.index(&[document(3, 0)]).await.expect("indexed");
        engine.fold().await.expect("folded");
    }
    let fresh = Held::all().open(hand.store()).await.expect("opened");
    assert_eq!(numbers(&fresh).await.expect("read"), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_pin_of_another_index_is_not_overwritten() {
    let (first, second, pin) = (Hand::default(), Hand::default(), MemoryPin::default());
    let one = Held::all().builder(first.store()).pin(pin.shared()).create(encrypted()).await.expect("created");
    one.index(&[document(1, 0)]).await.expect("indexed");
    // Creating an index deliberately replaces whatever the pin records.
    let other = Held::all().builder(second.store()).pin(pin.shared()).create(encrypted()).await.expect("created");
    other.index(&documents(0..3)).await.expect("indexed");
    one.index(&[document(2, 0)]).await.expect("indexed");
    one.close().await;
    other.close().await;
    let again = Held::all().builder(second.store()).pin(pin.shared()).open(Some(key(1))).await.expect("its own pin");
    assert_eq!(total(&again, "shared").await, 3);
}

#[tokio::test(start_paused = true)]
async fn restoring_leaves_no_garbage() {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..3)).await.expect("indexed");
    engine.create_snapshot("one").await.expect("made");
    let mut objects = Vec::new();
    for number in 10..16 {
        engine.index(&[document(number, 0)]).await.expect("indexed");
        engine.fold().await.expect("folded");
        engine.restore_snapshot("one").await.expect("restored");
        assert_eq!(total(&engine, "shared").await, 3);
        let mut count = 0;
        for name in &crate::hand::BUCKETS[1..] {
            count += hand.all(name).await.len();
        }
        objects.push(count);
    }
    // Every sixteenth manifest adds a node of the ancestry.
    assert!(objects.iter().max() <= objects.iter().min().map(|least| least + 2).as_ref(), "{objects:?}");
}

/// Overwrites the metadata objects that are not `known`, such as the chunks of a spilled body.
async fn spoil_metadata(hand: &Hand, known: &[Key]) {
    let metadata = bucket("metadata_cache_v1");
    let entries = hand.0.scan(&metadata, &KeyPrefix::all(), Revision::ZERO);
    let entries: Vec<_> = entries.map(|entry| entry.expect("scanned")).collect().await;
    for entry in entries.into_iter().filter(|entry| !known.contains(&entry.key)) {
        hand.0.put(&metadata, &entry.key, "junk".into(), Precondition::Any).await.expect("put");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_body_stops_only_processes_that_need_it() {
    let hand = Hand::default();
    let writer = Held::all().create(hand.store()).await.expect("created");
    writer.index(&documents(0..3)).await.expect("indexed");
    let late = Lying::over(&hand);
    let reader = Held::all().open(late.store()).await.expect("opened");
    late.allow(0);
    let known: Vec<Key> = hand.all("metadata_cache_v1").await.into_iter().map(|entry| entry.key).collect();
    let large = document(3, 0).with_text(format!("shared {}", "words and ".repeat(300_000)));
    writer.index(&[large]).await.expect("indexed");
    spoil_metadata(&hand, &known).await;
    assert!(hand.all("metadata_cache_v1").await.len() > known.len(), "the body was spilled");
    // No other process has the body yet.
    let error = Held::all().open(hand.store()).await.expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    late.release();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // After the process that has the body folds it, no process needs the body any more.
    writer.fold().await.expect("folded");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let fresh = Held::all().open(hand.store()).await.expect("opened");
    for engine in [&writer, &reader, &fresh] {
        assert_eq!(numbers(engine).await.expect("read"), [0, 1, 2, 3]);
        assert!(engine.documents(&[cid(3)]).await.expect("read")[0].is_some());
    }
}
