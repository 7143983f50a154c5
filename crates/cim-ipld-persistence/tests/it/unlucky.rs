//! Processes that share a pin or a store interfere at the worst moment: no acknowledged write is
//! lost, and no observed outcome changes.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cim_ipld_backend::{Backend, Entry, ErrorKind as StoreErrorKind, Key, Revision};
use cim_ipld_persistence::{Engine, ErrorKind, PinStore, Result};

use crate::hand::{Hand, Held, Lie, Lying, MemoryPin, numbers};
use crate::staged::{Act, Call, Staged};
use crate::support::{cid, document, documents, encrypted, key, total};

async fn create(store: Arc<dyn Backend>, pin: &MemoryPin) -> Engine {
    Held::all().builder(store).pin(pin.shared()).create(encrypted()).await.expect("created")
}

async fn open(store: Arc<dyn Backend>, pin: Arc<dyn PinStore>) -> Result<Engine> {
    Held::all().builder(store).pin(pin).open(Some(key(1))).await
}

async fn until(mut reached: impl AsyncFnMut() -> bool) {
    while !reached().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A fold is published, and the process is suspended before it removes the deletes that the fold
/// replaced. Meanwhile, a restore names those deletes again.
#[tokio::test(start_paused = true)]
async fn unlucky_fold_removes_no_deletes_that_a_restore_named_again() {
    let hand = Hand::default();
    let staged = Staged::over(&hand);
    let one = Held::all().create(staged.store()).await.expect("created");
    one.index(&documents(0..4)).await.expect("indexed");
    one.fold().await.expect("folded");
    one.delete(&[cid(0)]).await.expect("deleted");
    one.create_snapshot("before").await.expect("made");
    let two = Held::all().open(hand.store()).await.expect("opened");
    let generation = two.stats().await.expect("read").generation;
    one.delete(&[cid(1)]).await.expect("deleted");
    let mut is_published = false;
    staged.play(move |call| {
        is_published |= matches!(call, Call::Put(key, _) if key.as_str() == "manifest");
        if is_published && matches!(call, Call::Delete(_)) { Act::Hold } else { Act::Pass }
    });
    let folding = tokio::spawn({
        let one = one.clone();
        async move { one.fold().await }
    });
    until(async || two.stats().await.expect("read").generation > generation).await;
    two.restore_snapshot("before").await.expect("restored");
    two.delete_snapshot("before").await.expect("deleted");
    staged.release();
    folding.await.expect("ended").expect("folded");
    let fresh = Held::all().open(hand.store()).await.expect("the deletes of the manifest exist");
    assert_eq!(numbers(&fresh).await.expect("read"), [1, 2, 3]);
    assert!(fresh.verify().await.expect("verified").is_sound());
}

/// A large record is not accepted, because its writer was closed, and is sealed again with the same
/// operations. A fold that is in progress at that moment then trims the first record.
#[tokio::test(start_paused = true)]
async fn unlucky_trim_removes_no_body_that_an_accepted_record_needs() {
    let (hand, pin) = (Hand::default(), MemoryPin::default());
    let staged = Staged::over(&hand);
    let one = create(hand.store(), &pin).await;
    one.index(&[document(0, 0)]).await.expect("indexed");
    let two = open(staged.store(), pin.shared()).await.expect("opened");
    two.index(&[document(1, 0)]).await.expect("indexed");
    let holding = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&holding);
    staged.play(move |call| match call {
        Call::Put(key, _) if key.as_str() == "manifest" => {
            held.store(true, Ordering::Relaxed);
            Act::Hold
        }
        _ => Act::Pass,
    });
    let folding = tokio::spawn({
        let two = two.clone();
        async move { two.fold().await }
    });
    until(async || holding.load(Ordering::Relaxed)).await;
    let large = document(2, 0).with_text(format!("shared {}", "words and ".repeat(300_000)));
    let position = one.index(&[large]).await.expect("acknowledged");
    two.wait_for(position).await.expect("read");
    staged.release();
    folding.await.expect("ended").expect("folded");
    let fresh = Held::all().open(hand.store()).await.expect("the body of the acknowledged record exists");
    assert_eq!(numbers(&fresh).await.expect("read"), [0, 1, 2]);
}

