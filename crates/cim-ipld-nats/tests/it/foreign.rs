//! Messages from other clients in the stream of a bucket do not block readers: values are
//! delivered, and anything else is skipped and counted.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use cim_ipld_backend::{Backend, ErrorKind, KeyPrefix, Revision, WatchEvent};
use cim_ipld_backend_testkit::nats_server::NatsServer;
use cim_ipld_nats::NatsBackend;
use futures::TryStreamExt;

use crate::support::{PATIENCE, connect, entries_until, jetstream, log, names, next, put, server, value};

/// Publishes bytes that no client library would send; the header bytes come first.
fn publish(server: &NatsServer, subject: &str, headers: &[u8]) {
    let address = server.url().replace("nats://", "");
    let mut output = TcpStream::connect(address).expect("connected");
    let mut input = BufReader::new(output.try_clone().expect("a second handle"));
    output.write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n").expect("the server reads");
    let message = match headers {
        [] => format!("PUB {subject} 4\r\n").into_bytes(),
        _ => [format!("HPUB {subject} {} {}\r\n", headers.len(), headers.len() + 4).as_bytes(), headers].concat(),
    };
    output.write_all(&[&message[..], b"junk\r\nPING\r\n"].concat()).expect("the server reads");
    let mut line = String::new();
    while line.trim() != "PONG" {
        line.clear();
        assert!(input.read_line(&mut line).expect("the server writes") > 0, "the server hung up: {line}");
    }
}

/// Publishes and waits until the stream has stored the message.
async fn leave(server: &NatsServer, name: &str, headers: &[u8]) {
    let stream = jetstream(server).await.get_stream("KV_catalog_v1").await.expect("there");
    let last = async || stream.get_info().await.expect("told").state.last_sequence;
    let before = last().await;
    publish(server, &format!("$KV.catalog_v1.{name}"), headers);
    tokio::time::timeout(PATIENCE, async { while last().await == before {} }).await.expect("it is stored");
}

/// With one malformed message between two values, scans, existing watches and new watches deliver
/// both values.
async fn is_passed_over(server: &NatsServer, name: &str, headers: &[u8], counted: u64) {
    let what = format!("{:?} {:?}", &name[..name.len().min(20)], String::from_utf8_lossy(headers));
    let backend = connect(server).await;
    backend.create(&log()).await.expect("created");
    put(&backend, &log(), "before", "value").await.expect("written");
    let all = KeyPrefix::all();
    let mut live = backend.watch(&log(), &all, Revision::ZERO);
    entries_until(&mut live, "before").await;
    assert_eq!(next(&mut live).await.expect("told"), WatchEvent::CaughtUp);

    leave(server, name, headers).await;
    let writer = connect(server).await;
    put(&writer, &log(), "after", "value").await.expect("written");
    let last = entries_until(&mut live, "after").await;
    assert_eq!(names(&last), if counted == 0 { vec![name, "after"] } else { vec!["after"] }, "{what}");
    drop(live);
    assert_eq!(backend.foreign_messages(), counted, "{what}");

    let reader = connect(server).await;
    let scanned: Vec<_> = reader.scan(&log(), &all, Revision::ZERO).try_collect().await.expect("scanned");
    assert_eq!(names(&scanned).last(), Some(&"after"), "{what}");
    assert_eq!(scanned.len(), if counted == 0 { 3 } else { 2 }, "{what}");
    assert_eq!(reader.foreign_messages(), counted, "{what}");
}

#[tokio::test]
async fn subjects_that_are_no_keys_are_passed_over() {
    for name in ["a$b", "ü", "a*b", &"k".repeat(600)] {
        is_passed_over(&server(), name, b"", 1).await;
    }
}

/// The sender of a stored message chooses its status line, so the status line must not turn the
/// message into a heartbeat, an error or the end of the watch.
#[tokio::test]
async fn status_lines_of_values_mean_nothing() {
    for headers in [
        "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 99\r\n\r\n",
        "NATS/1.0 100 FlowControl Request\r\nNats-Consumer-Stalled: $KV.catalog_v1.answer\r\n\r\n",
        "NATS/1.0 409 Consumer Deleted\r\n\r\n",
        "NATS/1.0 503\r\n\r\n",
    ] {
        is_passed_over(&server(), "value", headers.as_bytes(), 0).await;
    }
}

/// The client library closes its connection when it receives malformed headers; such messages are
/// read from the leader instead, and skipped.
#[tokio::test]
async fn headers_that_are_none_are_passed_over() {
    for headers in [&b"garbage\r\n\r\n"[..], b"NATS/1.0\r\nno colon\r\n\r\n", b"NATS/1.0\r\na: \xff\xff\r\n\r\n"] {
        let server = server();
        is_passed_over(&server, "value", headers, 1).await;
        let error = value(&connect(&server).await, &log(), "value").await.expect_err("it cannot be read");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    }
}

/// A bucket of foreign messages is empty, and many of them in a row are skipped.
#[tokio::test]
async fn a_bucket_of_foreign_messages_is_empty() {
    let server = server();
    let backend: NatsBackend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    for number in 0..5 {
        leave(&server, &format!("a${number}"), b"").await;
    }
    let mut watch = backend.watch(&log(), &KeyPrefix::all(), Revision::ZERO);
    assert_eq!(next(&mut watch).await.expect("told"), WatchEvent::CaughtUp);
    assert_eq!(backend.foreign_messages(), 5);
}
