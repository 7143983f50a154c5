//! Tests of the simulated store: it is correct without faults and reproducible with them, and each
//! fault occurs.

mod adversary;
mod faults;
mod repeatable;
mod simulator;

use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, KeyPrefix, Precondition, Revision, WatchEvent};
use cim_ipld_backend_testkit::conformance::{self, Fixture};
use cim_ipld_simulation::store::{Client, Faults, Store};
use futures::StreamExt;

#[tokio::test(start_paused = true)]
async fn without_faults_it_keeps_the_contract() {
    conformance::run(async || Fixture::new(Store::new(1, Faults::none()).client())).await;
}

/// Creates a store with one bucket and a client, and then enables the faults.
async fn opened(seed: u64, faults: Faults) -> (Store, Client, Bucket) {
    let store = Store::new(seed, Faults::none());
    let client = store.client();
    let bucket = Bucket::log("catalog_v1").unwrap();
    client.create(&bucket).await.unwrap();
    store.set_faults(faults);
    (store, client, bucket)
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

async fn put(client: &Client, bucket: &Bucket, name: &str, value: &'static str) -> Result<Revision, ErrorKind> {
    let outcome = client.put(bucket, &key(name), value.into(), Precondition::Any).await;
    outcome.map_err(|error| error.kind())
}

async fn get(client: &Client, bucket: &Bucket, name: &str) -> Option<(String, u64)> {
    let found = client.get(bucket, &key(name)).await.unwrap();
    found.map(|entry| (String::from_utf8_lossy(&entry.value).into_owned(), entry.revision.number()))
}

/// Returns the keys, values and revisions that a watch delivers until it has caught up.
async fn watched(client: &Client, bucket: &Bucket) -> Vec<(String, String, u64)> {
    let mut watch = client.watch(bucket, &KeyPrefix::all(), Revision::ZERO);
    let mut entries = Vec::new();
    while let Some(Ok(WatchEvent::Entry(found))) = watch.next().await {
        let value = String::from_utf8_lossy(&found.entry.value).into_owned();
        entries.push((found.key.to_string(), value, found.entry.revision.number()));
    }
    entries
}
