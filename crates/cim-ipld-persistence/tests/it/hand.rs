//! Direct access to a store without a key, stores that lie, and engines that do not enforce one of
//! the rules.

use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, Key, KeyPrefix, KeyedEntry, Limits, MemoryBackend, Precondition, Revision,
    WatchEvent, WatchStream,
};
use cim_ipld_envelope::KeySource;
use cim_ipld_persistence::{Engine, EngineBuilder, ErrorKind, PinStore, Result};
#[cfg(feature = "simulation")]
use cim_ipld_persistence::{Rule, Rules};
use futures::stream::{self, StreamExt};
use tokio::sync::watch;

use crate::support::{by_hand, cid, encrypted, key};

/// The outcome of a scenario. The error describes what went wrong.
pub(crate) type Outcome = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

pub(crate) const BUCKETS: [&str; 5] =
    ["catalog_v1", "text_index_v1", "tag_index_v1", "type_index_v1", "metadata_cache_v1"];

/// Fails a scenario with the message `what` unless `holds` is true.
pub(crate) fn check(holds: bool, what: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(what.into().into()) }
}

/// Checks that a call failed with one of these kinds of errors.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T>, kinds: &[ErrorKind]) -> Outcome {
    match result {
        Err(error) if kinds.contains(&error.kind()) => Ok(()),
        other => Err(format!("expected one of {kinds:?}, but got {other:?}").into()),
    }
}

/// Returns the numbers of the documents in the index.
pub(crate) async fn numbers(engine: &Engine) -> Result<Vec<u32>> {
    let cids: Vec<_> = (0..200).map(cid).collect();
    let found = engine.documents(&cids).await?;
    Ok((0..200u32).zip(found).filter_map(|(number, found)| found.map(|_| number)).collect())
}

pub(crate) fn bucket(name: &str) -> Bucket {
    if name.starts_with("catalog") { Bucket::log(name) } else { Bucket::objects(name) }.expect("a name")
}

/// The rules that the engines of a scenario enforce: all of them, or all but one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Held {
    #[cfg(feature = "simulation")]
    rules: Rules,
}

impl Held {
    pub(crate) fn all() -> Self {
        Self::default()
    }

    #[cfg(feature = "simulation")]
    pub(crate) fn without(rule: Rule) -> Self {
        Self { rules: Rules::without(rule) }
    }

    pub(crate) fn builder(self, backend: Arc<dyn Backend>) -> EngineBuilder {
        let builder = Engine::builder(backend).settings(by_hand());
        #[cfg(feature = "simulation")]
        let builder = builder.rules(self.rules);
        builder
    }

    pub(crate) async fn create(self, backend: Arc<dyn Backend>) -> Result<Engine> {
        self.builder(backend).create(encrypted()).await
    }

    pub(crate) async fn open(self, backend: Arc<dyn Backend>) -> Result<Engine> {
        self.open_with(backend, key(1)).await
    }

    pub(crate) async fn open_with(self, backend: Arc<dyn Backend>, key: KeySource) -> Result<Engine> {
        self.builder(backend).open(Some(key)).await
    }
}

