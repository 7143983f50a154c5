//! Processes whose pin records a newer or a different state than the store holds.

use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::Backend;
use cim_ipld_envelope::EncryptionAlgorithm;
#[cfg(feature = "simulation")]
use cim_ipld_persistence::Rule;
use cim_ipld_persistence::{Engine, ErrorKind, Result};

use crate::hand::{Hand, Held, Lie, Lying, MemoryPin, Outcome, check, refused};
use crate::support::{cid, cids, document, documents, encrypted, key, total};

async fn create(held: Held, hand: &Hand, pin: &MemoryPin) -> Result<Engine> {
    held.builder(hand.store()).pin(pin.shared()).create(encrypted()).await
}

async fn open(held: Held, store: Arc<dyn Backend>, pin: &MemoryPin) -> Result<Engine> {
    held.builder(store).pin(pin.shared()).open(Some(key(1))).await
}

/// The store is replaced with a copy from before a change.
async fn older_store(held: Held) -> Outcome {
    for what in ["record", "fold", "rotation"] {
        let (hand, pin) = (Hand::default(), MemoryPin::default());
        let engine = create(held, &hand, &pin).await?;
        engine.index(&documents(0..3)).await?;
        engine.fold().await?;
        engine.index(&[document(3, 0)]).await?;
        let older = hand.fork();
        match what {
            "record" => drop(engine.index(&[document(4, 0)]).await?),
            "fold" => engine.fold().await?,
            _ => engine.rotate_key(&key(1), EncryptionAlgorithm::AES256GCM).await?,
        }
        engine.close().await;
        let kept = pin.fork();
        open(held, hand.store(), &pin.fork()).await?.close().await;
        let refusal = open(held, older.store(), &kept).await;
        check(refusal.is_err(), format!("an older store was opened: {what}"))?;
        refused(refusal, &[ErrorKind::Rollback])?;
        // The store can be accepted explicitly, and is pinned from then on.
        let accepting = held.builder(older.store()).pin(kept.shared()).accept_store();
        let accepted = accepting.open(Some(key(1))).await?;
        check(total(&accepted, "shared").await == 4, "the older state was not accepted")?;
        accepted.index(&[document(9, 0)]).await?;
        accepted.close().await;
        let again = open(held, older.store(), &kept).await?;
        check(total(&again, "shared").await == 5, "the accepted state is not continued")?;
        // Lost records stay lost, because they belong to a retired epoch.
        for record in hand.records().await {
            older.again(&record).await;
        }
        again.index(&[document(10, 0)]).await?;
        check(!cids(&again, "shared").await.contains(&cid(4)), "a lost record came back")?;
        // The original store now holds a different history.
        refused(open(held, hand.store(), &kept).await, &[ErrorKind::Forked, ErrorKind::Rollback])?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_refuses_a_store_that_is_older_than_the_pin() {
    older_store(Held::all()).await.expect("held");
}

/// The store is replaced with a copy that has diverged.
async fn forked_store(held: Held) -> Outcome {
    for folds in [false, true] {
        let (hand, pin) = (Hand::default(), MemoryPin::default());
        let engine = create(held, &hand, &pin).await?;
        engine.index(&documents(0..3)).await?;
        let fork = hand.fork();
        let other = held.open(fork.store()).await?;
        engine.index(&[document(3, 0)]).await?;
        for number in 10..20 {
            other.index(&[document(number, 0)]).await?;
        }
        if folds {
            engine.fold().await?;
            other.fold().await?;
            other.index(&[document(20, 0)]).await?;
            other.fold().await?;
        }
        engine.close().await;
        refused(open(held, fork.store(), &pin).await, &[ErrorKind::Forked])?;
        open(held, hand.store(), &pin).await?.close().await;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_refuses_a_store_of_a_different_branch_from_the_pin() {
    forked_store(Held::all()).await.expect("held");
}

/// A writer ends without closing while one of its records is in flight. The next process with the
/// same pin makes the outcome final.
async fn unclean_end(held: Held) -> Outcome {
    let (hand, pin) = (Hand::default(), MemoryPin::default());
    let engine = create(held, &hand, &pin).await?;
    engine.index(&[document(1, 0)]).await?;
    engine.close().await;
    let lying = Lying::over(&hand);
    let engine = open(held, lying.store(), &pin).await?;
    engine.index(&[document(2, 0)]).await?;
    lying.lie(Lie::Hold);
    let writing = tokio::spawn({
        let engine = engine.clone();
        async move { engine.delete(&[cid(1)]).await }
    });
    let late = loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if let Some(late) = lying.take_kept() {
            break late;
        }
    };
    let kept = pin.fork();
    writing.abort();
    drop(engine);
    let successor = open(held, hand.store(), &kept).await?;
    check(total(&successor, "shared").await == 2, "the document was deleted")?;
    // The caller sees that nothing was deleted and continues.
    successor.index(&[document(1, 1)]).await?;
    hand.put(late.0.as_str(), late.1).await;
    successor.index(&[document(3, 0)]).await?;
    let ignored = successor.stats().await?.ignored;
    let fresh = held.open(hand.store()).await?;
    for engine in [&successor, &fresh] {
        check(total(engine, "shared").await == 3, "a record was applied after its outcome had been observed")?;
    }
    check(ignored.closed == 1, format!("{ignored:?}"))
}

#[tokio::test(start_paused = true)]
async fn history_closes_a_writer_that_did_not_end_cleanly() {
    unclean_end(Held::all()).await.expect("held");
}

/// With a damaged pin, or the pin of another index, no index is opened.
#[tokio::test(start_paused = true)]
async fn history_opens_nothing_with_an_unreadable_pin() {
    let (hand, pin) = (Hand::default(), MemoryPin::default());
    create(Held::all(), &hand, &pin).await.expect("created").close().await;
    let (other, strange) = (Hand::default(), MemoryPin::default());
    create(Held::all(), &other, &strange).await.expect("created").close().await;
    let damaged = MemoryPin::default();
    cim_ipld_persistence::PinStore::store(&damaged, b"junk").expect("stored");
    for unreadable in [strange, damaged] {
        let error = open(Held::all(), hand.store(), &unreadable).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Rollback, "{error}");
    }
    open(Held::all(), hand.store(), &pin).await.expect("opened");
}

/// Each scenario fails without its rule.
#[cfg(feature = "simulation")]
#[tokio::test(start_paused = true)]
async fn history_breaks_at_the_pin_without_each_rule() {
    use crate::hand::break_without;
    use futures::FutureExt;
    break_without(vec![
        (Rule::Pin, Box::new(|held| older_store(held).boxed())),
        (Rule::Pin, Box::new(|held| forked_store(held).boxed())),
        (Rule::ReachFormer, Box::new(|held| older_store(held).boxed())),
        (Rule::Close, Box::new(|held| unclean_end(held).boxed())),
        (Rule::Closed, Box::new(|held| unclean_end(held).boxed())),
    ])
    .await;
}
