//! A watch delivers each write once and in order, whatever happens to the connection and the
//! server.

use bytes::Bytes;
use cim_ipld_backend::{Backend, ErrorKind, Key, KeyPrefix, Precondition, Revision, WatchEvent};
use futures::StreamExt;

use crate::support::{
    PATIENCE, connect, connect_with, entries_until, hasty, jetstream, key, log, names, next, objects, put, server,
};

#[tokio::test]
async fn a_watch_goes_on_after_the_server_was_killed() {
    let mut server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    put(&backend, &log(), "old", "value").await.expect("written");
    let mut watch = backend.watch(&log(), &KeyPrefix::all(), Revision::ZERO);
    assert_eq!(names(&entries_until(&mut watch, "old").await), ["old"]);
    assert_eq!(next(&mut watch).await.expect("told"), WatchEvent::CaughtUp);
    for round in 0..3 {
        server.kill();
        server.restart();
        let writer = connect(&server).await;
        let (first, second) = (format!("first.{round}"), format!("second.{round}"));
        put(&writer, &log(), &first, "value").await.expect("written");
        put(&writer, &log(), &second, "value").await.expect("written");
        assert_eq!(names(&entries_until(&mut watch, &second).await), [&*first, &*second]);
    }
}

/// An engine starts a new watch after every manifest of another process. If ended watches left
/// their consumers behind, the server would soon refuse new ones.
#[tokio::test]
async fn an_ended_watch_leaves_no_consumer() {
    const WATCHES: usize = 100;
    let server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    for _ in 0..WATCHES {
        let mut watch = backend.watch(&log(), &KeyPrefix::all(), Revision::ZERO);
        assert_eq!(next(&mut watch).await.expect("told"), WatchEvent::CaughtUp);
    }
    let stream = jetstream(&server).await.get_stream("KV_catalog_v1").await.expect("found");
    let left = stream.cached_info().state.consumer_count;
    assert!(left < WATCHES / 2, "{left} consumers of {WATCHES} watches are left");
}

/// A watch that has delivered nothing yet must neither restart from the beginning nor miss the
/// first write.
#[tokio::test]
async fn a_watch_from_the_end_goes_on_after_the_server_was_killed() {
    let mut server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    let mut last = Revision::ZERO;
    for number in 0..5 {
        last = put(&backend, &log(), &format!("old.{number}"), "value").await.expect("written");
    }
    let mut watch = backend.watch(&log(), &KeyPrefix::all(), last);
    assert_eq!(next(&mut watch).await.expect("told"), WatchEvent::CaughtUp);
    server.kill();
    server.restart();
    put(&connect(&server).await, &log(), "new", "value").await.expect("written");
    assert_eq!(names(&entries_until(&mut watch, "new").await), ["new"]);
}

#[tokio::test]
async fn a_watch_goes_on_after_the_server_stood_still() {
    let server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    let mut watch = backend.watch(&log(), &KeyPrefix::all(), Revision::ZERO);
    assert_eq!(next(&mut watch).await.expect("told"), WatchEvent::CaughtUp);
    put(&backend, &log(), "before", "value").await.expect("written");
    server.pause();
    // Long enough that the consumer is considered dead: nothing is delivered in the meantime.
    let nothing = tokio::time::timeout(std::time::Duration::from_secs(3), entries_until(&mut watch, "after")).await;
    assert!(nothing.is_err());
    server.resume();
    put(&connect(&server).await, &log(), "after", "value").await.expect("written");
    assert_eq!(names(&entries_until(&mut watch, "after").await).last(), Some(&"after"));
}

/// A caller does not wait forever for a server that does not come back.
#[tokio::test]
async fn a_scan_of_a_server_that_is_away_ends_with_an_error() {
    let mut server = server();
    let backend = connect_with(&server, hasty()).await;
    backend.create(&log()).await.expect("created");
    put(&backend, &log(), "key", "value").await.expect("written");
    server.kill();
    let scanned = tokio::time::timeout(PATIENCE, backend.scan(&log(), &KeyPrefix::all(), Revision::ZERO).next()).await;
    let error = scanned.expect("it ends").expect("it says why").expect_err("there is no server");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn a_bucket_made_anew_is_not_followed_on() {
    let server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    for number in 0..3 {
        put(&backend, &log(), &format!("old.{number}"), "value").await.expect("written");
    }
    let mut watch = backend.watch(&log(), &KeyPrefix::all(), Revision::ZERO);
    entries_until(&mut watch, "old.2").await;
    assert_eq!(next(&mut watch).await.expect("told"), WatchEvent::CaughtUp);
    jetstream(&server).await.delete_stream("KV_catalog_v1").await.expect("deleted");
    backend.create(&log()).await.expect("made anew");
    let error = next(&mut watch).await.expect_err("it lost everything");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");

    // The same without a watch at the time: the bucket ends before a revision already seen.
    let mut watch = backend.watch(&log(), &KeyPrefix::all(), Revision::new(3));
    let error = next(&mut watch).await.expect_err("the bucket was rolled back");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
}

#[tokio::test]
async fn a_bucket_that_is_deleted_ends_its_watches() {
    let server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    let mut watch = backend.watch(&log(), &KeyPrefix::all(), Revision::ZERO);
    assert_eq!(next(&mut watch).await.expect("told"), WatchEvent::CaughtUp);
    jetstream(&server).await.delete_stream("KV_catalog_v1").await.expect("deleted");
    assert_eq!(next(&mut watch).await.expect_err("gone").kind(), ErrorKind::BucketMissing);
}

/// Pending values that are removed after a scan began do not prevent it from ending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_ends_although_what_it_waits_for_is_removed() {
    let server = server();
    let backend = connect(&server).await;
    backend.create(&objects()).await.expect("created");
    for round in 0..10 {
        let keys: Vec<Key> = (0..40).map(|number| key(&format!("round{round}.{number}"))).collect();
        for key in &keys {
            backend.put(&objects(), key, Bytes::from(vec![1; 4096]), Precondition::Any).await.expect("written");
        }
        let prefix = KeyPrefix::below(&format!("round{round}")).expect("a prefix");
        let bucket = objects();
        let scans = (0..4).map(|_| backend.scan(&objects(), &prefix, Revision::ZERO).count());
        let (removed, counted) = tokio::join!(
            backend.delete(&bucket, &keys),
            tokio::time::timeout(PATIENCE, futures::future::join_all(scans)),
        );
        removed.expect("removed");
        assert!(counted.expect("every scan ends").into_iter().all(|count| count <= keys.len()));
    }
}

/// Far more data than the server and the client buffer, with a reader that pauses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_waited_for_and_misses_nothing() {
    const VALUES: u32 = 400;
    let server = server();
    let backend = connect(&server).await;
    backend.create(&objects()).await.expect("created");
    let mut watch = backend.watch(&objects(), &KeyPrefix::all(), Revision::ZERO);
    assert_eq!(next(&mut watch).await.expect("told"), WatchEvent::CaughtUp);
    for number in 0..VALUES {
        let page = Bytes::from(vec![number as u8; 256 << 10]);
        backend.put(&objects(), &key(&format!("page.{number}")), page, Precondition::Absent).await.expect("written");
    }
    let entries = entries_until(&mut watch, &format!("page.{}", VALUES - 1)).await;
    let expected: Vec<String> = (0..VALUES).map(|number| format!("page.{number}")).collect();
    assert_eq!(names(&entries), expected);
    assert!(
        (0..VALUES).zip(&entries).all(|(number, entry)| entry.entry.value.iter().all(|byte| *byte == number as u8))
    );
}
