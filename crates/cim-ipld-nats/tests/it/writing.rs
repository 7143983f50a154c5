//! The outcomes of writes, including servers that pause or crash during them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use bytes::Bytes;
use cim_ipld_backend::{Backend, ErrorKind, Precondition, Revision};
use futures::stream::{FuturesUnordered, StreamExt};

use crate::support::{
    PATIENCE, connect, connect_with, hasty, jetstream, key, log, objects, put, server, value, value_at_last,
};

#[tokio::test]
async fn a_lost_comparison_is_a_conflict_and_changes_nothing() {
    let server = server();
    let (one, two) = (connect(&server).await, connect(&server).await);
    one.create(&log()).await.expect("created");
    let first = put(&one, &log(), "manifest", "one").await.expect("written");
    let second =
        two.put(&log(), &key("manifest"), "two".into(), Precondition::Unchanged(first)).await.expect("swapped");
    for precondition in [Precondition::Unchanged(first), Precondition::Absent, Precondition::Unchanged(Revision::ZERO)]
    {
        let error = one.put(&log(), &key("manifest"), "three".into(), precondition).await.expect_err("lost");
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    }
    let entry = one.get(&log(), &key("manifest")).await.expect("read").expect("there");
    assert_eq!((&*entry.value, entry.revision), (&b"two"[..], second));
}

/// A paused server has not failed the write: it processes the request when it resumes.
#[tokio::test]
async fn a_silence_is_an_unknown_outcome_that_reading_back_resolves() {
    let server = server();
    let backend = connect_with(&server, hasty()).await;
    backend.create(&log()).await.expect("created");
    put(&backend, &log(), "before", "value").await.expect("written");
    server.pause();
    let error = backend.put(&log(), &key("during"), "mine".into(), Precondition::Absent).await.expect_err("silence");
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    let error = value(&backend, &log(), "before").await.expect_err("silence");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    server.resume();
    assert_eq!(value_at_last(&backend, &log(), "during").await.as_deref(), Some("mine"));
    // A second write of the key is a conflict, and the value shows that the first one was stored.
    let error = backend.put(&log(), &key("during"), "mine".into(), Precondition::Absent).await.expect_err("there");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_among_writes_keeps_what_it_acknowledged() {
    const ROUNDS: u32 = 4;
    const WRITERS: u32 = 16;
    let mut server = server();
    for round in 0..ROUNDS {
        let backend = connect_with(&server, hasty()).await;
        backend.create(&objects()).await.expect("created");
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers: FuturesUnordered<_> = (0..WRITERS)
            .map(|writer| {
                let (backend, stop) = (backend.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut outcomes = Vec::new();
                    for write in 0.. {
                        if stop.load(Ordering::SeqCst) {
                            break;
                        }
                        let name = format!("round{round}.{writer}.{write}");
                        let value = Bytes::from(name.repeat(200));
                        let written = backend.put(&objects(), &key(&name), value.clone(), Precondition::Absent).await;
                        outcomes.push((name, value, written));
                    }
                    outcomes
                })
            })
            .collect();
        // A different number of writes each time, then a kill without warning.
        wait_for(&backend, &format!("round{round}.3.{}", 5 + 9 * round)).await;
        server.kill();
        server.restart();
        stop.store(true, Ordering::SeqCst);
        let reader = connect(&server).await;
        let mut acknowledged = 0;
        while let Some(outcomes) = writers.next().await {
            for (name, value, written) in outcomes.expect("joined") {
                let found = reader.get(&objects(), &key(&name)).await.expect("read");
                match written {
                    Ok(revision) => {
                        let found = found.unwrap_or_else(|| panic!("{name} was acknowledged but is missing"));
                        assert!(found.value == value && found.revision == revision, "{name}");
                        acknowledged += 1;
                    }
                    Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
                        assert!(found.is_none_or(|found| found.value == value), "{name} is incomplete");
                    }
                    Err(error) => {
                        assert_eq!((error.kind(), found), (ErrorKind::Unavailable, None), "{name}: {error:?}")
                    }
                }
            }
        }
        assert!(acknowledged > 0, "round {round}");
    }
}

