//! Writes that are synced together.

use std::collections::HashMap;
use std::sync::Arc;

use cim_ipld_backend::{Key, Result, Revision};
use tokio::sync::oneshot;

use crate::bucket::BucketHandle;
use crate::error::copy;
use crate::record::KeyRecord;

/// The maximum number of writes in a batch; further writes go to the next one.
const BATCH_WRITES: usize = 1024;

/// The encoded `meta` records that the buckets in a batch will have once it is committed.
pub(crate) type Records = Vec<(String, [u8; 16])>;

/// The changes to one keyspace, by key; `None` removes the record. The last change to a key wins.
type Changes = HashMap<Vec<u8>, Option<Vec<u8>>>;

#[derive(Default)]
pub(crate) struct Batch {
    buckets: HashMap<String, BucketChanges>,
    waiters: Vec<Waiter>,
    bytes: usize,
}

pub(crate) struct BucketChanges {
    pub(crate) held: Arc<BucketHandle>,
    pub(crate) keys: Changes,
    pub(crate) values: Changes,
    /// The last revision assigned in this batch; zero if it only contains removals.
    pub(crate) last: Revision,
}

/// A caller that waits for the batch to be committed.
pub(crate) enum Waiter {
    Put(oneshot::Sender<Result<Revision>>, Revision),
    Delete(oneshot::Sender<Result<()>>),
}

impl Batch {
    /// Returns whether the batch has `max_bytes` or too many writes.
    pub(crate) fn is_full(&self, max_bytes: usize) -> bool {
        self.bytes >= max_bytes || self.waiters.len() >= BATCH_WRITES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    pub(crate) fn buckets(&self) -> impl Iterator<Item = (&str, &BucketChanges)> {
        self.buckets.iter().map(|(name, changes)| (name.as_str(), changes))
    }

    /// Returns the record that `key` will have once this batch is committed, or `None` if the batch
    /// does not change the key.
    pub(crate) fn pending(&self, bucket: &BucketHandle, key: &Key) -> Option<Result<Option<KeyRecord>>> {
        let pending = self.buckets.get(&bucket.name)?.keys.get(key.as_str().as_bytes())?;
        Some(pending.as_deref().map(KeyRecord::decode).transpose())
    }

    /// Returns the changes to a bucket, for adding to them.
    pub(crate) fn of(&mut self, bucket: &Arc<BucketHandle>) -> &mut BucketChanges {
        if !self.buckets.contains_key(&bucket.name) {
            let (held, last) = (Arc::clone(bucket), Revision::ZERO);
            let changes = BucketChanges { held, keys: Changes::new(), values: Changes::new(), last };
            self.buckets.insert(bucket.name.clone(), changes);
        }
        self.buckets.get_mut(&bucket.name).expect("the entry was just inserted")
    }

    pub(crate) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    pub(crate) fn add_waiter(&mut self, waiter: Waiter) {
        self.waiters.push(waiter);
    }

    pub(crate) fn complete(self, committed: &Result<()>) {
        for waiter in self.waiters {
            // The receiver is closed if the caller dropped its future.
            match waiter {
                Waiter::Put(done, revision) => {
                    drop(done.send(committed.as_ref().map_err(copy).map(|()| revision)));
                }
                Waiter::Delete(done) => drop(done.send(committed.as_ref().map_err(copy).copied())),
            }
        }
    }
}
