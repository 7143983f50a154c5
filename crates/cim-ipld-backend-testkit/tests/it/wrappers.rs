//! Each wrapper works as documented, and does not affect other operations.

use std::time::Duration;

use cim_ipld_backend::{
    Backend, Bucket, Error, ErrorKind, Key, KeyPrefix, MemoryBackend, Precondition, Revision, WatchEvent,
};
use cim_ipld_backend_testkit::{Counting, CrashMoment, Crashing, Fault, FaultInjecting, OperationKind};
use futures::{FutureExt, StreamExt, TryStreamExt};

fn bucket() -> Bucket {
    Bucket::log("catalog_v1").unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn put(backend: &dyn Backend, name: &str) -> Result<Revision, Error> {
    backend.put(&bucket(), &key(name), name.to_owned().into(), Precondition::Any).await
}

async fn names(backend: &dyn Backend) -> Vec<String> {
    let entries: Vec<_> = backend.scan(&bucket(), &KeyPrefix::all(), Revision::ZERO).try_collect().await.unwrap();
    entries.iter().map(|found| found.key.to_string()).collect()
}

#[tokio::test]
async fn faults_on_writes_are_seen_and_done_as_named() {
    // The fault, the error kind returned, and whether the value was stored.
    let table = [
        (Fault::Fail(ErrorKind::Denied), Some(ErrorKind::Denied), false),
        (Fault::LostBefore, Some(ErrorKind::OutcomeUnknown), false),
        (Fault::LostAfter, Some(ErrorKind::OutcomeUnknown), true),
        (Fault::Duplicate, None, true),
        (Fault::CutAfter(0), None, true),
    ];
    for (fault, kind, written) in table {
        let backend = FaultInjecting::new(MemoryBackend::new());
        backend.at(2, fault);
        backend.create(&bucket()).await.unwrap();
        put(&backend, "before").await.unwrap();
        assert_eq!(put(&backend, "struck").await.err().map(|error| error.kind()), kind, "{fault:?}");
        put(&backend, "after").await.unwrap();
        let expected: &[&str] = if written { &["before", "struck", "after"] } else { &["before", "after"] };
        assert_eq!(names(&backend).await, expected, "{fault:?}");
        assert_eq!(backend.operations(), 5);
    }
}

#[tokio::test]
async fn a_duplicated_write_is_acknowledged_with_what_stands() {
    for (precondition, revision) in [(Precondition::Any, 2), (Precondition::Absent, 1)] {
        let backend = FaultInjecting::new(MemoryBackend::new());
        backend.create(&bucket()).await.unwrap();
        backend.at(1, Fault::Duplicate);
        let given = backend.put(&bucket(), &key("twice"), "v".into(), precondition).await.unwrap();
        assert_eq!(given, Revision::new(revision));
        assert_eq!(backend.get(&bucket(), &key("twice")).await.unwrap().unwrap().revision, given);
    }
}

#[tokio::test]
async fn faults_on_removals_are_done_as_named() {
    for (fault, gone) in [(Fault::LostBefore, false), (Fault::LostAfter, true), (Fault::Fail(ErrorKind::Full), false)] {
        let backend = FaultInjecting::new(MemoryBackend::new());
        backend.create(&bucket()).await.unwrap();
        put(&backend, "key").await.unwrap();
        backend.when(move |operation| (operation.kind == OperationKind::Delete).then_some(fault));
        assert!(backend.delete(&bucket(), &[key("key")]).await.is_err());
        assert_eq!(names(&backend).await.is_empty(), gone, "{fault:?}");
        backend.heal();
        backend.delete(&bucket(), &[key("key")]).await.unwrap();
        assert!(names(&backend).await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_takes_its_time_and_changes_nothing() {
    let backend = FaultInjecting::new(MemoryBackend::new());
    backend.create(&bucket()).await.unwrap();
    let minute = Duration::from_secs(60);
    backend.when(move |_| Some(Fault::Delay(minute)));
    let start = tokio::time::Instant::now();
    put(&backend, "late").await.unwrap();
    assert_eq!(names(&backend).await, ["late"]);
    assert!(backend.get(&bucket(), &key("late")).await.unwrap().is_some());
    assert!(start.elapsed() >= 3 * minute);
}

#[tokio::test]
async fn a_cut_stream_gives_its_items_then_an_error_then_ends() {
    let backend = FaultInjecting::new(MemoryBackend::new());
    backend.create(&bucket()).await.unwrap();
    for name in ["a", "b", "c"] {
        put(&backend, name).await.unwrap();
    }
    backend.when(|operation| (operation.kind == OperationKind::Watch).then_some(Fault::CutAfter(2)));
    let events: Vec<_> = backend.watch(&bucket(), &KeyPrefix::all(), Revision::ZERO).collect().await;
    let told: Vec<_> = events.iter().map(|event| event.as_ref().map_err(Error::kind)).collect();
    assert!(matches!(&told[..], [Ok(WatchEvent::Entry(_)), Ok(WatchEvent::Entry(_)), Err(ErrorKind::Unavailable)]));
    assert_eq!(names(&backend).await, ["a", "b", "c"], "scans are not struck");
}

#[tokio::test]
async fn a_crash_at_any_operation_leaves_a_prefix_of_the_script() {
    async fn script(backend: &dyn Backend) -> Result<(), Error> {
        backend.create(&bucket()).await?;
        put(backend, "a").await?;
        put(backend, "b").await?;
        backend.delete(&bucket(), &[key("a"), key("b")]).await?;
        put(backend, "c").await.map(|_revision| ())
    }
    // The state after each operation.
    let states: [&[&str]; 5] = [&[], &["a"], &["a", "b"], &[], &["c"]];
    for moment in CrashMoment::ALL {
        for struck in 0..5 {
            let backend = Crashing::new();
            backend.crash_at(struck, moment);
            assert_eq!(script(&backend).await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
            assert!(backend.has_crashed());
            assert_eq!(backend.create(&bucket()).await.unwrap_err().kind(), ErrorKind::Unavailable);
            assert_eq!(backend.check_bucket(&bucket()).await.unwrap_err().kind(), ErrorKind::Unavailable);

            let reopened = backend.reopen();
            if reopened.get(&bucket(), &key("x")).await.is_err() {
                assert_eq!((struck, moment), (0, CrashMoment::Before), "the bucket is missing");
                continue;
            }
            let struck = usize::try_from(struck).unwrap();
            let expected: &[&str] = match moment {
                CrashMoment::Before => states[struck - 1],
                CrashMoment::Midway if struck == 3 => &["b"],
                _ => states[struck],
            };
            assert_eq!(names(&reopened).await, expected, "{moment:?} operation {struck}");
            put(&reopened, "z").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_that_syncs_late_loses_its_last_acknowledged_writes() {
    let backend = Crashing::losing(2);
    backend.create(&bucket()).await.unwrap();
    for name in ["a", "b", "c"] {
        put(&backend, name).await.unwrap();
    }
    assert_eq!(names(&backend).await, ["a", "b", "c"]);
    let reopened = backend.reopen();
    assert_eq!(names(&reopened).await, ["a"]);
    assert_eq!(put(&reopened, "d").await.unwrap(), Revision::new(2), "lost revisions are assigned again");
}

#[tokio::test]
async fn a_crash_ends_open_watches() {
    let backend = Crashing::new();
    backend.create(&bucket()).await.unwrap();
    let mut watch = backend.watch(&bucket(), &KeyPrefix::all(), Revision::ZERO);
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::CaughtUp);
    assert!(watch.next().now_or_never().is_none(), "a quiet watch waits");
    backend.crash();
    assert_eq!(watch.next().await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn counts_are_kept_by_bucket_and_method() {
    let backend = Counting::new(MemoryBackend::new());
    let other = Bucket::objects("text_index_v1").unwrap();
    for bucket in [&bucket(), &other] {
        backend.create(bucket).await.unwrap();
    }
    for name in ["a", "bb"] {
        put(&backend, name).await.unwrap();
    }
    backend.put(&other, &key("page"), vec![0; 1000].into(), Precondition::Any).await.unwrap();
    let before = backend.counts();
    backend.get(&other, &key("page")).await.unwrap();
    backend.get(&other, &key("absent")).await.unwrap();
    backend.delete(&bucket(), &[key("a"), key("x")]).await.unwrap();
    assert_eq!(names(&backend).await, ["bb"]);

    let after = backend.counts();
    let count = |bucket: &str, kind| {
        let count = after.of(bucket, kind);
        (count.operations, count.values, count.bytes)
    };
    assert_eq!(count("catalog_v1", OperationKind::Put), (2, 2, 3));
    assert_eq!(count("text_index_v1", OperationKind::Put), (1, 1, 1000));
    assert_eq!(count("text_index_v1", OperationKind::Get), (2, 1, 1000));
    assert_eq!(count("catalog_v1", OperationKind::Delete), (1, 2, 0));
    assert_eq!(count("catalog_v1", OperationKind::Scan), (1, 1, 2));
    assert_eq!(count("text_index_v1", OperationKind::Watch), (0, 0, 0));
    let cost = after.since(&before);
    assert_eq!((cost.operations(), cost.bytes_written(), cost.bytes_read()), (4, 0, 1002));
}
