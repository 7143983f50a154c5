//! Account limits are reported with their own kinds and the server's message, never as an
//! unavailable server.

use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Error, ErrorKind, KeyPrefix, MAX_BUCKET_BYTES, MAX_KEY_BYTES, Precondition, Revision,
};
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
use cim_ipld_nats::VALUE_OVERHEAD_BYTES;
use futures::StreamExt;

use crate::support::{connect, key, log, objects, put, value};

/// Starts a server whose only account has these JetStream limits.
fn server(jetstream: &str) -> NatsServer {
    let config = format!(
        "accounts {{ A {{ jetstream: {jetstream}, users: [ {{ user: a, password: a }} ] }} }}\nno_auth_user: a"
    );
    NatsServer::start(ServerOptions { config, ..ServerOptions::default() })
}

#[track_caller]
fn assert_told(error: &Error, kind: ErrorKind, words: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn an_account_with_too_few_streams_is_full() {
    let server = server("{ max_streams: 1 }");
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("the first");
    let error = backend.create(&objects()).await.expect_err("the second");
    assert_told(&error, ErrorKind::Full, "maximum number of streams reached");
    put(&backend, &log(), "key", "value").await.expect("the first goes on");
}

#[tokio::test]
async fn an_account_with_too_few_consumers_is_full() {
    let server = server("{ max_consumers: 1 }");
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    put(&backend, &log(), "key", "value").await.expect("written");
    let mut first = backend.watch(&log(), &KeyPrefix::all(), Revision::ZERO);
    first.next().await.expect("told").expect("the first");
    let mut second = backend.watch(&log(), &KeyPrefix::all(), Revision::ZERO);
    let error = second.next().await.expect("told").expect_err("the second");
    assert_told(&error, ErrorKind::Full, "maximum consumers limit reached");
}

#[tokio::test]
async fn an_account_that_wants_sizes_is_incompatible() {
    let server = server("{ max_bytes_required: true }");
    let error = connect(&server).await.create(&log()).await.expect_err("it declares none");
    assert_told(&error, ErrorKind::Incompatible, "max bytes");
}

#[tokio::test]
async fn an_account_without_jetstream_is_told_so() {
    let server = server("disabled");
    let backend = connect(&server).await;
    for error in [
        backend.create(&log()).await.expect_err("there is none"),
        value(&backend, &log(), "key").await.expect_err("there is none"),
        backend.expect_server_encryption().await.expect_err("there is none"),
    ] {
        assert_told(&error, ErrorKind::Disabled, "not enabled for");
    }
}

/// Acknowledged data is kept, and writes succeed again once something is removed.
#[tokio::test]
async fn an_account_without_room_is_full_until_there_is_room() {
    let server = server("{ max_file: 1048576 }");
    let backend = connect(&server).await;
    backend.create(&objects()).await.expect("created");
    let page = Bytes::from(vec![1; 100 << 10]);
    let mut written = 0;
    let error = loop {
        let name = key(&format!("page.{written}"));
        match backend.put(&objects(), &name, page.clone(), Precondition::Absent).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 20, "the account is bounded");
    };
    assert_told(&error, ErrorKind::Full, "exceeded");
    for number in 0..written {
        let entry = backend.get(&objects(), &key(&format!("page.{number}"))).await.expect("read");
        assert!(entry.is_some_and(|entry| entry.value == page));
    }
    backend.delete(&objects(), &[key("page.0"), key("page.1")]).await.expect("removed");
    backend.put(&objects(), &key("page.new"), page, Precondition::Absent).await.expect("there is room");
    let bucket = Bucket::objects("other").expect("a name");
    backend.create(&bucket).await.expect("a bucket without values takes no room");
}

/// With the longest names and the most headers, a value of exactly the limit is accepted, whatever
/// the maximum payload of the server.
#[tokio::test]
async fn the_largest_value_is_exact() {
    for payload in [4 << 10, 64 << 10, 1 << 20] {
        let config = format!("max_payload: {payload}");
        let server = NatsServer::start(ServerOptions { config, ..ServerOptions::default() });
        let backend = connect(&server).await;
        let bucket = Bucket::log(&"b".repeat(MAX_BUCKET_BYTES)).expect("a name");
        backend.create(&bucket).await.expect("created");
        let longest = |first: char| key(&format!("{first}{}", "k".repeat(MAX_KEY_BYTES - 1)));
        let root = backend.put(&bucket, &longest('r'), "root".into(), Precondition::Any).await.expect("written");
        let limits = backend.limits();
        assert_eq!(limits.max_value_bytes, payload - VALUE_OVERHEAD_BYTES);
        let value = Bytes::from(vec![7; limits.max_value_bytes]);
        let fence = Precondition::AbsentWhile { key: longest('r'), revision: root };
        backend.put(&bucket, &longest('k'), value.clone(), fence.clone()).await.expect("it is the limit");
        assert_eq!(backend.get(&bucket, &longest('k')).await.expect("read").expect("there").value, value);
        let larger = [&value[..], b"1"].concat();
        let error = backend.put(&bucket, &longest('l'), larger.into(), fence).await.expect_err("it is over the limit");
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");

        limits.require(limits.max_value_bytes).expect("it takes them");
        let needed = 512 << 10;
        if let Err(error) = limits.require(needed) {
            assert_told(&error, ErrorKind::Incompatible, "values of 524288 bytes are needed");
            assert!(limits.max_value_bytes < needed);
        }
    }
}
