use std::sync::Arc;

use cim_ipld_backend::{Backend, Bucket, KeyPrefix, KeyedEntry, Revision, WatchEvent};

use super::{Stage, assert_increasing, catch_up, key, names, next_entry, next_event, put};

pub(super) async fn a_watch_catches_up_once_then_follows(stage: Stage) {
    let (backend, bucket, all) = (stage.backend(), stage.bucket().await, KeyPrefix::all());
    let mut early = backend.watch(&bucket, &all, Revision::ZERO);
    assert_eq!(next_event(&mut early).await, WatchEvent::CaughtUp, "an empty bucket is caught up at once");

    for name in ["a", "b"] {
        put(&*backend, &bucket, name, name).await;
    }
    let mut late = backend.watch(&bucket, &all, Revision::ZERO);
    assert_eq!(names(&catch_up(&mut late).await), ["a", "b"]);
    for name in ["c", "d"] {
        let revision = put(&*backend, &bucket, name, name).await;
        let told = next_entry(&mut late).await;
        assert_eq!((told.key.as_str(), told.entry.revision), (name, revision));
        assert_eq!(told.entry.value, name);
    }
    for name in ["a", "b", "c", "d"] {
        assert_eq!(next_entry(&mut early).await.key.as_str(), name);
    }
}

pub(super) async fn a_watch_resumes_after_a_revision(stage: Stage) {
    let (backend, bucket, all) = (stage.backend(), stage.bucket().await, KeyPrefix::all());
    let mut revisions = Vec::new();
    for name in ["a", "b", "c"] {
        revisions.push(put(&*backend, &bucket, name, name).await);
    }
    for (after, expected) in [(revisions[0], &["b", "c"][..]), (revisions[2], &[])] {
        let mut watch = backend.watch(&bucket, &all, after);
        assert_eq!(names(&catch_up(&mut watch).await), expected, "after {after}");
        put(&*backend, &bucket, "live", "v").await;
        assert_eq!(next_entry(&mut watch).await.key.as_str(), "live");
        backend.delete(&bucket, &[key("live")]).await.unwrap();
    }
}

pub(super) async fn a_watch_keeps_to_its_prefix(stage: Stage) {
    let (backend, bucket, below) = (stage.backend(), stage.bucket().await, KeyPrefix::below("journal").unwrap());
    for name in ["journal.old", "journal", "journals.old"] {
        put(&*backend, &bucket, name, name).await;
    }
    let mut watch = backend.watch(&bucket, &below, Revision::ZERO);
    assert_eq!(names(&catch_up(&mut watch).await), ["journal.old"]);
    for name in ["manifest", "journals.new", "journal.new"] {
        put(&*backend, &bucket, name, name).await;
    }
    assert_eq!(next_entry(&mut watch).await.key.as_str(), "journal.new");
}

pub(super) async fn a_watch_is_not_told_of_deletions(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    put(&*backend, &bucket, "goes", "v").await;
    let mut watch = backend.watch(&bucket, &KeyPrefix::all(), Revision::ZERO);
    assert_eq!(names(&catch_up(&mut watch).await), ["goes"]);
    backend.delete(&bucket, &[key("goes")]).await.unwrap();
    put(&*backend, &bucket, "sentinel", "v").await;
    assert_eq!(next_entry(&mut watch).await.key.as_str(), "sentinel");
}

pub(super) async fn a_watch_tells_overwrites_in_order(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let mut watch = backend.watch(&bucket, &KeyPrefix::all(), Revision::ZERO);
    assert!(catch_up(&mut watch).await.is_empty());
    for text in ["1", "2", "3", "4", "5"] {
        put(&*backend, &bucket, "key", text).await;
    }
    // A value may be skipped in favour of its successor, but the last one is delivered, and
    // revisions never decrease.
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last: &KeyedEntry| last.entry.value != "5") {
        seen.push(next_entry(&mut watch).await);
    }
    assert_increasing(&seen);
    put(&*backend, &bucket, "sentinel", "v").await;
    assert_eq!(next_entry(&mut watch).await.key.as_str(), "sentinel");
}

pub(super) async fn a_watch_misses_nothing_while_others_write(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let mut watch = backend.watch(&bucket, &KeyPrefix::all(), Revision::ZERO);
    let writers = start_writers(&backend, &bucket);
    let mut seen = Vec::new();
    let mut caught_up = 0;
    while seen.len() < WRITERS * WRITES {
        match next_event(&mut watch).await {
            WatchEvent::Entry(entry) => seen.push(entry),
            _ => caught_up += 1,
        }
    }
    futures::future::try_join_all(writers).await.unwrap();
    assert_complete(seen);
    if caught_up == 0 {
        assert_eq!(next_event(&mut watch).await, WatchEvent::CaughtUp);
    }
    assert!(caught_up <= 1, "CaughtUp was sent {caught_up} times");
}

pub(super) async fn a_watch_dropped_and_resumed_misses_nothing(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let writers = start_writers(&backend, &bucket);
    let (mut seen, mut after) = (Vec::new(), Revision::ZERO);
    while seen.len() < WRITERS * WRITES {
        let mut watch = backend.watch(&bucket, &KeyPrefix::all(), after);
        let mut taken = 0;
        while taken < 17 && seen.len() < WRITERS * WRITES {
            if let WatchEvent::Entry(entry) = next_event(&mut watch).await {
                after = entry.entry.revision;
                seen.push(entry);
                taken += 1;
            }
        }
    }
    futures::future::try_join_all(writers).await.unwrap();
    assert_complete(seen);
}

const WRITERS: usize = 4;
const WRITES: usize = 50;

fn start_writers(backend: &Arc<dyn Backend>, bucket: &Bucket) -> Vec<tokio::task::JoinHandle<()>> {
    let start = |writer: usize| {
        let (backend, bucket) = (Arc::clone(backend), bucket.clone());
        tokio::spawn(async move {
            for n in 0..WRITES {
                put(&*backend, &bucket, &format!("w{writer}.{n}"), "v").await;
            }
        })
    };
    (0..WRITERS).map(start).collect()
}

/// Asserts that every write was delivered exactly once: all writes in revision order, and the
/// writes of each writer in the order in which they were made.
fn assert_complete(seen: Vec<KeyedEntry>) {
    assert_increasing(&seen);
    for writer in 0..WRITERS {
        let prefix = KeyPrefix::below(&format!("w{writer}")).unwrap();
        let of_writer: Vec<&str> =
            seen.iter().filter(|told| prefix.contains(&told.key)).map(|told| told.key.as_str()).collect();
        let written: Vec<String> = (0..WRITES).map(|n| format!("w{writer}.{n}")).collect();
        assert_eq!(of_writer, written);
    }
}