async fn wait_for(backend: &cim_ipld_nats::NatsBackend, name: &str) {
    let waiting = async { while backend.get(&objects(), &key(name)).await.expect("read").is_none() {} };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it is written");
}

/// Once the client knows that the server is down, it does not send a write, so the write has
/// certainly not happened and can be repeated.
#[tokio::test]
async fn writes_go_on_when_the_server_comes_back() {
    let mut server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    put(&backend, &log(), "before", "value").await.expect("written");
    server.kill();
    let writing = tokio::spawn({
        let backend = backend.clone();
        async move {
            loop {
                match backend.put(&log(), &key("after"), "value".into(), Precondition::Absent).await {
                    Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::OutcomeUnknown) => {}
                    done => return done,
                }
            }
        }
    });
    server.restart();
    let written = tokio::time::timeout(PATIENCE, writing).await.expect("in time").expect("joined");
    // An earlier attempt whose outcome was unknown may have been stored.
    if let Err(error) = written {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    }
    assert_eq!(value_at_last(&backend, &log(), "after").await.as_deref(), Some("value"));
    assert_eq!(value_at_last(&backend, &log(), "before").await.as_deref(), Some("value"));
}

#[tokio::test]
async fn a_full_bucket_says_so_and_takes_more_when_there_is_room() {
    let server = server();
    let config = Config {
        name: "KV_text_index_v1".into(),
        subjects: vec!["$KV.text_index_v1.>".into()],
        max_messages_per_subject: 1,
        max_bytes: 256 << 10,
        discard: DiscardPolicy::New,
        allow_direct: true,
        ..Config::default()
    };
    jetstream(&server).await.create_stream(config).await.expect("made");
    let backend = connect(&server).await;
    let page = Bytes::from(vec![1; 64 << 10]);
    let mut written = 0;
    let error = loop {
        match backend.put(&objects(), &key(&format!("page.{written}")), page.clone(), Precondition::Absent).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 10, "the bucket is bounded");
    };
    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
    backend.delete(&objects(), &[key("page.0")]).await.expect("removed");
    backend.put(&objects(), &key("page.new"), page, Precondition::Absent).await.expect("there is room");
}

/// Concurrent writes of many times more bytes than may be in flight: all are stored exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_on_their_way_are_bounded_and_none_is_lost() {
    let server = server();
    let mut settings = cim_ipld_nats::NatsSettings::default();
    settings.in_flight_bytes = 1 << 20;
    let backend = connect_with(&server, settings).await;
    backend.create(&objects()).await.expect("created");
    let page = |number: u8| Bytes::from(vec![number; 256 << 10]);
    let writes = (0..100_u8).map(|number| {
        let (backend, page) = (backend.clone(), page(number));
        async move { backend.put(&objects(), &key(&format!("page.{number}")), page, Precondition::Absent).await }
    });
    let revisions = futures::future::try_join_all(writes).await.expect("written");
    let distinct: std::collections::BTreeSet<Revision> = revisions.iter().copied().collect();
    assert_eq!(distinct.len(), 100);
    for number in 0..100_u8 {
        let entry = backend.get(&objects(), &key(&format!("page.{number}"))).await.expect("read").expect("there");
        assert!(entry.value == page(number));
    }
}

#[tokio::test]
async fn a_bucket_that_is_deleted_under_the_backend_is_missing() {
    let server = server();
    let backend = connect(&server).await;
    for bucket in [log(), objects()] {
        backend.create(&bucket).await.expect("created");
        put(&backend, &bucket, "key", "value").await.expect("written");
        jetstream(&server).await.delete_stream(format!("KV_{bucket}")).await.expect("deleted");
        let gone = ErrorKind::BucketMissing;
        assert_eq!(value(&backend, &bucket, "key").await.expect_err("gone").kind(), gone);
        assert_eq!(put(&backend, &bucket, "key", "value").await.expect_err("gone").kind(), gone);
        assert_eq!(backend.delete(&bucket, &[key("key")]).await.expect_err("gone").kind(), gone);
        backend.create(&bucket).await.expect("made anew");
        assert_eq!(value(&backend, &bucket, "key").await.expect("read"), None);
    }
}
