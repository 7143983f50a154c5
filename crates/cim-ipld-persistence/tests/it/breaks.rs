//! Whoever can write to the store and has no key brings nothing back, makes nothing vanish and
//! stops nobody. Each scenario fails when the rule against it is removed.

use std::time::Duration;

use cim_ipld_backend::Key;
#[cfg(feature = "simulation")]
use cim_ipld_persistence::Rule;
use cim_ipld_persistence::{Engine, ErrorKind};

use crate::hand::{BUCKETS, Hand, Held, Lie, Lying, Outcome, bucket, check, numbers, refused};
use crate::support::{cid, document, documents};

/// Checks that a running engine and one that is opened now have exactly these documents, and that
/// nothing is wrong.
async fn hold(held: Held, hand: &Hand, running: &[&Engine], expected: &[u32]) -> Outcome {
    let fresh = held.open(hand.store()).await?;
    for engine in running.iter().copied().chain([&fresh]) {
        let found = numbers(engine).await?;
        check(found == expected, format!("{found:?} are there instead of {expected:?}"))?;
        let problems = engine.verify().await?.problems;
        check(problems.is_empty(), format!("{problems:?}"))?;
    }
    Ok(())
}

/// (1) A record that was trimmed is published again.
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
    check(!hand.has(&record.key).await, "the record was trimmed")?;
    hand.again(&record).await;
    engine.index(&[document(5, 0)]).await?;
    let ignored = engine.stats().await?.ignored;
    hold(held, &hand, &[&engine], &[2, 3, 4, 5]).await?;
    check(ignored.duplicate == 1, format!("{ignored:?}"))
}

#[tokio::test(start_paused = true)]
async fn history_ignores_a_trimmed_record_that_is_published_again() {
    trimmed_record_again(Held::all()).await.expect("held");
}

/// (2) A put is acknowledged, with a revision that was given out already or one to come, and
/// dropped.
async fn dropped_put(held: Held) -> Outcome {
    for revision in [1, 2, 3, 4, 1000] {
        let hand = Hand::default();
        let lying = Lying::over(&hand);
        let engine = held.create(lying.store()).await?;
        engine.index(&[document(1, 0)]).await?;
        lying.lie(Lie::Drop(revision));
        refused(engine.index(&[document(2, 0)]).await, &[ErrorKind::OutcomeUnknown])?;
        engine.index(&[document(3, 0)]).await?;
        hold(held, &hand, &[&engine], &[1, 3]).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_reports_no_success_for_a_put_that_was_dropped() {
    dropped_put(Held::all()).await.expect("held");
}

/// (3) In place of a record, the store takes an older one again.
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
    check(numbers(&engine).await? == [1, 2, 4], "a running process has what it acknowledged")?;
    // The older one is no longer where it was: the running process notices that, and folds.
    tokio::time::sleep(Duration::from_secs(3)).await;
    hold(held, &hand, &[&engine], &[1, 2, 4]).await
}

#[tokio::test(start_paused = true)]
async fn history_reports_no_success_for_a_record_that_was_replaced_by_another_ones_replay() {
    replaced_by_replay(Held::all()).await.expect("held");
}

/// (3) A record goes or is overwritten after others were written over it: nobody opens that as if
/// it had not been there.
async fn record_taken_out(held: Held) -> Outcome {
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
        check(numbers(&engine).await? == [1, 2, 3, 4], "a running process has what it acknowledged")?;
        check(!engine.verify().await?.is_sound(), "verify passes the loss over")?;
        refused(held.open(hand.store()).await, &[ErrorKind::Lost, ErrorKind::Forked])?;
        // What the running process has, it folds: then nothing is missing.
        engine.fold().await?;
        hold(held, &hand, &[&engine], &[1, 2, 3, 4]).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn history_opens_no_journal_that_a_record_was_taken_out_of() {
    record_taken_out(Held::all()).await.expect("held");
}

/// (4) The unchanged manifest of a restore is put again, after later writes; an older one too.
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
    hold(held, &hand, &[&engine], &[1, 2, 3, 5, 6]).await?;
    // Nobody runs: an opener of an older one misses what later records attest.
    let fork = hand.fork();
    fork.put("manifest", before.clone()).await;
    refused(held.open(fork.store()).await, &[ErrorKind::Lost, ErrorKind::Forked])?;
    // Somebody runs: it is put right.
    hand.put("manifest", before).await;
    engine.index(&[document(7, 0)]).await?;
    check(hand.value("manifest").await == restored, "the newest manifest was not put back")?;
    hold(held, &hand, &[&engine], &[1, 2, 3, 5, 6, 7]).await?;
    check(engine.stats().await?.ignored.replayed == 1, "the older manifest is counted")
}

#[tokio::test(start_paused = true)]
async fn history_keeps_later_writes_when_an_older_manifest_is_put_again() {
    manifest_again_after_restore(Held::all()).await.expect("held");
}

/// (5) A copy of the store goes its own way; its manifest, several generations ahead, is put into
/// the first.
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

/// (5) The same with branches that hold the same records and differ in their manifests alone.
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
    // Sealed over another record at the same position.
    hand.again(&fork.last_record().await).await;
    engine.index(&[document(11, 0)]).await?;
    engine.index(&[document(12, 0)]).await?;
    let found = numbers(&engine).await?;
    check(!found.contains(&22), format!("{found:?}: a record over another history was applied"))
}

/// A record over a history that this process does not have is ahead of it, or of another branch: it
/// stops.
#[tokio::test(start_paused = true)]
async fn history_applies_no_record_of_another_branch() {
    let error = record_of_another_branch(Held::all()).await.expect_err("stopped");
    // What is missing is looked for some time, in which no write is acknowledged.
    let expected = ["history", "follows", "read back"];
    assert!(expected.iter().any(|what| error.to_string().contains(what)), "{error}");
}

/// (8) Junk in every place.
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
        check(numbers(engine).await?.starts_with(&[1, 2, 3]), "all documents are there")?;
        engine.index(&[document(4, 0)]).await?;
        let report = engine.verify().await?;
        let named = report.problems.iter().any(|problem| problem.message.contains(stranger));
        check(named, format!("verify names what may have been a record: {report:?}"))?;
    }
    let ignored = engine.stats().await?.ignored;
    check(ignored.junk >= 10, format!("{ignored:?}"))
}

#[tokio::test(start_paused = true)]
async fn history_is_stopped_by_no_junk_and_reports_it() {
    junk(Held::all()).await.expect("held");
}

/// Each scenario goes wrong, or comes to a stop, without the rule that it is about.
#[cfg(feature = "simulation")]
#[tokio::test(start_paused = true)]
async fn history_breaks_without_each_rule() {
    use crate::hand::break_without;
    use futures::FutureExt;
    break_without(vec![
        (Rule::Duplicate, Box::new(|held| trimmed_record_again(held).boxed())),
        (Rule::ReadBack, Box::new(|held| dropped_put(held).boxed())),
        (Rule::ReadBack, Box::new(|held| replaced_by_replay(held).boxed())),
        (Rule::RecordChain, Box::new(|held| record_taken_out(held).boxed())),
        (Rule::Generation, Box::new(|held| manifest_again_after_restore(held).boxed())),
        (Rule::Ancestry, Box::new(|held| forked_by_manifests(held).boxed())),
        (Rule::IgnoreJunk, Box::new(|held| junk(held).boxed())),
    ])
    .await;
}
