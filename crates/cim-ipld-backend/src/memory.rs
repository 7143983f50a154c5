use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use tokio::sync::watch;

use crate::{
    Backend, Bucket, Durability, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, KeyedEntry, Limits,
    Precondition, Result, Revision, WatchEvent, WatchStream,
};

const MAX_VALUE_BYTES: usize = 1 << 20;
const PREFERRED_VALUE_BYTES: usize = 256 << 10;

/// A backend in the memory of this process: the reference implementation of the contract, and a
/// store for tests.
///
/// Clones share the same buckets.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, Key, MemoryBackend, Precondition};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// let backend = MemoryBackend::new();
/// let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new("manifest")?);
/// backend.create(&bucket).await?;
/// backend.put(&bucket, &key, "before".into(), Precondition::Any).await?;
///
/// let fork = backend.fork();
/// backend.put(&bucket, &key, "after".into(), Precondition::Any).await?;
/// assert_eq!(backend.clone().get(&bucket, &key).await?.unwrap().value, "after");
/// assert_eq!(fork.get(&bucket, &key).await?.unwrap().value, "before");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryBackend {
    buckets: Arc<Mutex<Buckets>>,
}

/// Keyed by name alone. The kind of a bucket determines how it is read, not its identity.
type Buckets = HashMap<String, BucketState>;

impl MemoryBackend {
    /// Creates a backend without buckets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an independent backend with a copy of every bucket, its values and its last
    /// revision. Later writes to one are not visible in the other.
    #[must_use]
    pub fn fork(&self) -> Self {
        let copy = self.lock().iter().map(|(name, state)| (name.clone(), state.fork())).collect();
        Self { buckets: Arc::new(Mutex::new(copy)) }
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        // Every critical section below leaves the map consistent, so the lock is usable after a
        // panic.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, bucket: &Bucket, act: impl FnOnce(&mut BucketState) -> Result<T>) -> Result<T> {
        let mut buckets = self.lock();
        let state = buckets.get_mut(bucket.name()).ok_or_else(|| missing(bucket))?;
        act(state)
    }

    /// Returns at most `limit` entries after `after`, and the bucket's last revision at that
    /// moment.
    fn read(
        &self,
        bucket: &Bucket,
        prefix: &KeyPrefix,
        after: Revision,
        limit: usize,
    ) -> Result<(Vec<KeyedEntry>, Revision)> {
        self.with(bucket, |state| {
            let after_bound = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
            let entries = state
                .order
                .range(after_bound)
                .filter(|(_, key)| prefix.contains(key))
                .take(limit)
                .map(|(_, key)| KeyedEntry { key: key.clone(), entry: state.values[key].clone() })
                .collect();
            Ok((entries, *state.last.borrow()))
        })
    }
}

#[derive(Debug)]
struct BucketState {
    values: HashMap<Key, Entry>,
    order: BTreeMap<Revision, Key>,
    last: watch::Sender<Revision>,
}

impl BucketState {
    fn fork(&self) -> Self {
        let last = watch::Sender::new(*self.last.borrow());
        Self { values: self.values.clone(), order: self.order.clone(), last }
    }

    fn put(&mut self, key: &Key, value: Bytes, precondition: &Precondition) -> Result<Revision> {
        let current = self.values.get(key).map(|entry| entry.revision);
        precondition.check(key, current, |fence| Ok(self.values.get(fence).map(|entry| entry.revision)))?;
        let revision = Revision::new(self.last.borrow().number() + 1);
        if let Some(old) = current {
            self.order.remove(&old);
        }
        self.values.insert(key.clone(), Entry { value, revision });
        self.order.insert(revision, key.clone());
        self.last.send_replace(revision);
        Ok(revision)
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        self.lock().entry(bucket.name().to_owned()).or_insert_with(|| BucketState {
            values: HashMap::new(),
            order: BTreeMap::new(),
            last: watch::Sender::new(Revision::ZERO),
        });
        Ok(())
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        self.with(bucket, |state| Ok(state.values.get(key).cloned()))
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        if value.len() > MAX_VALUE_BYTES {
            let message = format!("the value of {} bytes exceeds the limit of {MAX_VALUE_BYTES}", value.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.with(bucket, |state| state.put(key, value, &precondition))
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        self.with(bucket, |state| {
            for key in keys {
                if let Some(entry) = state.values.remove(key) {
                    state.order.remove(&entry.revision);
                }
            }
            Ok(())
        })
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        match self.read(bucket, prefix, after, usize::MAX) {
            Ok((entries, _)) => stream::iter(entries.into_iter().map(Ok)).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        let opened = self.with(bucket, |state| Ok((state.last.subscribe(), *state.last.borrow())));
        let (changes, tail) = match opened {
            Ok(opened) => opened,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let watcher = Watcher {
            backend: self.clone(),
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            after,
            changes,
            pending: Vec::new().into_iter(),
            tail: Some(tail),
        };
        stream::unfold(watcher, |mut watcher| async move { watcher.next().await.map(|event| (event, watcher)) }).boxed()
    }

    fn limits(&self) -> Limits {
        Limits {
            max_value_bytes: MAX_VALUE_BYTES,
            preferred_value_bytes: PREFERRED_VALUE_BYTES,
            durability: Durability::Process,
        }
    }
}

struct Watcher {
    backend: MemoryBackend,
    bucket: Bucket,
    prefix: KeyPrefix,
    after: Revision,
    changes: watch::Receiver<Revision>,
    pending: std::vec::IntoIter<KeyedEntry>,
    /// The bucket's last revision when the watch began, until `CaughtUp` has been sent.
    tail: Option<Revision>,
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<WatchEvent>> {
        const BATCH: usize = 256;
        loop {
            // A value that is overwritten after it was read is still delivered; its successor
            // follows.
            if let Some(entry) = self.pending.next() {
                // This value was written after the watch began, so `CaughtUp` comes first.
                if self.tail.is_some_and(|tail| entry.entry.revision > tail) {
                    self.tail = None;
                    self.pending = std::iter::once(entry).chain(self.pending.by_ref()).collect::<Vec<_>>().into_iter();
                    return Some(Ok(WatchEvent::CaughtUp));
                }
                self.after = entry.entry.revision;
                return Some(Ok(WatchEvent::Entry(entry)));
            }
            self.changes.mark_unchanged();
            match self.backend.read(&self.bucket, &self.prefix, self.after, BATCH) {
                Err(error) => return Some(Err(error)),
                Ok((entries, _)) if !entries.is_empty() => self.pending = entries.into_iter(),
                Ok(_) if self.tail.take().is_some() => return Some(Ok(WatchEvent::CaughtUp)),
                Ok(_) => self.changes.changed().await.ok()?,
            }
        }
    }
}

fn missing(bucket: &Bucket) -> Error {
    Error::new(ErrorKind::BucketMissing, format!("bucket {bucket} does not exist"))
}