/// A rule, and a scenario that fails without it.
#[cfg(feature = "simulation")]
pub(crate) type Case = (Rule, Box<dyn Fn(Held) -> futures::future::BoxFuture<'static, Outcome>>);

/// Checks that each scenario fails or stalls without its rule.
#[cfg(feature = "simulation")]
pub(crate) async fn break_without(cases: Vec<Case>) {
    let mut unbroken = Vec::new();
    for (number, (rule, scenario)) in cases.into_iter().enumerate() {
        match scenario(Held::without(rule)).await {
            Ok(()) => unbroken.push((number, rule)),
            Err(fault) => eprintln!("without {rule:?}: {fault}"),
        }
    }
    assert!(unbroken.is_empty(), "no scenario fails without {unbroken:?}");
}

/// Direct access to a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hand(pub(crate) MemoryBackend);

impl Hand {
    pub(crate) fn store(&self) -> Arc<dyn Backend> {
        Arc::new(self.0.clone())
    }

    /// Returns an independent copy of the store.
    pub(crate) fn fork(&self) -> Self {
        Self(self.0.fork())
    }

    /// Returns the value under a key of the catalog.
    pub(crate) async fn value(&self, key: &str) -> Bytes {
        let key = Key::new(key).expect("a key");
        self.0.get(&bucket("catalog_v1"), &key).await.expect("read").expect("there").value
    }

    pub(crate) async fn has(&self, key: &Key) -> bool {
        self.0.get(&bucket("catalog_v1"), key).await.expect("read").is_some()
    }

    /// Puts a value under a key of the catalog, unconditionally.
    pub(crate) async fn put(&self, key: &str, value: impl Into<Bytes>) -> Revision {
        let key = Key::new(key).expect("a key");
        self.0.put(&bucket("catalog_v1"), &key, value.into(), Precondition::Any).await.expect("put")
    }

    pub(crate) async fn again(&self, entry: &KeyedEntry) -> Revision {
        self.put(entry.key.as_str(), entry.entry.value.clone()).await
    }

    pub(crate) async fn delete(&self, key: &Key) {
        self.0.delete(&bucket("catalog_v1"), std::slice::from_ref(key)).await.expect("deleted");
    }

    /// Returns the records of the journal, oldest first.
    pub(crate) async fn records(&self) -> Vec<KeyedEntry> {
        self.below(&bucket("catalog_v1"), &KeyPrefix::below("journal").expect("a prefix")).await
    }

    pub(crate) async fn last_record(&self) -> KeyedEntry {
        self.records().await.pop().expect("a record")
    }

    pub(crate) async fn all(&self, name: &str) -> Vec<KeyedEntry> {
        self.below(&bucket(name), &KeyPrefix::all()).await
    }

    async fn below(&self, bucket: &Bucket, prefix: &KeyPrefix) -> Vec<KeyedEntry> {
        let entries = self.0.scan(bucket, prefix, Revision::ZERO);
        entries.map(|entry| entry.expect("scanned")).collect().await
    }

    /// Copies the objects of another store, but not its catalog.
    pub(crate) async fn take_objects(&self, other: &Self) {
        for name in &BUCKETS[1..] {
            for entry in other.all(name).await {
                let absent = Precondition::Absent;
                let _ = self.0.put(&bucket(name), &entry.key, entry.entry.value, absent).await;
            }
        }
    }

    /// Removes all entries of the buckets, like a purge.
    pub(crate) async fn purge(&self, names: &[&str]) {
        for name in names {
            let keys: Vec<Key> = self.all(name).await.into_iter().map(|entry| entry.key).collect();
            self.0.delete(&bucket(name), &keys).await.expect("deleted");
        }
    }
}

/// What the store does with the next record that is put.
#[derive(Clone, Debug)]
pub(crate) enum Lie {
    /// Drops the record, and acknowledges it with this revision.
    Drop(u64),
    /// Stores this entry instead, and acknowledges that.
    Replay(KeyedEntry),
    /// Acknowledges the record, but holds it back so that it can be delivered later.
    Hold,
}

/// A store that lies to one client.
#[derive(Clone, Debug)]
pub(crate) struct Lying {
    inner: Hand,
    lie: Arc<Mutex<Option<Lie>>>,
    kept: Arc<Mutex<Option<(Key, Bytes)>>>,
    /// The number of events that a watch may still deliver.
    allowance: watch::Sender<u64>,
    /// Whether a watch claims immediately that it has caught up.
    claims: bool,
    /// Whether records are stored even if the root was replaced.
    fenceless: bool,
}

impl Lying {
    pub(crate) fn over(hand: &Hand) -> Self {
        let (allowance, _) = watch::channel(u64::MAX);
        Self {
            inner: hand.clone(),
            lie: Arc::default(),
            kept: Arc::default(),
            allowance,
            claims: false,
            fenceless: false,
        }
    }

    pub(crate) fn claiming_to_have_caught_up(self) -> Self {
        Self { claims: true, ..self }
    }

    pub(crate) fn fenceless(self) -> Self {
        Self { fenceless: true, ..self }
    }

    pub(crate) fn store(&self) -> Arc<dyn Backend> {
        Arc::new(self.clone())
    }

    pub(crate) fn lie(&self, lie: Lie) {
        *self.lie.lock().expect("unpoisoned") = Some(lie);
    }

    /// Returns the record that was held back.
    pub(crate) fn take_kept(&self) -> Option<(Key, Bytes)> {
        self.kept.lock().expect("unpoisoned").take()
    }

    /// Lets the watch deliver this number of further events.
    pub(crate) fn allow(&self, events: u64) {
        self.allowance.send_replace(events);
    }

    pub(crate) fn release(&self) {
        self.allow(u64::MAX);
    }
}

#[async_trait]
impl Backend for Lying {
    async fn create(&self, bucket: &Bucket) -> cim_ipld_backend::Result<()> {
        self.inner.0.create(bucket).await
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> cim_ipld_backend::Result<Option<Entry>> {
        self.inner.0.get(bucket, key).await
    }

    async fn put(
        &self,
        bucket: &Bucket,
        key: &Key,
        value: Bytes,
        precondition: Precondition,
    ) -> cim_ipld_backend::Result<Revision> {
        let is_record = key.as_str().starts_with("journal.");
        let lie = if is_record { self.lie.lock().expect("unpoisoned").take() } else { None };
        match lie {
            Some(Lie::Drop(revision)) => Ok(Revision::new(revision)),
            Some(Lie::Replay(entry)) => Ok(self.inner.again(&entry).await),
            Some(Lie::Hold) => {
                *self.kept.lock().expect("unpoisoned") = Some((key.clone(), value));
                Ok(Revision::new(1))
            }
            None if is_record && self.fenceless => self.inner.0.put(bucket, key, value, Precondition::Absent).await,
            None => self.inner.0.put(bucket, key, value, precondition).await,
        }
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> cim_ipld_backend::Result<()> {
        self.inner.0.delete(bucket, keys).await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        self.inner.0.scan(bucket, prefix, after)
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        let events = self.inner.0.watch(bucket, prefix, after);
        let (sender, receiver) = (self.allowance.clone(), self.allowance.subscribe());
        // No event is read from the store before it may be delivered.
        let held = stream::unfold((events, sender, receiver), |(mut events, sender, mut receiver)| async move {
            loop {
                receiver.wait_for(|left| *left > 0).await.ok()?;
                let event = tokio::select! {
                    biased;
                    _ = receiver.wait_for(|left| *left == 0) => continue,
                    event = events.next() => event?,
                };
                sender.send_if_modified(|left| {
                    let is_counted = *left != u64::MAX;
                    *left -= u64::from(is_counted);
                    is_counted
                });
                break Some((event, (events, sender, receiver)));
            }
        });
        if !self.claims {
            return held.boxed();
        }
        let later = held.filter(|event| {
            let is_claim = matches!(event, Ok(WatchEvent::CaughtUp));
            async move { !is_claim }
        });
        stream::iter([Ok(WatchEvent::CaughtUp)]).chain(later).boxed()
    }

    fn limits(&self) -> Limits {
        self.inner.0.limits()
    }
}

/// A pin in memory that can be copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryPin(Arc<Mutex<Option<Vec<u8>>>>);

impl MemoryPin {
    pub(crate) fn shared(&self) -> Arc<dyn PinStore> {
        Arc::new(self.clone())
    }

    /// Returns an independent copy of the pin.
    pub(crate) fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().expect("unpoisoned").clone())))
    }
}

impl PinStore for MemoryPin {
    fn load(&self) -> std::io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().expect("unpoisoned").clone())
    }

    fn store(&self, pin: &[u8]) -> std::io::Result<()> {
        *self.0.lock().expect("unpoisoned") = Some(pin.to_vec());
        Ok(())
    }
}
