//! An attacker who can write to the store, but has no key, cannot bring back deleted documents,
//! remove documents or stop a process. Each scenario fails if the rule against it is removed.
//! The numbers in parentheses are those of the attacks listed in docs/decisions/0010.

use std::time::Duration;

use cim_ipld_backend::Key;
#[cfg(feature = "simulation")]
use cim_ipld_persistence::Rule;
use cim_ipld_persistence::{Engine, ErrorKind};

use crate::hand::{BUCKETS, Hand, Held, Lie, Lying, Outcome, bucket, check, numbers, refused};
use crate::support::{cid, document, documents};

/// Checks that the running engines and a newly opened one have exactly these documents, and that
/// verification finds no problem.
async fn check_documents(held: Held, hand: &Hand, running: &[&Engine], expected: &[u32]) -> Outcome {
    let fresh = held.open(hand.store()).await?;
    for engine in running.iter().copied().chain([&fresh]) {
        let found = numbers(engine).await?;
        check(found == expected, format!("found {found:?} instead of {expected:?}"))?;
        let problems = engine.verify().await?.problems;
        check(problems.is_empty(), format!("{problems:?}"))?;
    }
    Ok(())
}

/// (1) A trimmed record is stored again.
async fn trimmed_record_again(held: Held) -> Outcome {
    let hand = Hand::default();
    let engine = held.create(hand.store()).await?;
    engine.index(&[document(1, 0)]).await?;
    let record = hand.last_record().await;
    engine.delete(&[cid(1)]).await?;
    for number in 2..5 {
        engine.index(&[document(number, 0)]).await?;
        engine.fold().await?;
    }
    check(!hand.has(&record.key).await, "the record was not trimmed")?;
    hand.again(&record).await;
    engine.index(&[document(5, 0)]).await?;
    let ignored = engine.stats().await?.ignored;
    check_documents(held, &hand, &[&engine], &[2, 3, 4, 5]).await?;
    check(ignored.duplicate == 1, format!("{ignored:?}"))
}

#[tokio::test(start_paused = true)]
async fn history_ignores_a_trimmed_record_that_is_stored_again() {
    trimmed_record_again(Held::all()).await.expect("held");
}

