//! A retired data key authenticates nothing new, and an older keyset cannot be brought back.
//! The numbers in parentheses are those of the attacks listed in docs/decisions/0010.

use std::time::Duration;

use cim_ipld_envelope::EncryptionAlgorithm;
use cim_ipld_persistence::ErrorKind;
#[cfg(feature = "simulation")]
use cim_ipld_persistence::Rule;

use crate::hand::{Hand, Held, Lying, Outcome, check, numbers, refused};
use crate::support::{document, documents, key};

/// (6) A writer has not seen a rotation, and the store may ignore the fence.
async fn retired_key(held: Held, fenceless: bool) -> Outcome {
    let hand = Hand::default();
    let lying = if fenceless { Lying::over(&hand).fenceless() } else { Lying::over(&hand) };
    let one = held.create(hand.store()).await?;
    one.index(&documents(1..4)).await?;
    let stale = held.open(lying.store()).await?;
    lying.allow(0);
    one.rotate_key(&key(2), EncryptionAlgorithm::ChaCha20Poly1305).await?;
    let before = hand.records().await.len();
    let writing = tokio::spawn(async move { stale.index(&[document(50, 0)]).await });
    if fenceless {
        while hand.records().await.len() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    check(!writing.is_finished(), "the stale writer got a reply before it can have seen the rotation")?;
    lying.release();
    refused(writing.await?, &[ErrorKind::KeyRotated])?;
    one.index(&[document(4, 0)]).await?;
    let fresh = held.open_with(hand.store(), key(2)).await?;
    for engine in [&one, &fresh] {
        let found = numbers(engine).await?;
        check(found == [1, 2, 3, 4], format!("{found:?}"))?;
    }
    let ignored = one.stats().await?.ignored;
    check(ignored.retired == u64::from(fenceless), format!("{ignored:?}"))
}

async fn retired_key_without_fence(held: Held) -> Outcome {
    retired_key(held, true).await
}

#[tokio::test(start_paused = true)]
async fn history_lets_a_retired_key_authenticate_nothing_new() {
    retired_key(Held::all(), false).await.expect("held");
    retired_key_without_fence(Held::all()).await.expect("held");
}

/// (6) The manifest of a stale process arrives after the rotation.
async fn retired_manifest(held: Held) -> Outcome {
    let hand = Hand::default();
    let one = held.create(hand.store()).await?;
    one.index(&documents(1..4)).await?;
    one.fold().await?;
    let fork = hand.fork();
    let thief = held.open(fork.store()).await?;
    one.rotate_key(&key(2), EncryptionAlgorithm::AES256GCM).await?;
    one.index(&[document(4, 0)]).await?;
    // The holder of the old key can create any number of manifests.
    for name in ["a", "b", "c", "d", "e"] {
        thief.create_snapshot(name).await?;
    }
    hand.take_objects(&fork).await;
    hand.put("manifest", fork.value("manifest").await).await;
    one.index(&[document(5, 0)]).await?;
    let found = numbers(&one).await?;
    check(found == [1, 2, 3, 4, 5], format!("{found:?}"))?;
    check(one.stats().await?.ignored.retired == 1, "the manifest under the old key was not counted")?;
    let fresh = held.open_with(hand.store(), key(2)).await?;
    check(numbers(&fresh).await? == [1, 2, 3, 4, 5], "a new process lacks documents")
}

#[tokio::test(start_paused = true)]
async fn history_adopts_no_manifest_under_a_retired_key() {
    retired_manifest(Held::all()).await.expect("held");
}

/// (7) Only the keyset is rolled back.
async fn keyset_rolled_back(held: Held) -> Outcome {
    let hand = Hand::default();
    let one = held.create(hand.store()).await?;
    one.index(&documents(1..4)).await?;
    let old = hand.value("keyset").await;
    one.rotate_key(&key(2), EncryptionAlgorithm::AES256GCM).await?;
    let newest = hand.value("keyset").await;
    one.index(&[document(4, 0)]).await?;
    let fork = hand.fork();
    fork.put("keyset", old.clone()).await;
    refused(held.open_with(fork.store(), key(1)).await, &[ErrorKind::Rollback])?;
    refused(held.open_with(fork.store(), key(2)).await, &[ErrorKind::WrongKey])?;
    hand.put("keyset", old).await;
    one.index(&[document(5, 0)]).await?;
    check(hand.value("keyset").await == newest, "the newest keyset was not restored")?;
    let ignored = one.stats().await?.ignored;
    check(ignored.total() > 0, format!("the older keyset was not counted: {ignored:?}"))?;
    let fresh = held.open_with(hand.store(), key(2)).await?;
    check(numbers(&fresh).await? == [1, 2, 3, 4, 5], "a new process lacks documents")
}

#[tokio::test(start_paused = true)]
async fn history_refuses_a_keyset_that_was_rolled_back_alone() {
    keyset_rolled_back(Held::all()).await.expect("held");
}

/// Each scenario fails without its rule.
#[cfg(feature = "simulation")]
#[tokio::test(start_paused = true)]
async fn history_breaks_with_keys_without_each_rule() {
    use crate::hand::break_without;
    use futures::FutureExt;
    break_without(vec![
        (Rule::Epoch, Box::new(|held| retired_key_without_fence(held).boxed())),
        (Rule::Fence, Box::new(|held| retired_key(held, false).boxed())),
        (Rule::ManifestEpoch, Box::new(|held| retired_manifest(held).boxed())),
    ])
    .await;
}
