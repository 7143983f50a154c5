//! Tests of [`Precondition::AbsentWhile`], limited to what every backend checks exactly.

use std::sync::Arc;

use cim_ipld_backend::{Backend, Bucket, ErrorKind, KeyPrefix, Precondition, Revision};

use super::{Stage, assert_kind, key, put, scanned, value};

/// The state of the fence at the time of the write.
#[derive(Clone, Copy, Debug)]
enum Fence {
    Stands,
    WasReplaced,
    WasRemoved,
    WasRemovedAndPutAgain,
    NeverStood,
}

/// The revision of the fence that the write expects.
#[derive(Clone, Copy, Debug)]
enum Expected {
    First,
    Newest,
    Zero,
    Future,
    OfTheBucket,
}

pub(super) async fn a_fence_decides_as_the_table_says(stage: Stage) {
    use Expected::{First, Future, Newest, OfTheBucket, Zero};
    use Fence::{NeverStood, Stands, WasRemoved, WasRemovedAndPutAgain, WasReplaced};
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let table = [
        (Stands, First, true),
        (Stands, Zero, false),
        (Stands, Future, false),
        (Stands, OfTheBucket, false),
        (WasReplaced, First, false),
        (WasReplaced, Newest, true),
        (WasRemoved, First, false),
        (WasRemoved, Zero, false),
        (WasRemoved, OfTheBucket, false),
        (WasRemovedAndPutAgain, First, false),
        (WasRemovedAndPutAgain, Newest, true),
        (NeverStood, First, false),
        (NeverStood, Zero, false),
        (NeverStood, OfTheBucket, false),
    ];
    for (row, (state, expected, holds)) in table.into_iter().enumerate() {
        let (name, fence) = (format!("record.{row}"), format!("root.{row}"));
        let (mut first, mut newest) = (Revision::new(1), Revision::new(1));
        if !matches!(state, NeverStood) {
            first = put(&*backend, &bucket, &fence, "first").await;
        }
        if matches!(state, WasRemoved | WasRemovedAndPutAgain) {
            backend.delete(&bucket, &[key(&fence)]).await.unwrap();
        }
        if matches!(state, WasReplaced | WasRemovedAndPutAgain) {
            newest = put(&*backend, &bucket, &fence, "second").await;
        }
        let last = put(&*backend, &bucket, "other", "moves the bucket's revision away from the fence's").await;
        let revision = match expected {
            First => first,
            Newest => newest,
            Zero => Revision::ZERO,
            Future => Revision::new(last.number() + 1_000_000),
            OfTheBucket => last,
        };
        let fenced = Precondition::AbsentWhile { key: key(&fence), revision };
        match backend.put(&bucket, &key(&name), "written".into(), fenced).await {
            Ok(revision) => {
                assert!(holds, "{state:?} with {expected:?} was written");
                assert!(revision > last);
                assert_eq!(value(&*backend, &bucket, &name).await.unwrap(), "written");
            }
            Err(error) => {
                assert!(!holds, "{state:?} with {expected:?} was refused: {error:?}");
                assert_eq!(error.kind(), ErrorKind::Conflict, "{state:?} with {expected:?}: {error:?}");
                assert!(value(&*backend, &bucket, &name).await.is_none(), "a refused write was stored");
            }
        }
    }
    let itself = put(&*backend, &bucket, "itself", "v").await;
    let fenced = Precondition::AbsentWhile { key: key("itself"), revision: itself };
    assert_kind(backend.put(&bucket, &key("itself"), "w".into(), fenced).await, ErrorKind::Conflict);
}

pub(super) async fn a_fenced_write_lands_once(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let revision = put(&*backend, &bucket, "root", "root").await;
    let fenced = Precondition::AbsentWhile { key: key("root"), revision };
    let tries = (0..8).map(|n| {
        let (backend, bucket, fenced) = (Arc::clone(&backend), bucket.clone(), fenced.clone());
        tokio::spawn(async move { backend.put(&bucket, &key("record"), format!("try {n}").into(), fenced).await })
    });
    let mut landed = Vec::new();
    for (n, outcome) in futures::future::try_join_all(tries).await.unwrap().into_iter().enumerate() {
        match outcome {
            Ok(revision) => landed.push((n, revision)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
        }
    }
    let [(n, revision)] = landed[..] else { panic!("expected exactly one of the writes to be stored: {landed:?}") };
    assert_kind(backend.put(&bucket, &key("record"), "again".into(), fenced).await, ErrorKind::Conflict);
    let entry = backend.get(&bucket, &key("record")).await.unwrap().unwrap();
    assert_eq!((entry.value, entry.revision), (format!("try {n}").into(), revision));
}

pub(super) async fn writers_behind_one_fence_all_get_through(stage: Stage) {
    const WRITERS: usize = 8;
    const WRITES: usize = 16;
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let revision = put(&*backend, &bucket, "root", "root").await;
    let writers = (0..WRITERS).map(|writer| {
        let (backend, bucket) = (Arc::clone(&backend), bucket.clone());
        tokio::spawn(async move {
            for n in 0..WRITES {
                let fenced = Precondition::AbsentWhile { key: key("root"), revision };
                backend.put(&bucket, &key(&format!("w{writer}.{n}")), "v".into(), fenced).await.unwrap();
            }
        })
    });
    futures::future::try_join_all(writers).await.unwrap();
    assert_eq!(scanned(&*backend, &bucket, &KeyPrefix::all(), revision).await.len(), WRITERS * WRITES);
}

pub(super) async fn no_write_lands_after_its_fence_has_moved(stage: Stage) {
    const WRITES: usize = 100;
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let mut root = put(&*backend, &bucket, "root", "root").await;
    for round in 0..8 {
        let writers = (0..4).map(|writer| {
            let (backend, bucket) = (Arc::clone(&backend), bucket.clone());
            let fenced = Precondition::AbsentWhile { key: key("root"), revision: root };
            tokio::spawn(async move {
                for n in 0..WRITES {
                    let name = key(&format!("round{round}.w{writer}.{n}"));
                    match backend.put(&bucket, &name, "v".into(), fenced.clone()).await {
                        Ok(_) => tokio::task::yield_now().await,
                        Err(error) => return assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
                    }
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        root = swap(&*backend, &bucket, root).await;
        futures::future::try_join_all(writers).await.unwrap();
        let below = KeyPrefix::below(&format!("round{round}")).unwrap();
        let late = scanned(&*backend, &bucket, &below, root).await;
        assert!(late.is_empty(), "{} writes were stored after {root}", late.len());
    }
}

/// Replaces the root. Some backends allow only one write at a time to compare the revision of a
/// given key. Such a backend may refuse the replacement while a write fenced on the root is in
/// progress.
async fn swap(backend: &dyn Backend, bucket: &Bucket, root: Revision) -> Revision {
    const TRIES: usize = 1000;
    for _ in 0..TRIES {
        match backend.put(bucket, &key("root"), "root".into(), Precondition::Unchanged(root)).await {
            Ok(revision) => return revision,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
        }
        tokio::task::yield_now().await;
    }
    panic!("the root at {root} could not be replaced")
}