/// (2) A put is acknowledged, with a revision of the past or the future, but dropped.
async fn dropped_put(held: Held) -> Outcome {
    for revision in [1, 2, 3, 4, 1000] {
        let hand = Hand::default();
        let lying = Lying::over(&hand);
        let engine = held.create(lying.store()).await?;
        engine.index(&[document(1, 0)]).await?;
        lying.lie(Lie::Drop(revision));
        refused(engine.index(&[document(2, 0)]).await, &[ErrorKind::OutcomeUnknown])?;
        engine.index(&[document(3, 0)]).await?;
        check_documents(held, &hand, &[&engine], &[1, 3]).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_reports_no_success_for_a_put_that_was_dropped() {
    dropped_put(Held::all()).await.expect("held");
}

/// (3) Instead of a record, the store stores an older one again.
async fn replaced_by_replay(held: Held) -> Outcome {
    let hand = Hand::default();
    let lying = Lying::over(&hand);
    let engine = held.create(lying.store()).await?;
    engine.index(&[document(1, 0)]).await?;
    let first = hand.last_record().await;
    engine.index(&[document(2, 0)]).await?;
    lying.lie(Lie::Replay(first));
    refused(engine.index(&[document(3, 0)]).await, &[ErrorKind::OutcomeUnknown])?;
    engine.index(&[document(4, 0)]).await?;
    check(numbers(&engine).await? == [1, 2, 4], "a running process lost an acknowledged write")?;
    // The older record is no longer at its original revision. The running process notices that and
    // folds.
    tokio::time::sleep(Duration::from_secs(3)).await;
    check_documents(held, &hand, &[&engine], &[1, 2, 4]).await
}

#[tokio::test(start_paused = true)]
async fn history_reports_no_success_for_a_record_that_a_replay_replaced() {
    replaced_by_replay(Held::all()).await.expect("held");
}

/// (3) A record is removed or overwritten after later records have attested it. The index cannot be
/// opened as if that record had never existed.
async fn removed_record(held: Held) -> Outcome {
    for overwrite in [false, true] {
        let hand = Hand::default();
        let engine = held.create(hand.store()).await?;
        engine.index(&[document(1, 0)]).await?;
        let first = hand.last_record().await;
        engine.index(&[document(2, 0)]).await?;
        let second = hand.last_record().await;
        engine.index(&[document(3, 0)]).await?;
        match overwrite {
            true => drop(hand.put(second.key.as_str(), first.entry.value).await),
            false => hand.delete(&second.key).await,
        }
        engine.index(&[document(4, 0)]).await?;
        check(numbers(&engine).await? == [1, 2, 3, 4], "a running process lost an acknowledged write")?;
        check(!engine.verify().await?.is_sound(), "verify overlooks the loss")?;
        refused(held.open(hand.store()).await, &[ErrorKind::Lost, ErrorKind::Forked])?;
        // The running process still has the record. After a fold, nothing is missing.
        engine.fold().await?;
        check_documents(held, &hand, &[&engine], &[1, 2, 3, 4]).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_opens_no_journal_with_a_removed_record() {
    removed_record(Held::all()).await.expect("held");
}

/// (4) The manifest of a restore is stored again after later writes, and then an older manifest.
async fn manifest_again_after_restore(held: Held) -> Outcome {
    let hand = Hand::default();
    let engine = held.create(hand.store()).await?;
    engine.index(&documents(1..4)).await?;
    engine.create_snapshot("one").await?;
    let before = hand.value("manifest").await;
    engine.index(&[document(9, 0)]).await?;
    engine.restore_snapshot("one").await?;
    let restored = hand.value("manifest").await;
    engine.index(&[document(5, 0)]).await?;
    hand.put("manifest", restored.clone()).await;
    engine.index(&[document(6, 0)]).await?;
    check_documents(held, &hand, &[&engine], &[1, 2, 3, 5, 6]).await?;
    // Without a running process, the older manifest cannot be opened, because later records attest
    // a newer history.
    let fork = hand.fork();
    fork.put("manifest", before.clone()).await;
    refused(held.open(fork.store()).await, &[ErrorKind::Lost, ErrorKind::Forked])?;
    // A running process repairs the entry.
    hand.put("manifest", before).await;
    engine.index(&[document(7, 0)]).await?;
    check(hand.value("manifest").await == restored, "the newest manifest was not restored")?;
    check_documents(held, &hand, &[&engine], &[1, 2, 3, 5, 6, 7]).await?;
    check(engine.stats().await?.ignored.replayed == 1, "the older manifest was not counted")
}

#[tokio::test(start_paused = true)]
async fn history_keeps_later_writes_when_an_older_manifest_is_stored_again() {
    manifest_again_after_restore(Held::all()).await.expect("held");
}

/// (5) A copy of the store diverges. Its manifest, which is several generations ahead, is stored in
/// the original.
async fn forked_by_records(held: Held) -> Outcome {
    let hand = Hand::default();
    let engine = held.create(hand.store()).await?;
    engine.index(&documents(1..4)).await?;
    engine.fold().await?;
    let fork = hand.fork();
    let other = held.open(fork.store()).await?;
    for number in 20..25 {
        other.index(&[document(number, 0)]).await?;
        other.fold().await?;
    }
    engine.index(&[document(10, 0)]).await?;
    hand.take_objects(&fork).await;
    hand.put("manifest", fork.value("manifest").await).await;
    refuse_the_other_branch(held, &hand, &engine).await
}

/// (5) The same, but the branches contain the same records and differ only in their manifests.
async fn forked_by_manifests(held: Held) -> Outcome {
    let hand = Hand::default();
    let engine = held.create(hand.store()).await?;
    engine.index(&documents(1..4)).await?;
    engine.fold().await?;
    engine.create_snapshot("one").await?;
    engine.index(&[document(10, 0)]).await?;
    engine.fold().await?;
    let fork = hand.fork();
    let other = held.open(fork.store()).await?;
    engine.create_snapshot("two").await?;
    for name in ["three", "four", "five"] {
        other.create_snapshot(name).await?;
    }
    other.delete_snapshot("one").await?;
    hand.take_objects(&fork).await;
    for entry in fork.all("catalog_v1").await {
        if entry.key.as_str().starts_with("snapshot") {
            hand.again(&entry).await;
        }
    }
    hand.put("manifest", fork.value("manifest").await).await;
    refuse_the_other_branch(held, &hand, &engine).await
}

async fn refuse_the_other_branch(held: Held, hand: &Hand, engine: &Engine) -> Outcome {
    refused(engine.index(&[document(11, 0)]).await, &[ErrorKind::Forked])?;
    refused(numbers(engine).await, &[ErrorKind::Forked])?;
    refused(engine.fold().await, &[ErrorKind::Forked])?;
    drop(held.open(hand.store()).await);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_adopts_no_manifest_of_another_branch() {
    forked_by_records(Held::all()).await.expect("held");
    forked_by_manifests(Held::all()).await.expect("held");
}

/// (5) Records of another branch.
async fn record_of_another_branch(held: Held) -> Outcome {
    let hand = Hand::default();
    let engine = held.create(hand.store()).await?;
    engine.index(&documents(1..4)).await?;
    let fork = hand.fork();
    let other = held.open(fork.store()).await?;
    engine.index(&[document(10, 0)]).await?;
    for number in 20..23 {
        other.index(&[document(number, 0)]).await?;
    }
    // This record attests a history with a different record at the same position.
    hand.again(&fork.last_record().await).await;
    engine.index(&[document(11, 0)]).await?;
    engine.index(&[document(12, 0)]).await?;
    let found = numbers(&engine).await?;
    check(!found.contains(&22), format!("{found:?}: a record of a different history was applied"))
}

/// A record that attests a history unknown to this process is either ahead of it or on another
/// branch. The process stops.
#[tokio::test(start_paused = true)]
async fn history_applies_no_record_of_another_branch() {
    let error = record_of_another_branch(Held::all()).await.expect_err("stopped");
    // The process looks for the missing records for some time, during which it acknowledges no
    // write.
    let expected = ["history", "follows", "read back"];
    assert!(expected.iter().any(|what| error.to_string().contains(what)), "{error}");
}

/// (8) Junk under every key.
async fn junk(held: Held) -> Outcome {
    let hand = Hand::default();
    let engine = held.create(hand.store()).await?;
    engine.index(&[document(1, 0)]).await?;
    let record = hand.last_record().await;
    let stranger = "journal.00000000000000aa.7";
    for name in [stranger, "journal.x", "journal.00000000000000AA.7", "journal.a.b.c", "snapshot.a.b", "other", "a.b"] {
        for value in [Vec::new(), b"junk".to_vec(), vec![0xc1; 10_000], record.entry.value.to_vec()] {
            hand.put(name, value).await;
        }
    }
    for name in &BUCKETS[1..] {
        let key = Key::new("junk").expect("a key");
        let any = cim_ipld_backend::Precondition::Any;
        cim_ipld_backend::Backend::put(&hand.0, &bucket(name), &key, vec![7; 100].into(), any).await?;
    }
    engine.index(&[document(2, 0)]).await?;
    for place in ["manifest", "keyset"] {
        for value in [Vec::new(), b"junk".to_vec(), record.entry.value.to_vec()] {
            hand.put(place, value).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    engine.index(&[document(3, 0)]).await?;
    engine.fold().await?;
    let fresh = held.open(hand.store()).await?;
    for engine in [&engine, &fresh] {
        check(numbers(engine).await?.starts_with(&[1, 2, 3]), "a document is missing")?;
        engine.index(&[document(4, 0)]).await?;
        let report = engine.verify().await?;
        let named = report.problems.iter().any(|problem| problem.message.contains(stranger));
        check(named, format!("verify does not name the entry that may have been a record: {report:?}"))?;
    }
    let ignored = engine.stats().await?.ignored;
    check(ignored.junk >= 10, format!("{ignored:?}"))
}

#[tokio::test(start_paused = true)]
async fn history_is_not_stopped_by_junk_and_reports_it() {
    junk(Held::all()).await.expect("held");
}

/// Each scenario fails or stalls without its rule.
#[cfg(feature = "simulation")]
#[tokio::test(start_paused = true)]
async fn history_breaks_without_each_rule() {
    use crate::hand::break_without;
    use futures::FutureExt;
    break_without(vec![
        (Rule::Duplicate, Box::new(|held| trimmed_record_again(held).boxed())),
        (Rule::ReadBack, Box::new(|held| dropped_put(held).boxed())),
        (Rule::ReadBack, Box::new(|held| replaced_by_replay(held).boxed())),
        (Rule::RecordChain, Box::new(|held| removed_record(held).boxed())),
        (Rule::Generation, Box::new(|held| manifest_again_after_restore(held).boxed())),
        (Rule::Ancestry, Box::new(|held| forked_by_manifests(held).boxed())),
        (Rule::IgnoreJunk, Box::new(|held| junk(held).boxed())),
    ])
    .await;
}
