//! The database while it is open: reads, and the commit of a batch.

use std::collections::HashMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use cim_ipld_backend::{Entry, Error, ErrorKind, Key, KeyPrefix, KeyedEntry, Result, Revision};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use crate::batch::{Batch, Records};
use crate::error::of_store;
use crate::record::{self, BucketRecord, KeyRecord};

const META: &str = "meta";
/// Bounds what is replayed after a crash, and with it the time that opening takes.
const MAX_JOURNAL_BYTES: u64 = 128 << 20;
const KEYS_MEMTABLE_BYTES: u64 = 4 << 20;
const VALUES_MEMTABLE_BYTES: u64 = 16 << 20;
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Tables that a keyspace may have whatever their size, and how large they are to be on average
/// where there are more.
const TOLERATED_TABLES: u64 = 32;
const TABLE_BYTES: u64 = 1 << 20;

pub(crate) struct Opened {
    database: Database,
    meta: Keyspace,
    buckets: RwLock<HashMap<String, Keyspaces>>,
}

#[derive(Clone)]
struct Keyspaces {
    keys: Keyspace,
    values: Keyspace,
}

/// What is to be under a key; `None` is nothing.
type Change<'a> = (Keyspace, &'a [u8], Option<&'a [u8]>);

/// Some entries of a scan and how far it got.
pub(crate) struct Chunk {
    pub(crate) entries: Vec<KeyedEntry>,
    /// Every revision up to here was looked at.
    pub(crate) through: Revision,
    /// There may be more.
    pub(crate) more: bool,
}

impl Opened {
    pub(crate) fn open(data: &Path, cache_bytes: u64) -> Result<Self> {
        let failed = |failure| of_store("opening the store", failure);
        let database = Database::builder(data)
            .cache_size(cache_bytes)
            .max_journaling_size(MAX_JOURNAL_BYTES)
            .worker_threads(2)
            .open()
            .map_err(failed)?;
        let meta = database
            .keyspace(META, || KeyspaceCreateOptions::default().max_memtable_size(KEYS_MEMTABLE_BYTES))
            .map_err(failed)?;
        let opened = Self { database, meta, buckets: RwLock::default() };
        for (name, record) in opened.records()? {
            let keyspaces = opened.hold(&name)?;
            check_last(&name, &keyspaces.values, record.last)?;
        }
        Ok(opened)
    }

    /// What `meta` holds of each bucket.
    pub(crate) fn records(&self) -> Result<HashMap<String, BucketRecord>> {
        let record = |found: fjall::Guard| {
            let (name, record) = found.into_inner().map_err(|failure| of_store("reading the buckets", failure))?;
            let name = std::str::from_utf8(&name)
                .map_err(|_| Error::new(ErrorKind::Corrupt, "a bucket's name in the store is damaged"))?;
            Ok((name.to_owned(), BucketRecord::decode(&record)?))
        };
        self.meta.iter().map(record).collect()
    }

    /// Makes a bucket, whose keyspaces come first: one that `meta` names is whole.
    pub(crate) fn create(&self, name: &str, record: BucketRecord, mode: PersistMode) -> Result<()> {
        self.hold(name)?;
        let mut write = self.database.batch().durability(Some(mode));
        write.insert(&self.meta, name, record.encode());
        write.commit().map_err(|failure| of_store("creating a bucket", failure))
    }

