//! An absence is reported only if the leader of the stream confirms it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cim_ipld_backend::{Backend, ErrorKind};
use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};

use crate::support::{connect, jetstream, log, objects, put, value};

/// Starts a server that maps direct reads of the objects bucket to `replica.>` instead of to the
/// stream.
fn server_with_a_replica() -> NatsServer {
    let config = "mappings: { \"$JS.API.DIRECT.GET.KV_text_index_v1.>\": \"replica.>\" }";
    NatsServer::start(ServerOptions { config: config.to_owned(), ..ServerOptions::default() })
}

/// Answers direct reads with a status line, like a replica that lacks the value or is broken;
/// returns the number of requests. Uses the protocol directly, because the client library cannot
/// publish status lines.
fn answer_as_replica(server: &NatsServer, status: &'static str) -> Arc<AtomicU32> {
    let address = server.url().replace("nats://", "");
    let mut output = TcpStream::connect(address).expect("connected");
    let mut input = BufReader::new(output.try_clone().expect("a second handle"));
    output
        .write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB replica.> 1\r\nPING\r\n")
        .expect("the server reads");
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let mut line = String::new();
    while line.trim() != "PONG" {
        line.clear();
        assert!(input.read_line(&mut line).expect("the server writes") > 0, "the server hung up");
    }
    std::thread::spawn(move || {
        // Runs until the server stops.
        while let Ok(1..) = {
            line.clear();
            input.read_line(&mut line)
        } {
            let words: Vec<&str> = line.split_whitespace().collect();
            let answer = match words[..] {
                ["PING"] => "PONG\r\n".to_owned(),
                ["MSG", _, _, reply, _] => {
                    count.fetch_add(1, Ordering::SeqCst);
                    let headers = format!("NATS/1.0 {status}\r\n\r\n");
                    format!("HPUB {reply} {} {}\r\n{headers}\r\n", headers.len(), headers.len())
                }
                _ => continue,
            };
            if output.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    asked
}

#[tokio::test]
async fn an_object_that_a_replica_has_not_is_asked_of_the_leader() {
    let server = server_with_a_replica();
    let backend = connect(&server).await;
    backend.create(&objects()).await.expect("created");
    put(&backend, &objects(), "page", "value").await.expect("written");
    let asked = answer_as_replica(&server, "404 Message Not Found");
    assert_eq!(value(&backend, &objects(), "page").await.expect("read").as_deref(), Some("value"));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the replica was asked first");
    // The value is absent only if the leader does not have it either.
    assert_eq!(value(&backend, &objects(), "other").await.expect("read"), None);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// Direct reads without a response: disabled for the stream, or a leader election.
#[tokio::test]
async fn an_object_is_read_where_nobody_answers_direct_reads() {
    let server = server_with_a_replica();
    let backend = connect(&server).await;
    backend.create(&objects()).await.expect("created");
    put(&backend, &objects(), "page", "value").await.expect("written");
    assert_eq!(value(&backend, &objects(), "page").await.expect("read").as_deref(), Some("value"));
    assert_eq!(value(&backend, &objects(), "other").await.expect("read"), None);
}

/// Mutable values are never read from a replica, which may lag behind.
#[tokio::test]
async fn what_changes_is_read_through_the_leader() {
    let config = "mappings: { \"$JS.API.DIRECT.GET.KV_catalog_v1.>\": \"replica.>\" }";
    let server = NatsServer::start(ServerOptions { config: config.to_owned(), ..ServerOptions::default() });
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("created");
    put(&backend, &log(), "manifest", "value").await.expect("written");
    let asked = answer_as_replica(&server, "404 Message Not Found");
    assert_eq!(value(&backend, &log(), "manifest").await.expect("read").as_deref(), Some("value"));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

/// The response from a broken replica is not mistaken for a value.
#[tokio::test]
async fn an_answer_that_is_no_value_is_not_believed() {
    let server = server_with_a_replica();
    let backend = connect(&server).await;
    backend.create(&objects()).await.expect("created");
    put(&backend, &objects(), "page", "value").await.expect("written");
    let asked = answer_as_replica(&server, "200 OK");
    assert_eq!(value(&backend, &objects(), "page").await.expect("read").as_deref(), Some("value"));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_value_that_the_server_lost_is_absent_and_not_an_error() {
    let server = crate::support::server();
    let backend = connect(&server).await;
    backend.create(&objects()).await.expect("created");
    let revision = put(&backend, &objects(), "page", "value").await.expect("written");
    let stream = jetstream(&server).await.get_stream("KV_text_index_v1").await.expect("there");
    let purged = stream.purge().sequence(revision.number() + 1).await.expect("purged");
    assert_eq!(purged.purged, 1);
    assert_eq!(value(&backend, &objects(), "page").await.expect("read"), None);
    assert_eq!(value(&backend, &log(), "page").await.expect_err("no bucket").kind(), ErrorKind::BucketMissing);
}
