use std::time::Duration;

use cim_ipld_backend::{Backend, Bucket, KeyPrefix, Precondition, Revision};
use cim_ipld_simulation::store::{BranchId, Client, Faults, Store};
use futures::StreamExt;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use super::key;

#[test]
fn a_seed_repeats_a_run() {
    for faults in [Faults::honest(), Faults::adversarial()] {
        let hashes: Vec<String> = (0..100).map(|seed| run(seed, &faults)).collect();
        let again: Vec<String> = (0..100).map(|seed| run(seed, &faults)).collect();
        assert_eq!(hashes, again);
        let mut different = hashes.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), hashes.len(), "different seeds have different runs");
    }
}

/// Runs three clients that write, read, remove and watch concurrently. One crashes, and one is
/// moved to another branch and back.
fn run(seed: u64, faults: &Faults) -> String {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let store = Store::new(seed, faults.clone());
    runtime.block_on(async {
        let bucket = Bucket::log("catalog_v1").unwrap();
        let clients: Vec<Client> = (0..3).map(|_| store.client()).collect();
        store.crash_at(clients[2].id(), 12);
        let writers = clients.iter().enumerate().map(|(at, client)| {
            let (client, bucket) = (client.clone(), bucket.clone());
            tokio::spawn(async move { timeout(Duration::from_secs(1000), write(&client, &bucket, at)).await.is_ok() })
        });
        let writers: Vec<_> = writers.collect();
        let reader = tokio::spawn(follow(clients[0].clone(), bucket.clone()));
        sleep(Duration::from_secs(1)).await;
        let branch = store.fork(BranchId::MAIN);
        store.assign(clients[1].id(), branch);
        sleep(Duration::from_secs(1)).await;
        store.assign(clients[1].id(), BranchId::MAIN);
        for writer in writers {
            writer.await.unwrap();
        }
        reader.abort();
        assert!(store.has_crashed(clients[2].id()));
    });
    store.trace_hash()
}

async fn write(client: &Client, bucket: &Bucket, writer: usize) {
    // Each call may fail, but in a repeated run it must fail in the same way.
    let _ = client.create(bucket).await;
    for number in 0..20 {
        let name = key(&format!("journal.{writer}.{number}"));
        let _ = client.put(bucket, &name, "value".into(), Precondition::Absent).await;
        let _ = client.get(bucket, &name).await;
        if number % 5 == 4 {
            let _ = client.delete(bucket, &[name, key(&format!("journal.{writer}.0"))]).await;
        }
    }
}

async fn follow(client: Client, bucket: Bucket) {
    let mut after = Revision::ZERO;
    loop {
        let mut watch = client.watch(&bucket, &KeyPrefix::all(), after);
        while let Some(Ok(event)) = watch.next().await {
            if let cim_ipld_backend::WatchEvent::Entry(found) = event {
                after = found.entry.revision;
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}
