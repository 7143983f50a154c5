//! The open database: reads, and the commit of a batch.

use std::collections::HashMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use cim_ipld_backend::{Entry, Error, ErrorKind, Key, KeyPrefix, KeyedEntry, Result, Revision};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use crate::batch::{Batch, Records};
use crate::clock;
use crate::error::from_fjall;
use crate::record::{self, BucketRecord, KeyRecord};
use crate::settings::EmbeddedSettings;
use crate::write_buffer::WriteBuffer;

const META: &str = "meta";
/// Bounds the journal replayed after a crash, and with it the time that opening takes.
const MAX_JOURNAL_BYTES: u64 = 128 << 20;
/// The maximum size of one memtable. It is stored with a keyspace when that is created; the limit
/// for all memtables together is [`EmbeddedSettings::write_buffer_bytes`].
const KEYS_MEMTABLE_BYTES: u64 = 4 << 20;
const VALUES_MEMTABLE_BYTES: u64 = 16 << 20;
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// The number of tables that a keyspace may have, regardless of their size.
const TOLERATED_TABLES: u64 = 8;
/// The minimum average size of the tables of a keyspace that has more than [`TOLERATED_TABLES`].
const TABLE_BYTES: u64 = 1 << 20;

pub(crate) struct OpenDatabase {
    database: Database,
    meta: Keyspace,
    buckets: RwLock<HashMap<String, Keyspaces>>,
    write_buffer: WriteBuffer,
}

#[derive(Clone)]
struct Keyspaces {
    keys: Keyspace,
    values: Keyspace,
}

/// A write to a key; `None` removes it.
type Change<'a> = (Keyspace, &'a [u8], Option<&'a [u8]>);

/// A portion of a scan.
pub(crate) struct Chunk {
    pub(crate) entries: Vec<KeyedEntry>,
    /// The last revision that was examined.
    pub(crate) through: Revision,
    /// Whether there may be more entries.
    pub(crate) more: bool,
}

impl OpenDatabase {
    pub(crate) fn open(data: &Path, settings: &EmbeddedSettings) -> Result<Self> {
        let failed = |failure| from_fjall("opening the store", failure);
        let database = Database::builder(data)
            .cache_size(settings.cache_bytes)
            .max_journaling_size(MAX_JOURNAL_BYTES)
            .worker_threads(2)
            .open()
            .map_err(failed)?;
        let meta = database
            .keyspace(META, || KeyspaceCreateOptions::default().max_memtable_size(KEYS_MEMTABLE_BYTES))
            .map_err(failed)?;
        let write_buffer = WriteBuffer::new(settings.write_buffer_bytes);
        let opened = Self { database, meta, buckets: RwLock::default(), write_buffer };
        for (name, record) in opened.records()? {
            let keyspaces = opened.register(&name)?;
            check_last(&name, &keyspaces.values, record.last)?;
        }
        Ok(opened)
    }

    /// Returns the `meta` record of each bucket.
    pub(crate) fn records(&self) -> Result<HashMap<String, BucketRecord>> {
        let record = |found: fjall::Guard| {
            let (name, record) = found.into_inner().map_err(|failure| from_fjall("reading the buckets", failure))?;
            let name = std::str::from_utf8(&name)
                .map_err(|_| Error::new(ErrorKind::Corrupt, "the name of a bucket in the store is damaged"))?;
            Ok((name.to_owned(), BucketRecord::decode(&record)?))
        };
        self.meta.iter().map(record).collect()
    }

    /// Creates a bucket. Its keyspaces are created first, so that a bucket in `meta` is complete.
    pub(crate) fn create(&self, name: &str, record: BucketRecord, mode: PersistMode) -> Result<()> {
        self.register(name)?;
        let mut write = self.database.batch().durability(Some(mode));
        write.insert(&self.meta, name, record.encode());
        write.commit().map_err(|failure| from_fjall("creating a bucket", failure))
    }

