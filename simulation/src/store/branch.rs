//! An exact store in memory, with one value per key and gapless revisions per bucket.

use std::collections::BTreeMap;

use bytes::Bytes;
use cim_ipld_backend::{Bucket, Entry, Error, ErrorKind, Key, KeyPrefix, KeyedEntry, Precondition, Result, Revision};

/// All buckets as seen by a group of clients. A fork is a clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Branch {
    buckets: BTreeMap<String, Contents>,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    values: BTreeMap<Key, Entry>,
    order: BTreeMap<Revision, Key>,
    last: u64,
    /// The number of times the bucket was recreated.
    incarnation: u64,
}

/// The state of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) last: u64,
    pub(super) incarnation: u64,
}

impl Branch {
    pub(super) fn create(&mut self, bucket: &Bucket) {
        self.buckets.entry(bucket.name().to_owned()).or_default();
    }

    pub(super) fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        Ok(self.contents(bucket)?.values.get(key).cloned())
    }

    pub(super) fn put(&mut self, bucket: &Bucket, key: &Key, value: Bytes, when: &Precondition) -> Result<Revision> {
        let contents = self.contents_mut(bucket)?;
        if !contents.permits(key, when)? {
            let found = contents.values.get(key).map(|entry| entry.revision);
            let message = format!("key {key} has {found:?}, the write expected {when:?}");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        contents.remove(key);
        contents.last += 1;
        let revision = Revision::new(contents.last);
        contents.values.insert(key.clone(), Entry { value, revision });
        contents.order.insert(revision, key.clone());
        Ok(revision)
    }

    pub(super) fn remove(&mut self, bucket: &Bucket, key: &Key) -> Result<()> {
        self.contents_mut(bucket)?.remove(key);
        Ok(())
    }

    /// Removes all values. Revisions continue.
    pub(super) fn purge(&mut self, bucket: &Bucket) -> Result<()> {
        let contents = self.contents_mut(bucket)?;
        contents.values.clear();
        contents.order.clear();
        Ok(())
    }

    /// Replaces a bucket by an empty one, whose revisions start at 1 again.
    pub(super) fn recreate(&mut self, bucket: &Bucket) -> Result<()> {
        let contents = self.contents_mut(bucket)?;
        *contents = Contents { incarnation: contents.incarnation + 1, ..Contents::default() };
        Ok(())
    }

    /// Returns the entries after a revision, in order.
    pub(super) fn after(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> Result<Vec<KeyedEntry>> {
        let contents = self.contents(bucket)?;
        let later = contents.order.range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
        let wanted = later.filter(|(_, key)| prefix.contains(key));
        Ok(wanted.map(|(_, key)| KeyedEntry { key: key.clone(), entry: contents.values[key].clone() }).collect())
    }

    pub(super) fn tail(&self, bucket: &Bucket) -> Result<Tail> {
        let contents = self.contents(bucket)?;
        Ok(Tail { last: contents.last, incarnation: contents.incarnation })
    }

    fn contents(&self, bucket: &Bucket) -> Result<&Contents> {
        self.buckets.get(bucket.name()).ok_or_else(|| missing(bucket))
    }

    fn contents_mut(&mut self, bucket: &Bucket) -> Result<&mut Contents> {
        self.buckets.get_mut(bucket.name()).ok_or_else(|| missing(bucket))
    }
}

impl Contents {
    fn permits(&self, key: &Key, when: &Precondition) -> Result<bool> {
        let current = self.values.get(key).map(|entry| entry.revision);
        match when {
            Precondition::Any => Ok(true),
            Precondition::Absent => Ok(current.is_none()),
            Precondition::Unchanged(revision) => Ok(current == Some(*revision)),
            Precondition::AbsentWhile { key: fence, revision } => {
                let stands = self.values.get(fence).map(|entry| entry.revision);
                Ok(current.is_none() && stands == Some(*revision))
            }
            other => Err(Error::new(ErrorKind::Incompatible, format!("the simulated store does not know {other:?}"))),
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.values.remove(key) {
            self.order.remove(&entry.revision);
        }
    }
}

fn missing(bucket: &Bucket) -> Error {
    Error::new(ErrorKind::BucketMissing, format!("there is no bucket {bucket}"))
}