    /// Opens the keyspaces of a bucket, and lets them be found.
    fn hold(&self, name: &str) -> Result<Keyspaces> {
        let keyspace = |part: &str, memtable_bytes: u64| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes);
            let opened = self.database.keyspace(&format!("{part}.{name}"), options);
            opened.map_err(|failure| of_store("opening a bucket", failure))
        };
        let keyspaces = Keyspaces {
            keys: keyspace("keys", KEYS_MEMTABLE_BYTES)?,
            values: keyspace("values", VALUES_MEMTABLE_BYTES)?,
        };
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.insert(name.to_owned(), keyspaces.clone());
        Ok(keyspaces)
    }

    fn bucket(&self, name: &str) -> Result<Keyspaces> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        let missing = || Error::new(ErrorKind::BucketMissing, format!("there is no bucket {name} in the store"));
        buckets.get(name).cloned().ok_or_else(missing)
    }

    pub(crate) fn get(&self, bucket: &str, key: &Key) -> Result<Option<Entry>> {
        let failed = |failure| of_store("reading a value", failure);
        let bucket = self.bucket(bucket)?;
        // One view for both reads, so that an overwriting put between them is not taken for damage.
        let view = self.database.snapshot();
        let Some(found) = view.get(&bucket.keys, key.as_str()).map_err(failed)? else { return Ok(None) };
        let revision = KeyRecord::decode(&found)?.revision;
        let value = view.get(&bucket.values, record::revision_key(revision)).map_err(failed)?;
        let value = value.ok_or_else(|| lost(key, revision))?;
        let found = record::decode_value(revision, value.into())?;
        if found.key != *key {
            return Err(lost(key, revision));
        }
        Ok(Some(found.entry))
    }

    pub(crate) fn key(&self, bucket: &str, key: &Key) -> Result<Option<KeyRecord>> {
        let found = self.bucket(bucket)?.keys.get(key.as_str());
        let found = found.map_err(|failure| of_store("reading a key", failure))?;
        found.as_deref().map(KeyRecord::decode).transpose()
    }

    /// Reads entries under `prefix` after `after`, up to `through` and to about `max_bytes` of
    /// values.
    pub(crate) fn read(
        &self,
        bucket: &str,
        prefix: &KeyPrefix,
        after: Revision,
        through: Revision,
        max_bytes: usize,
    ) -> Result<Chunk> {
        const MAX_ENTRIES: usize = 1024;
        let failed = |failure| of_store("reading values in order", failure);
        let mut chunk = Chunk { entries: Vec::new(), through, more: false };
        if after >= through {
            return Ok(chunk);
        }
        let (start, end) = (record::revision_key(after), record::revision_key(through));
        let values = self.bucket(bucket)?.values;
        let view = self.database.snapshot();
        let mut bytes = 0;
        for (passed, found) in view.range(&values, (Bound::Excluded(start), Bound::Included(end))).enumerate() {
            let (revision, value) = found.into_inner().map_err(failed)?;
            let found = record::decode_value(record::decode_revision(&revision)?, value.into())?;
            let revision = found.entry.revision;
            bytes += found.entry.value.len();
            if prefix.contains(&found.key) {
                chunk.entries.push(found);
            }
            if bytes >= max_bytes || passed >= MAX_ENTRIES {
                chunk.through = revision;
                chunk.more = revision < through;
                break;
            }
        }
        Ok(chunk)
    }

    /// Writes and syncs everything in the batch, and what `meta` then holds of its buckets: all of
    /// it or nothing.
    pub(crate) fn commit(&self, batch: &Batch, records: &Records, mode: PersistMode) -> Result<()> {
        let changes = self.changes(batch, records)?;
        let failed = |failure| of_store("writing", failure);
        self.wait_for_flushes(changes.iter().map(|(keyspace, ..)| keyspace)).map_err(failed)?;
        let mut write = self.database.batch().durability(Some(mode));
        for (keyspace, key, value) in &changes {
            match value {
                Some(value) => write.insert(keyspace, *key, *value),
                None => write.remove(keyspace, *key),
            }
        }
        write.commit().map_err(failed)
    }

    /// Tells whether the batch is in the database: what a commit that failed leaves to be found
    /// out.
    pub(crate) fn holds(&self, batch: &Batch, records: &Records) -> Result<bool> {
        for (keyspace, key, value) in self.changes(batch, records)? {
            let found = keyspace.get(key).map_err(|failure| of_store("reading what was written", failure))?;
            if found.as_deref() != value {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn changes<'a>(&self, batch: &'a Batch, records: &'a Records) -> Result<Vec<Change<'a>>> {
        let mut changes = Vec::new();
        for (name, record) in records {
            changes.push((self.meta.clone(), name.as_bytes(), Some(&record[..])));
        }
        for (name, bucket) in batch.buckets() {
            let Keyspaces { keys, values } = self.bucket(name)?;
            for (keyspace, part) in [(keys, &bucket.keys), (values, &bucket.values)] {
                changes.extend(part.iter().map(|(key, value)| (keyspace.clone(), &key[..], value.as_deref())));
            }
        }
        Ok(changes)
    }

    /// Waits while flushes are behind. A commit of fjall's does so too, with four of them, but for
    /// ever when the worker that flushes has failed, for want of room on the disk for one.
    fn wait_for_flushes<'a>(&self, keyspaces: impl Iterator<Item = &'a Keyspace> + Clone) -> fjall::Result<()> {
        while keyspaces.clone().any(|keyspace| keyspace.sealed_memtable_count() >= 2) {
            self.check_workers()?;
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Returns an error when a worker has failed: the database refuses every write then.
    fn check_workers(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::Buffer)
    }

    /// Moves what is in memory and in the journal into checksummed tables, which are synced.
    pub(crate) fn flush(&self) -> Result<()> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner).clone();
        let keyspaces = buckets.values().flat_map(|bucket| [&bucket.keys, &bucket.values]);
        for keyspace in keyspaces.chain([&self.meta]) {
            self.flush_keyspace(keyspace).map_err(|failure| of_store("flushing the store", failure))?;
        }
        Ok(())
    }

    /// Merges the tables of each keyspace that has many small ones. fjall leaves tables alone whose
    /// keys follow on one another, as revisions do, and each process that writes a little and ends
    /// leaves one more, which every opening reads.
    pub(crate) fn merge_small_tables(&self) -> Result<()> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner).clone();
        for keyspace in buckets.values().flat_map(|bucket| [&bucket.keys, &bucket.values]) {
            let tables = keyspace.table_count() as u64;
            if tables > TOLERATED_TABLES.max(keyspace.disk_space() / TABLE_BYTES) {
                keyspace.major_compact().map_err(|failure| of_store("merging small tables", failure))?;
            }
        }
        Ok(())
    }

    /// fjall's own `rotate_memtable_and_wait` waits for ever when its worker has failed.
    fn flush_keyspace(&self, keyspace: &Keyspace) -> fjall::Result<()> {
        keyspace.rotate_memtable()?;
        while keyspace.sealed_memtable_count() > 0 {
            self.check_workers()?;
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// How much the values of a bucket take on the disk.
    pub(crate) fn disk_bytes(&self, bucket: &str) -> Result<u64> {
        Ok(self.bucket(bucket)?.values.disk_space())
    }

    /// Gives the room of removed values back.
    pub(crate) fn compact(&self, bucket: &str) -> Result<()> {
        let values = self.bucket(bucket)?.values;
        let compacted = self.flush_keyspace(&values).and_then(|()| values.major_compact());
        compacted.map_err(|failure| of_store("compacting a bucket", failure))
    }
}

/// A journal that is damaged in its middle is replayed up to there only, on top of tables that are
/// newer: then `meta` has gone back, and revisions would be given a second time.
fn check_last(bucket: &str, values: &Keyspace, last: Revision) -> Result<()> {
    let Some(newest) = values.last_key_value() else { return Ok(()) };
    let newest = newest.key().map_err(|failure| of_store("opening a bucket", failure))?;
    let newest = record::decode_revision(&newest)?;
    if newest > last {
        let message = format!("bucket {bucket} holds revision {newest} and claims to end at {last}");
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    Ok(())
}

fn lost(key: &Key, revision: Revision) -> Error {
    Error::new(ErrorKind::Corrupt, format!("key {key} names revision {revision}, whose value is not there"))
}
