//! Writes that are synced together.

use std::collections::HashMap;
use std::sync::Arc;

use cim_ipld_backend::{Key, Result, Revision};
use tokio::sync::oneshot;

use crate::bucket::HeldBucket;
use crate::error::copy;
use crate::record::KeyRecord;

/// Where a batch is full although more writes wait.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_WRITES: usize = 1024;

/// The records of a batch's buckets as they are once it is written, encoded.
pub(crate) type Records = Vec<(String, [u8; 16])>;

/// The records to be written in one keyspace; `None` removes. The last write to a record is the one
/// that counts.
type Changes = HashMap<Vec<u8>, Option<Vec<u8>>>;

#[derive(Default)]
pub(crate) struct Batch {
    buckets: HashMap<String, BucketChanges>,
    promises: Vec<Promise>,
    bytes: usize,
}

pub(crate) struct BucketChanges {
    pub(crate) held: Arc<HeldBucket>,
    pub(crate) keys: Changes,
    pub(crate) values: Changes,
    /// The last revision given in this batch; zero when nothing but removals is in it.
    pub(crate) last: Revision,
}

/// Who waits for the batch.
pub(crate) enum Promise {
    Put(oneshot::Sender<Result<Revision>>, Revision),
    Delete(oneshot::Sender<Result<()>>),
}

impl Batch {
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.promises.len() >= BATCH_WRITES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    pub(crate) fn buckets(&self) -> impl Iterator<Item = (&str, &BucketChanges)> {
        self.buckets.iter().map(|(name, changes)| (name.as_str(), changes))
    }

    /// What is under `key` once this batch is written, or `None` if the batch leaves it as it is.
    pub(crate) fn pending(&self, bucket: &HeldBucket, key: &Key) -> Option<Result<Option<KeyRecord>>> {
        let pending = self.buckets.get(&bucket.name)?.keys.get(key.as_str().as_bytes())?;
        Some(pending.as_deref().map(KeyRecord::decode).transpose())
    }

    /// The changes of a bucket, to be added to.
    pub(crate) fn of(&mut self, bucket: &Arc<HeldBucket>) -> &mut BucketChanges {
        if !self.buckets.contains_key(&bucket.name) {
            let (held, last) = (Arc::clone(bucket), Revision::ZERO);
            let changes = BucketChanges { held, keys: Changes::new(), values: Changes::new(), last };
            self.buckets.insert(bucket.name.clone(), changes);
        }
        self.buckets.get_mut(&bucket.name).expect("it is there")
    }

    pub(crate) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    pub(crate) fn promise(&mut self, promise: Promise) {
        self.promises.push(promise);
    }

    pub(crate) fn answer(self, committed: &Result<()>) {
        for promise in self.promises {
            // A receiver that is gone has dropped its call.
            match promise {
                Promise::Put(done, revision) => {
                    drop(done.send(committed.as_ref().map_err(copy).map(|()| revision)));
                }
                Promise::Delete(done) => drop(done.send(committed.as_ref().map_err(copy).copied())),
            }
        }
    }
}
