//! A store whose changes are kept in memory, for a dry run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, KeyedEntry, Limits, Precondition, Result,
    Revision, WatchStream,
};
use futures::StreamExt;

/// Reads from another store, and keeps every write in memory.
pub(crate) struct Overlay {
    below: Arc<dyn Backend>,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    /// The new entries; `None` for a removed one.
    entries: BTreeMap<(Bucket, Key), Option<Entry>>,
    /// The number of writes. Their revisions follow all others.
    count: u64,
}

/// The first revision of a write.
const FIRST_REVISION: u64 = 1 << 62;

impl Overlay {
    pub(crate) fn new(below: Arc<dyn Backend>) -> Self {
        Self { below, written: Mutex::default() }
    }

    fn written<T>(&self, act: impl FnOnce(&mut Written) -> T) -> T {
        act(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn entry(&self, bucket: &Bucket, key: &Key) -> Option<Option<Entry>> {
        self.written(|written| written.entries.get(&(bucket.clone(), key.clone())).cloned())
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").field("below", &self.below).finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for Overlay {
    async fn create(&self, _: &Bucket) -> Result<()> {
        Ok(())
    }

    async fn check_bucket(&self, _: &Bucket) -> Result<()> {
        Ok(())
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        if let Some(written) = self.entry(bucket, key) {
            return Ok(written);
        }
        match self.below.get(bucket, key).await {
            Err(error) if error.kind() == ErrorKind::BucketMissing => Ok(None),
            read => read,
        }
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        let found = self.get(bucket, key).await?.map(|entry| entry.revision);
        let holds = match &precondition {
            Precondition::Any => true,
            Precondition::Absent => found.is_none(),
            Precondition::Unchanged(revision) => found == Some(*revision),
            _ => false,
        };
        if !holds {
            return Err(Error::new(ErrorKind::Conflict, format!("{key} was changed")));
        }
        Ok(self.written(|written| {
            written.count += 1;
            let revision = Revision::new(FIRST_REVISION + written.count);
            written.entries.insert((bucket.clone(), key.clone()), Some(Entry { value, revision }));
            revision
        }))
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        self.written(|written| {
            for key in keys {
                written.entries.insert((bucket.clone(), key.clone()), None);
            }
        });
        Ok(())
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        let mut written: Vec<(Key, Option<Entry>)> = self.written(|written| {
            let of = |((of, key), entry): (&(Bucket, Key), &Option<Entry>)| {
                (of == bucket && prefix.contains(key)).then(|| (key.clone(), entry.clone()))
            };
            written.entries.iter().filter_map(of).collect()
        });
        written.sort_by_key(|(_, entry)| entry.as_ref().map(|entry| entry.revision));
        let hidden: Vec<Key> = written.iter().map(|(key, _)| key.clone()).collect();
        let added = written.into_iter().filter_map(|(key, entry)| Some(Ok(KeyedEntry { key, entry: entry? })));
        let below = self.below.scan(bucket, prefix, after).filter(move |entry| {
            let is_shown = match entry {
                Ok(entry) => !hidden.contains(&entry.key),
                Err(error) => error.kind() != ErrorKind::BucketMissing,
            };
            std::future::ready(is_shown)
        });
        below.chain(futures::stream::iter(added.collect::<Vec<_>>())).boxed()
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        // A repair does not follow the catalog.
        self.below.watch(bucket, prefix, after)
    }

    fn limits(&self) -> Limits {
        self.below.limits()
    }
}
