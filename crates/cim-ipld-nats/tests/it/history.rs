//! A bucket that is purged, recreated or rolled back while a process uses it.

use std::path::Path;
use std::time::{Duration, Instant};

use cim_ipld_backend::{Backend, ErrorKind, KeyPrefix, Precondition, Revision, WatchEvent, WatchStream};
use cim_ipld_backend_testkit::nats_server::NatsServer;
use cim_ipld_nats::NatsBackend;

use crate::support::{connect, entries_until, jetstream, key, log, names, next, put, server};

/// Returns a live watch over three values that has caught up.
async fn caught_up_watch(backend: &NatsBackend) -> (WatchStream, Revision) {
    backend.create(&log()).await.expect("created");
    let root = put(backend, &log(), "root", "value").await.expect("written");
    for name in ["one", "two"] {
        put(backend, &log(), name, "value").await.expect("written");
    }
    let mut watch = backend.watch(&log(), &KeyPrefix::all(), Revision::ZERO);
    entries_until(&mut watch, "two").await;
    assert_eq!(next(&mut watch).await.expect("told"), WatchEvent::CaughtUp);
    (watch, root)
}

/// Waits for an error from the watch, long enough for a busy machine.
async fn is_broken_off_soon(watch: &mut WatchStream) {
    let begin = Instant::now();
    let error = next(watch).await.expect_err("it is another bucket");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(6), "noticed after {:?}", begin.elapsed());
}

async fn make_anew(server: &NatsServer) -> NatsBackend {
    jetstream(server).await.delete_stream("KV_catalog_v1").await.expect("deleted");
    let other = connect(server).await;
    other.create(&log()).await.expect("made anew");
    other
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(from, to).expect("copied");
        }
    }
}

/// A purge removes every key. Revisions continue and watches stay valid, but the fence is removed
/// too, so fenced writes are refused.
#[tokio::test]
async fn a_purge_removes_every_key_and_with_it_the_fence() {
    let server = server();
    let backend = connect(&server).await;
    let (mut watch, root) = caught_up_watch(&backend).await;
    jetstream(&server).await.get_stream("KV_catalog_v1").await.expect("there").purge().await.expect("purged");
    let fenced = Precondition::AbsentWhile { key: key("root"), revision: root };
    let error = backend.put(&log(), &key("record"), "value".into(), fenced).await.expect_err("the root is gone");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    let after = put(&backend, &log(), "after", "value").await.expect("written");
    assert!(after.number() > root.number() + 2);
    let told = entries_until(&mut watch, "after").await;
    assert_eq!((names(&told), told[0].entry.revision), (vec!["after"], after));
}

#[tokio::test]
async fn a_bucket_made_anew_breaks_off_a_live_watch() {
    let server = server();
    let (mut watch, _) = caught_up_watch(&connect(&server).await).await;
    make_anew(&server).await;
    is_broken_off_soon(&mut watch).await;
}

/// The new bucket has more values than the old one had, so its sequences alone would not reveal the
/// change.
#[tokio::test]
async fn a_bucket_made_anew_and_filled_breaks_off_a_live_watch() {
    let server = server();
    let (mut watch, _) = caught_up_watch(&connect(&server).await).await;
    let other = make_anew(&server).await;
    for number in 0..10 {
        put(&other, &log(), &format!("new.{number}"), "value").await.expect("written");
    }
    is_broken_off_soon(&mut watch).await;
}

#[tokio::test]
async fn a_write_into_a_bucket_made_anew_is_no_success() {
    let server = server();
    let backend = connect(&server).await;
    let (watch, _) = caught_up_watch(&backend).await;
    drop(watch);
    make_anew(&server).await;
    let error = put(&backend, &log(), "new", "value").await.expect_err("it is another bucket");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(error.to_string().contains("as r1 after r3"), "{error}");
    // Revisions seen by reading count as well.
    let reader = connect(&server).await;
    let entry = reader.get(&log(), &key("new")).await.expect("read").expect("there");
    make_anew(&server).await;
    let error = put(&reader, &log(), "new", "value").await.expect_err("it is another bucket");
    assert_eq!((error.kind(), entry.revision), (ErrorKind::Corrupt, Revision::new(1)), "{error:?}");
    // A process that recreates the bucket itself can continue.
    jetstream(&server).await.delete_stream("KV_catalog_v1").await.expect("deleted");
    reader.create(&log()).await.expect("made anew");
    put(&reader, &log(), "new", "value").await.expect("written");
}

/// The folder of the server is replaced by an older copy: the same stream in an earlier state.
#[tokio::test]
async fn a_server_set_back_is_noticed_by_watches_and_writes() {
    let mut server = server();
    let backend = connect(&server).await;
    let (mut watch, _) = caught_up_watch(&backend).await;
    server.stop();
    let copies = tempfile::tempdir().expect("a folder");
    let older = copies.path().join("older");
    copy_folder(&server.store_folder(), &older);
    server.restart();
    for name in ["three", "four"] {
        put(&connect(&server).await, &log(), name, "value").await.expect("written");
    }
    entries_until(&mut watch, "four").await;
    server.stop();
    std::fs::remove_dir_all(server.store_folder()).expect("removed");
    copy_folder(&older, &server.store_folder());
    server.restart();
    is_broken_off_soon(&mut watch).await;
    let error = put(&backend, &log(), "again", "value").await.expect_err("its revision was assigned before");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
}

/// Acknowledgements out of order are not mistaken for a rolled-back bucket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writes_at_once_are_all_acknowledged() {
    let server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    let writes = (0..2000).map(|number| {
        let backend = backend.clone();
        tokio::spawn(async move { put(&backend, &log(), &format!("key.{number}"), "value").await })
    });
    for written in futures::future::try_join_all(writes).await.expect("joined") {
        written.expect("written");
    }
}
