//! Measures the rate of small writes by several writers to a bucket with three replicas, on three
//! local servers, with and without a fence on another key:
//!
//! ```bash
//! cargo run --release -p cim-ipld-nats --example fence_rates -- SECONDS
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;
use cim_ipld_backend::{Backend, Bucket, Key, Precondition, Result};
use cim_ipld_backend_testkit::nats_server::{NatsCluster, ServerOptions};
use cim_ipld_nats::{NatsBackend, NatsSettings};

const RECORD_BYTES: usize = 400;

#[tokio::main]
async fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).and_then(|given| given.parse().ok()).unwrap_or(2);
    let (bucket, root) = (Bucket::log("catalog_v1")?, Key::new("root")?);
    let cluster = NatsCluster::start(&ServerOptions::default());
    let backend = connect(&cluster).await?;
    // Servers may reject requests right after a leader election.
    while backend.create(&bucket).await.is_err() {}
    let revision = backend.put(&bucket, &root, "root".into(), Precondition::Any).await?;
    for (what, precondition) in
        [("fenced", Precondition::AbsentWhile { key: root, revision }), ("not fenced", Precondition::Absent)]
    {
        for writers in [1, 2, 4, 8] {
            let mut running = Vec::new();
            for writer in 0..writers {
                let (backend, bucket, precondition) = (connect(&cluster).await?, bucket.clone(), precondition.clone());
                let prefix = format!("journal.{}.{writers}.{writer}", what.len());
                running.push(tokio::spawn(write(backend, bucket, prefix, precondition, Duration::from_secs(seconds))));
            }
            let mut written = 0;
            for writer in running {
                written += writer.await.expect("no writer panics")?;
            }
            println!("{what}, {writers} writers: {} records/s", written / seconds);
        }
    }
    Ok(())
}

async fn connect(cluster: &NatsCluster) -> Result<NatsBackend> {
    let mut settings = NatsSettings::default();
    (settings.replicas, settings.patience_ms) = (3, 30_000);
    NatsBackend::connect_with(&cluster.url(0), settings).await
}

/// Writes one record after another; returns the number written.
async fn write(
    backend: NatsBackend,
    bucket: Bucket,
    prefix: String,
    precondition: Precondition,
    time: Duration,
) -> Result<u64> {
    let begin = Instant::now();
    let mut written = 0;
    while begin.elapsed() < time {
        let key = Key::new(&format!("{prefix}.{written}"))?;
        backend.put(&bucket, &key, Bytes::from(vec![7; RECORD_BYTES]), precondition.clone()).await?;
        written += 1;
    }
    Ok(written)
}
