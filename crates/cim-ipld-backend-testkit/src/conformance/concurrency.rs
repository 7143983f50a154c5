use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use cim_ipld_backend::{ErrorKind, KeyPrefix, Precondition, Revision};
use futures::{FutureExt, StreamExt};

use super::{Stage, assert_increasing, catch_up, key, next_entry, put, scanned, value};

const TASKS: usize = 8;

pub(super) async fn concurrent_writes_get_distinct_revisions(stage: Stage) {
    const WRITES: usize = 32;
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let tasks = (0..TASKS).map(|task| {
        let (backend, bucket) = (Arc::clone(&backend), bucket.clone());
        tokio::spawn(async move {
            let mut revisions = Vec::new();
            for n in 0..WRITES {
                revisions.push(put(&*backend, &bucket, &format!("t{task}.{n}"), "v").await);
            }
            assert!(revisions.is_sorted(), "the revisions of one writer are not increasing");
            revisions
        })
    });
    let given: BTreeSet<Revision> = futures::future::try_join_all(tasks).await.unwrap().into_iter().flatten().collect();
    assert_eq!(given.len(), TASKS * WRITES, "a revision was assigned twice");

    let entries = scanned(&*backend, &bucket, &KeyPrefix::all(), Revision::ZERO).await;
    assert_increasing(&entries);
    assert_eq!(entries.iter().map(|found| found.entry.revision).collect::<BTreeSet<_>>(), given);
}

pub(super) async fn one_of_many_creators_wins(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    for round in 0..8 {
        let name = key(&format!("round.{round}"));
        let tasks = (0..TASKS).map(|task| {
            let (backend, bucket, name) = (Arc::clone(&backend), bucket.clone(), name.clone());
            tokio::spawn(async move {
                let mine = Bytes::from(format!("task {task}"));
                match backend.put(&bucket, &name, mine.clone(), Precondition::Absent).await {
                    Ok(revision) => Some((mine, revision)),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
                        None
                    }
                }
            })
        });
        let winners: Vec<_> = futures::future::try_join_all(tasks).await.unwrap().into_iter().flatten().collect();
        let entry = backend.get(&bucket, &name).await.unwrap().unwrap();
        assert_eq!(winners, [(entry.value, entry.revision)]);
    }
}

pub(super) async fn compare_and_set_loses_no_increment(stage: Stage) {
    const INCREMENTS: usize = 8;
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    put(&*backend, &bucket, "counter", "0").await;
    let tasks = (0..TASKS).map(|_| {
        let (backend, bucket) = (Arc::clone(&backend), bucket.clone());
        tokio::spawn(async move {
            let counter = key("counter");
            let mut done = 0;
            while done < INCREMENTS {
                let entry = backend.get(&bucket, &counter).await.unwrap().unwrap();
                let count: usize = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                let next = Bytes::from((count + 1).to_string());
                match backend.put(&bucket, &counter, next, Precondition::Unchanged(entry.revision)).await {
                    Ok(_) => done += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
                }
            }
        })
    });
    futures::future::try_join_all(tasks).await.unwrap();
    assert_eq!(value(&*backend, &bucket, "counter").await.unwrap(), (TASKS * INCREMENTS).to_string());
}

pub(super) async fn a_dropped_write_is_whole_or_absent(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let size = backend.limits().preferred_value_bytes.min(64 << 10);
    for n in 0..32_u8 {
        let name = key(&format!("dropped.{n}"));
        let mut write = backend.put(&bucket, &name, Bytes::from(vec![n; size]), Precondition::Any);
        // Polls it up to `n + 1` times, then drops it.
        for _ in 0..=n {
            if write.as_mut().now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(write);
        put(&*backend, &bucket, "after", "v").await;
        if let Some(entry) = backend.get(&bucket, &name).await.unwrap() {
            assert!(
                entry.value.len() == size && entry.value.iter().all(|byte| *byte == n),
                "a partial write is visible"
            );
        }
    }
    let removed = key("dropped.0");
    drop(backend.delete(&bucket, std::slice::from_ref(&removed)).now_or_never());
    backend.delete(&bucket, std::slice::from_ref(&removed)).await.unwrap();
    assert!(backend.get(&bucket, &removed).await.unwrap().is_none());
}

pub(super) async fn dropped_streams_leave_the_backend_working(stage: Stage) {
    let (backend, bucket, all) = (stage.backend(), stage.bucket().await, KeyPrefix::all());
    for n in 0..64 {
        put(&*backend, &bucket, &format!("n{n}"), "v").await;
    }
    for taken in 0..16 {
        let mut scan = backend.scan(&bucket, &all, Revision::ZERO);
        let mut watch = backend.watch(&bucket, &all, Revision::ZERO);
        for _ in 0..taken {
            scan.next().await.unwrap().unwrap();
            next_entry(&mut watch).await;
        }
    }
    put(&*backend, &bucket, "last", "v").await;
    assert_eq!(scanned(&*backend, &bucket, &all, Revision::ZERO).await.len(), 65);
    assert_eq!(catch_up(&mut backend.watch(&bucket, &all, Revision::ZERO)).await.len(), 65);
}
