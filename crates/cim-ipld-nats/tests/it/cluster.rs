//! Buckets with three replicas, on three servers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cim_ipld_backend::{Backend, ErrorKind, KeyPrefix, Precondition, Revision, WatchEvent};
use cim_ipld_backend_testkit::conformance::{self, Fixture};
use cim_ipld_backend_testkit::nats_server::{NatsCluster, ServerOptions};
use cim_ipld_nats::{NatsBackend, NatsSettings};
use futures::TryStreamExt;

use crate::support::{PATIENCE, entries_until, key, log, names, next, put};

fn replicated() -> NatsSettings {
    let mut settings = NatsSettings::default();
    settings.replicas = 3;
    settings.patience_ms = 30_000;
    settings
}

async fn connect(cluster: &NatsCluster, node: usize) -> NatsBackend {
    NatsBackend::connect_with(&cluster.url(node), replicated()).await.expect("connected")
}

/// Servers may reject requests right after a leader election.
async fn create(backend: &NatsBackend) {
    let begin = Instant::now();
    while let Err(error) = backend.create(&log()).await {
        assert!(begin.elapsed() < PATIENCE, "{error:?}");
    }
}

/// Returns the node that leads the stream of the log bucket.
async fn leader(cluster: &NatsCluster, node: usize) -> usize {
    let client = async_nats::connect(cluster.url(node)).await.expect("connected");
    let stream = async_nats::jetstream::new(client).get_stream("KV_catalog_v1").await.expect("there");
    let name = stream.cached_info().cluster.as_ref().and_then(|cluster| cluster.leader.clone()).expect("a leader");
    cluster.number_of(&name).expect("a node of the cluster")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_conform() {
    let cluster = NatsCluster::start(&ServerOptions::default());
    create(&connect(&cluster, 0).await).await;
    conformance::run(async || {
        let url = cluster.url(1);
        Fixture::new(connect(&cluster, 0).await)
            .reopened_by(async move || NatsBackend::connect_with(&url, replicated()).await.expect("connected"))
    })
    .await;
}

/// A process reads everything that was acknowledged to a different process earlier, even from a
/// replica that was paused and lags behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_is_part_of_every_scan_and_catching_up() {
    const ROUNDS: usize = 8;
    const WRITES: usize = 100;
    const SCANS: usize = 4;
    let mut cluster = NatsCluster::start(&ServerOptions::default());
    create(&connect(&cluster, 0).await).await;
    let leader = leader(&cluster, 0).await;
    let (writer, lagging) = (connect(&cluster, leader).await, (leader + 1) % 3);
    let readers = [connect(&cluster, leader).await, connect(&cluster, lagging).await];
    let prefix = KeyPrefix::below("record").expect("a prefix");
    let mut after = Revision::ZERO;
    for round in 0..ROUNDS {
        cluster.node(lagging).pause();
        let written = (0..WRITES).map(async |n| {
            let name = key(&format!("record.{round}.{n}"));
            writer.put(&log(), &name, Bytes::from(vec![n as u8; 32 << 10]), Precondition::Any).await
        });
        let written = futures::future::try_join_all(written).await.expect("written");
        // In every other round, the last write is not under the prefix.
        if round % 2 == 0 {
            put(&writer, &log(), "outside", "value").await.expect("written");
        }
        cluster.node(lagging).resume();
        let reads = (0..SCANS).flat_map(|_| &readers).map(async |reader| {
            let scanned: Vec<_> = reader.scan(&log(), &prefix, after).try_collect().await.expect("scanned");
            let mut watch = reader.watch(&log(), &prefix, after);
            let mut told = 0;
            while let WatchEvent::Entry(_) = next(&mut watch).await.expect("told") {
                told += 1;
            }
            (scanned.len(), told)
        });
        for counts in futures::future::join_all(reads).await {
            assert_eq!(counts, (WRITES, WRITES), "entries of a scan and before catching up, round {round}");
        }
        after = written.into_iter().max().expect("some");
    }
}

/// The leader of the bucket is killed during fenced writes by several processes: acknowledged
/// writes are stored exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fenced_writes_go_on_when_the_leader_dies() {
    const WRITERS: usize = 3;
    const WRITES: usize = 60;
    let mut cluster = NatsCluster::start(&ServerOptions::default());
    let first = connect(&cluster, 0).await;
    create(&first).await;
    let root = put(&first, &log(), "root", "root").await.expect("written");
    let leader = leader(&cluster, 0).await;
    let survivor = (leader + 1) % 3;
    let mut watch = connect(&cluster, survivor).await.watch(&log(), &KeyPrefix::below("w0").expect("a prefix"), root);
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let backend = connect(&cluster, survivor).await;
        writers.push(tokio::spawn(async move {
            for n in 0..WRITES {
                let name = key(&format!("w{writer}.{n}"));
                let fence = Precondition::AbsentWhile { key: key("root"), revision: root };
                let begin = Instant::now();
                // The retry of a write that was stored is a conflict.
                while let Err(error) = backend.put(&log(), &name, name.to_string().into(), fence.clone()).await {
                    let is_there = error.kind() == ErrorKind::Conflict
                        && backend.get(&log(), &name).await.is_ok_and(|entry| entry.is_some());
                    if is_there {
                        break;
                    }
                    assert!(begin.elapsed() < PATIENCE, "{error:?}");
                    let may_pass = [ErrorKind::OutcomeUnknown, ErrorKind::Unavailable, ErrorKind::Conflict];
                    assert!(may_pass.contains(&error.kind()), "{error:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }));
    }
    entries_until(&mut watch, "w0.10").await;
    cluster.node(leader).kill();
    futures::future::try_join_all(writers).await.expect("all are written");
    entries_until(&mut watch, &format!("w0.{}", WRITES - 1)).await;
    cluster.node(leader).restart();
    let reader = connect(&cluster, leader).await;
    let scanned: Vec<_> = reader.scan(&log(), &KeyPrefix::all(), root).try_collect().await.expect("scanned");
    let mut found: Vec<&str> = names(&scanned);
    found.sort_unstable();
    let mut expected: Vec<String> =
        (0..WRITERS).flat_map(|writer| (0..WRITES).map(move |n| format!("w{writer}.{n}"))).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}
