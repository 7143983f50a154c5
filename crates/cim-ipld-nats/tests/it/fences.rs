//! Fenced writes on a real server.

use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, Precondition, Result, Revision};
use cim_ipld_nats::NatsBackend;

use crate::support::{connect, jetstream, key, log, put, server, value};

async fn fenced(backend: &NatsBackend, bucket: &Bucket, name: &Key, root: Revision) -> Result<Revision> {
    let precondition = Precondition::AbsentWhile { key: key("root"), revision: root };
    backend.put(bucket, name, "record".into(), precondition).await
}

/// The server itself compares the fence: it refuses the write with the error code of a failed
/// comparison.
#[tokio::test]
async fn the_server_compares_the_fences_subject() {
    let server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    let root = put(&backend, &log(), "root", "root").await.expect("written");
    fenced(&backend, &log(), &key("record.1"), root).await.expect("the root stands");
    jetstream(&server).await.get_stream("KV_catalog_v1").await.expect("there").purge().await.expect("purged");
    let error = fenced(&backend, &log(), &key("record.2"), root).await.expect_err("the root is gone");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(format!("{error:?}").contains("10071"), "{error:?}");
}

/// The purpose of fences: the stream was recreated and contains the root of another index.
#[tokio::test]
async fn a_stream_made_anew_takes_no_record_of_the_old_root() {
    let server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    put(&backend, &log(), "filler", "value").await.expect("written");
    let root = put(&backend, &log(), "root", "root").await.expect("written");
    jetstream(&server).await.delete_stream("KV_catalog_v1").await.expect("deleted");
    connect(&server).await.create(&log()).await.expect("made anew");
    let error = fenced(&backend, &log(), &key("record.1"), root).await.expect_err("there is no root");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    put(&connect(&server).await, &log(), "root", "another").await.expect("written");
    let error = fenced(&backend, &log(), &key("record.1"), root).await.expect_err("it is another root");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(value(&backend, &log(), "record.1").await.expect("read"), None);
}

/// If a record was written and then removed, a late retry of the write does not store it again.
#[tokio::test]
async fn a_retry_after_a_removal_does_not_land_again() {
    let server = server();
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    let root = put(&backend, &log(), "root", "root").await.expect("written");
    fenced(&backend, &log(), &key("record.1"), root).await.expect("written");
    backend.delete(&log(), &[key("record.1")]).await.expect("removed");
    let error = fenced(&backend, &log(), &key("record.1"), root).await.expect_err("it was written before");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(value(&backend, &log(), "record.1").await.expect("read"), None);
}