    /// Opens the keyspaces of a bucket and registers them.
    fn register(&self, name: &str) -> Result<Keyspaces> {
        let keyspace = |part: &str, memtable_bytes: u64| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes);
            let opened = self.database.keyspace(&format!("{part}.{name}"), options);
            opened.map_err(|failure| from_fjall("opening a bucket", failure))
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
        let missing = || Error::new(ErrorKind::BucketMissing, format!("bucket {name} does not exist in the store"));
        buckets.get(name).cloned().ok_or_else(missing)
    }

    pub(crate) fn get(&self, bucket: &str, key: &Key) -> Result<Option<Entry>> {
        let failed = |failure| from_fjall("reading a value", failure);
        let bucket = self.bucket(bucket)?;
        // Both reads use one snapshot, so that a concurrent overwrite is not mistaken for damage.
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
        let found = found.map_err(|failure| from_fjall("reading a key", failure))?;
        found.as_deref().map(KeyRecord::decode).transpose()
    }

    /// Reads entries under `prefix` with revisions in `(after, through]`, up to about `max_bytes`
    /// of values.
    pub(crate) fn read(
        &self,
        bucket: &str,
        prefix: &KeyPrefix,
        after: Revision,
        through: Revision,
        max_bytes: usize,
    ) -> Result<Chunk> {
        const MAX_ENTRIES: usize = 1024;
        let failed = |failure| from_fjall("reading values in order", failure);
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

    /// Writes the batch and the `meta` records of its buckets atomically, and syncs them if `mode`
    /// requires it.
    pub(crate) fn commit(&self, batch: &Batch, records: &Records, mode: PersistMode) -> Result<()> {
        let changes = self.changes(batch, records)?;
        let failed = |failure| from_fjall("writing", failure);
        self.wait_for_flushes(changes.iter().map(|(keyspace, ..)| keyspace)).map_err(failed)?;
        let mut write = self.database.batch().durability(Some(mode));
        for (keyspace, key, value) in &changes {
            match value {
                Some(value) => write.insert(keyspace, *key, *value),
                None => write.remove(keyspace, *key),
            }
        }
        write.commit().map_err(failed)?;
        for (keyspace, key, value) in &changes {
            self.write_buffer.note(keyspace, key.len() + value.map_or(0, <[u8]>::len));
        }
        self.write_buffer.rotate_largest().map_err(failed)
    }

    /// Returns whether the database contains the batch. The caller uses this to find out whether a
    /// commit that failed took effect.
    pub(crate) fn holds(&self, batch: &Batch, records: &Records) -> Result<bool> {
        for (keyspace, key, value) in self.changes(batch, records)? {
            let found = keyspace.get(key).map_err(|failure| from_fjall("reading what was written", failure))?;
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

    /// Waits while flushes lag behind. fjall's own commit does the same at four sealed memtables,
    /// but waits forever if the flush worker has failed, for example because the disk is full.
    fn wait_for_flushes<'a>(&self, keyspaces: impl Iterator<Item = &'a Keyspace> + Clone) -> fjall::Result<()> {
        let is_behind =
            || self.write_buffer.is_full() || keyspaces.clone().any(|keyspace| keyspace.sealed_memtable_count() >= 2);
        while is_behind() {
            self.check_workers()?;
            clock::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Returns an error if a worker has failed, after which the database refuses every write.
    fn check_workers(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::Buffer)
    }

    /// Flushes memtables and journal into checksummed, synced tables.
    pub(crate) fn flush(&self) -> Result<()> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner).clone();
        let keyspaces = buckets.values().flat_map(|bucket| [&bucket.keys, &bucket.values]);
        for keyspace in keyspaces.chain([&self.meta]) {
            self.flush_keyspace(keyspace).map_err(|failure| from_fjall("flushing the store", failure))?;
        }
        Ok(())
    }

    /// Merges the tables of each keyspace that has many small tables. fjall does not merge tables
    /// with disjoint key ranges, and tables whose keys are revisions have disjoint ranges unless
    /// they contain removals of older revisions. Each process that writes little and exits adds one
    /// table, and every later opening reads all tables.
    pub(crate) fn merge_small_tables(&self) -> Result<()> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner).clone();
        for keyspace in buckets.values().flat_map(|bucket| [&bucket.keys, &bucket.values]) {
            let tables = keyspace.table_count() as u64;
            if tables > TOLERATED_TABLES.max(keyspace.disk_space() / TABLE_BYTES) {
                keyspace.major_compact().map_err(|failure| from_fjall("merging small tables", failure))?;
            }
        }
        Ok(())
    }

    /// Flushes a keyspace. This does not use fjall's `rotate_memtable_and_wait`, which waits
    /// forever if the flush worker has failed.
    fn flush_keyspace(&self, keyspace: &Keyspace) -> fjall::Result<()> {
        keyspace.rotate_memtable()?;
        while keyspace.sealed_memtable_count() > 0 {
            self.check_workers()?;
            clock::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Returns the disk space that the values of a bucket occupy.
    pub(crate) fn disk_bytes(&self, bucket: &str) -> Result<u64> {
        Ok(self.bucket(bucket)?.values.disk_space())
    }

    /// Reclaims the disk space of removed values.
    pub(crate) fn compact(&self, bucket: &str) -> Result<()> {
        let values = self.bucket(bucket)?.values;
        let compacted = self.flush_keyspace(&values).and_then(|()| values.major_compact());
        compacted.map_err(|failure| from_fjall("compacting a bucket", failure))
    }
}

/// Detects a `meta` record that is older than the values. A journal that is damaged in the middle
/// is replayed only up to the damage, but the tables may contain later writes. The replayed `meta`
/// record is then out of date, and revisions would be reused.
fn check_last(bucket: &str, values: &Keyspace, last: Revision) -> Result<()> {
    let Some(newest) = values.last_key_value() else { return Ok(()) };
    let newest = newest.key().map_err(|failure| from_fjall("opening a bucket", failure))?;
    let newest = record::decode_revision(&newest)?;
    if newest > last {
        let message = format!("bucket {bucket} contains revision {newest}, but its record ends at {last}");
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    Ok(())
}

fn lost(key: &Key, revision: Revision) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the value of key {key} at revision {revision} is missing"))
}