/// The catalog is rolled back further than the other buckets, which happens if backups of the
/// buckets were made one after the other.
#[tokio::test(start_paused = true)]
async fn unlucky_restore_of_only_the_catalog_can_be_continued() {
    let hand = Hand::default();
    let one = Held::all().create(hand.store()).await.expect("created");
    one.index(&documents(0..3)).await.expect("indexed");
    for number in 0..13 {
        one.create_snapshot(&number.to_string()).await.expect("made");
    }
    let older = hand.fork();
    for number in 13..18 {
        one.create_snapshot(&number.to_string()).await.expect("made");
    }
    one.close().await;
    older.take_objects(&hand).await;
    let two = Held::all().open(older.store()).await.expect("opened");
    for number in 20..30 {
        two.index(&[document(number, 0)]).await.expect("indexed");
        two.fold().await.expect("nothing is lost, and no other process has this catalog");
    }
    assert!(two.verify().await.expect("verified").is_sound());
}

/// Writes a delete that the store holds back, and ends without closing. Returns the record, and the
/// pin as it is at that moment.
async fn crash_with_a_delete_in_flight(lying: &Lying, engine: Engine, pin: &MemoryPin) -> (Key, Bytes, MemoryPin) {
    lying.lie(Lie::Hold);
    let deleting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.delete(&[cid(1)]).await }
    });
    let mut kept = None;
    until(async || {
        kept = kept.take().or_else(|| lying.take_kept());
        kept.is_some()
    })
    .await;
    let (key, value) = kept.expect("kept");
    let pin = pin.fork();
    deleting.abort();
    drop(engine);
    (key, value, pin)
}

/// The next process with this pin sees that nothing was deleted and continues. Then the delete
/// arrives.
async fn check_outcome_is_final(hand: &Hand, pin: &MemoryPin, late: (Key, Bytes)) {
    let successor = open(hand.store(), pin.shared()).await.expect("opened");
    assert!(numbers(&successor).await.expect("read").contains(&1), "nothing was deleted");
    successor.index(&[document(1, 1)]).await.expect("indexed");
    hand.put(late.0.as_str(), late.1).await;
    successor.index(&[document(99, 0)]).await.expect("indexed");
    let found = numbers(&successor).await.expect("read");
    assert!(found.contains(&1), "a delete was applied after its outcome had been observed: {found:?}");
}

#[tokio::test(start_paused = true)]
async fn unlucky_processes_of_one_pin_keep_each_others_writers() {
    let (hand, pin) = (Hand::default(), MemoryPin::default());
    let one = create(hand.store(), &pin).await;
    one.index(&[document(1, 0)]).await.expect("indexed");
    let lying = Lying::over(&hand);
    let two = open(lying.store(), pin.shared()).await.expect("opened");
    two.index(&[document(2, 0)]).await.expect("indexed");
    one.index(&[document(3, 0)]).await.expect("under a new identity, which the pin now records");
    let (key, late, pin) = crash_with_a_delete_in_flight(&lying, two, &pin).await;
    check_outcome_is_final(&hand, &pin, (key, late)).await;
}

/// The store reports that the key of every record is occupied, and holds the record back.
#[tokio::test(start_paused = true)]
async fn unlucky_writer_of_many_identities_forgets_none_that_is_in_doubt() {
    let (hand, pin) = (Hand::default(), MemoryPin::default());
    let staged = Staged::over(&hand);
    let engine = create(staged.store(), &pin).await;
    engine.index(&[document(1, 0)]).await.expect("indexed");
    let first: Arc<Mutex<Option<(Key, Bytes)>>> = Arc::default();
    let kept = Arc::clone(&first);
    staged.play(move |call| match call {
        Call::Put(key, value) if key.as_str().starts_with("journal.") => {
            kept.lock().expect("unpoisoned").get_or_insert_with(|| ((*key).clone(), (*value).clone()));
            Act::Fail(StoreErrorKind::Conflict)
        }
        Call::Get(key) if key.as_str().starts_with("journal.") => {
            Act::Find(Some(Entry { value: "junk".into(), revision: Revision::new(1) }))
        }
        _ => Act::Pass,
    });
    engine.delete(&[cid(1)]).await.expect_err("every key is occupied");
    let pin = pin.fork();
    drop(engine);
    let late = first.lock().expect("unpoisoned").take().expect("kept");
    check_outcome_is_final(&hand, &pin, late).await;
}

/// A pin that cannot be stored for some time.
#[derive(Clone, Debug)]
struct Failing(MemoryPin, Arc<AtomicBool>);

impl PinStore for Failing {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.load()
    }

    fn store(&self, pin: &[u8]) -> io::Result<()> {
        if self.1.load(Ordering::Relaxed) { Err(io::Error::other("the disk is full")) } else { self.0.store(pin) }
    }
}

#[tokio::test(start_paused = true)]
async fn unlucky_pin_that_fails_for_a_while_forgets_no_writer() {
    let (hand, pin) = (Hand::default(), MemoryPin::default());
    let lying = Lying::over(&hand);
    let first = create(lying.store(), &pin).await;
    first.index(&[document(1, 0)]).await.expect("indexed");
    let (key, late, pin) = crash_with_a_delete_in_flight(&lying, first, &pin).await;
    let failing = Failing(pin.clone(), Arc::default());
    let second = open(lying.store(), Arc::new(failing.clone())).await.expect("opened");
    failing.1.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        let error = second.index(&[document(2, 0)]).await.expect_err("no pin");
        assert_eq!(error.kind(), ErrorKind::PinUnavailable, "{error}");
    }
    failing.1.store(false, Ordering::Relaxed);
    // Its first record, which would close the first writer, is held back.
    let (_, _, pin) = crash_with_a_delete_in_flight(&lying, second, &pin).await;
    check_outcome_is_final(&hand, &pin, (key, late)).await;
}

/// The key of a record is occupied, so it is unknown whether the record was stored. All later
/// writes fail.
#[tokio::test(start_paused = true)]
async fn unlucky_record_whose_key_is_occupied_has_an_unknown_outcome() {
    let hand = Hand::default();
    let staged = Staged::over(&hand);
    let engine = Held::all().create(staged.store()).await.expect("created");
    engine.index(&[document(1, 0)]).await.expect("indexed");
    let first: Arc<Mutex<Option<(Key, Bytes)>>> = Arc::default();
    let kept = Arc::clone(&first);
    staged.play(move |call| match call {
        Call::Put(key, value) if key.as_str().starts_with("journal.") => {
            let mut kept = kept.lock().expect("unpoisoned");
            let kind = if kept.is_none() { StoreErrorKind::Conflict } else { StoreErrorKind::Unavailable };
            kept.get_or_insert_with(|| ((*key).clone(), (*value).clone()));
            Act::Fail(kind)
        }
        Call::Get(key) if key.as_str().starts_with("journal.") => {
            Act::Find(Some(Entry { value: "junk".into(), revision: Revision::new(1) }))
        }
        _ => Act::Pass,
    });
    let error = engine.delete(&[cid(1)]).await.expect_err("every write fails");
    let late = first.lock().expect("unpoisoned").take().expect("kept");
    hand.put(late.0.as_str(), late.1).await;
    let other = Held::all().open(hand.store()).await.expect("opened");
    assert_eq!(total(&other, "shared").await, 0, "the record was applied after all");
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
}

/// If accepting an older store fails before the new epoch has begun, the store is not accepted.
#[tokio::test(start_paused = true)]
async fn unlucky_acceptance_that_fails_accepts_nothing() {
    let (hand, pin) = (Hand::default(), MemoryPin::default());
    let engine = create(hand.store(), &pin).await;
    engine.index(&documents(0..3)).await.expect("indexed");
    let older = hand.fork();
    engine.index(&[document(3, 0)]).await.expect("indexed");
    engine.close().await;
    let staged = Staged::over(&older);
    staged.play(|call| match call {
        Call::Put(key, _) if key.as_str() == "keyset" => Act::Fail(StoreErrorKind::Denied),
        _ => Act::Pass,
    });
    let accepting = Held::all().builder(staged.store()).pin(pin.shared()).accept_store();
    accepting.open(Some(key(1))).await.expect_err("denied");
    let error = open(older.store(), pin.shared()).await.expect_err("the older store was accepted without a new epoch");
    assert!(matches!(error.kind(), ErrorKind::Rollback | ErrorKind::Forked), "{error}");
}

/// Another process that shares the pin publishes and pins a manifest after an opener has read the
/// previous manifest.
#[tokio::test(start_paused = true)]
async fn unlucky_opening_during_a_publication_is_no_rollback() {
    let (hand, pin) = (Hand::default(), MemoryPin::default());
    let one = create(hand.store(), &pin).await;
    one.index(&documents(0..3)).await.expect("indexed");
    let catalog = crate::hand::bucket("catalog_v1");
    let before = hand.0.get(&catalog, &Key::new("manifest").expect("a key")).await.expect("read");
    one.fold().await.expect("folded");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let staged = Staged::over(&hand);
    let mut first = before;
    staged.play(move |call| match call {
        Call::Get(key) if key.as_str() == "manifest" => {
            first.take().map_or(Act::Pass, |before| Act::Find(Some(before)))
        }
        _ => Act::Pass,
    });
    let two = open(staged.store(), pin.shared()).await.expect("a newer manifest, not an older store");
    assert_eq!(numbers(&two).await.expect("read"), [0, 1, 2]);
}
