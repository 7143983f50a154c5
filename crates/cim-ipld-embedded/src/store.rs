use std::collections::HashMap;
use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cim_ipld_backend::{Bucket, Durability, Entry, Error, ErrorKind, Key, KeyPrefix, KeyedEntry, Result, Revision};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use tokio::sync::watch;

use crate::EmbeddedSettings;
use crate::error::of_store;
use crate::folder::{Folder, Opening};
use crate::record::{self, BucketRecord, KeyRecord};

const META: &str = "meta";
/// Bounds what is replayed after a crash, and with it the time that opening takes.
const MAX_JOURNAL_BYTES: u64 = 128 << 20;
const KEYS_MEMTABLE_BYTES: u64 = 4 << 20;
const VALUES_MEMTABLE_BYTES: u64 = 16 << 20;

/// The open embedded store and its buckets: everything but writing.
pub(crate) struct Store {
    buckets: RwLock<HashMap<String, Arc<HeldBucket>>>,
    pub(crate) database: Database,
    pub(crate) meta: Keyspace,
    settings: EmbeddedSettings,
    // Last, so that the lock is let go after the database is closed.
    folder: Folder,
}

/// A bucket of the open store.
pub(crate) struct HeldBucket {
    pub(crate) name: String,
    pub(crate) keys: Keyspace,
    pub(crate) values: Keyspace,
    /// The last revision that readers can see, and the news of it.
    pub(crate) last: watch::Sender<Revision>,
    pub(crate) live_bytes_at_open: u64,
}

/// Some entries of a scan and how far it got.
pub(crate) struct Chunk {
    pub(crate) entries: Vec<KeyedEntry>,
    /// Every revision up to here was looked at.
    pub(crate) through: Revision,
    /// There may be more.
    pub(crate) more: bool,
}

impl Store {
    pub(crate) fn open(path: &Path, opening: Opening, settings: EmbeddedSettings) -> Result<Self> {
        let mut folder = Folder::open(path, opening, settings.lock_patience)?;
        let failed = |failure| of_store("opening the store", failure);
        let database = Database::builder(folder.data())
            .cache_size(settings.cache_bytes)
            .max_journaling_size(MAX_JOURNAL_BYTES)
            .worker_threads(2)
            .open()
            .map_err(failed)?;
        let meta = database
            .keyspace(META, || KeyspaceCreateOptions::default().max_memtable_size(KEYS_MEMTABLE_BYTES))
            .map_err(failed)?;
        folder.finish()?;
        let store = Self { buckets: RwLock::default(), database, meta, settings, folder };
        for found in store.meta.iter() {
            let (name, record) = found.into_inner().map_err(failed)?;
            let name = std::str::from_utf8(&name)
                .map_err(|_| Error::new(ErrorKind::Corrupt, "a bucket's name in the store is damaged"))?;
            store.hold(name, BucketRecord::decode(&record)?)?;
        }
        store.all_buckets().iter().try_for_each(|bucket| bucket.check_last())?;
        Ok(store)
    }

    /// Moves what `keyspace` holds in memory and in the journal into its checksummed tables.
    ///
    /// fjall's own `rotate_memtable_and_wait` waits for ever when its worker has failed, for want of room on the disk for
    /// one; a failed worker leaves the store refusing writes, which is looked for here.
    pub(crate) fn flush(&self, keyspace: &Keyspace) -> fjall::Result<()> {
        const POLL_INTERVAL: Duration = Duration::from_millis(2);
        keyspace.rotate_memtable()?;
        while keyspace.sealed_memtable_count() > 0 {
            self.database.persist(PersistMode::Buffer)?;
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Refuses to write to a store that is on a file system which cannot be written.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.folder.is_read_only() {
            let message = "the store is on a read-only file system, where it can be read and not changed";
            return Err(
                Error::new(ErrorKind::Denied, message).with_hint("copy the store to a place that can be written")
            );
        }
        Ok(())
    }

    pub(crate) fn durability(&self) -> Durability {
        self.settings.durability.max(Durability::Crash)
    }

    pub(crate) fn bucket(&self, bucket: &Bucket) -> Result<Arc<HeldBucket>> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets
            .get(bucket.name())
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::BucketMissing, format!("there is no bucket {bucket} in the store")))
    }

    pub(crate) fn all_buckets(&self) -> Vec<Arc<HeldBucket>> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Opens the keyspaces of a bucket and lets it be found.
    pub(crate) fn hold(&self, name: &str, record: BucketRecord) -> Result<()> {
        let keyspace = |part: &str, memtable_bytes: u64| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes);
            let opened = self.database.keyspace(&format!("{part}.{name}"), options);
            opened.map_err(|failure| of_store("opening a bucket", failure))
        };
        let held = HeldBucket {
            name: name.to_owned(),
            keys: keyspace("keys", KEYS_MEMTABLE_BYTES)?,
            values: keyspace("values", VALUES_MEMTABLE_BYTES)?,
            last: watch::Sender::new(record.last),
            live_bytes_at_open: record.live_bytes,
        };
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.insert(name.to_owned(), Arc::new(held));
        Ok(())
    }

    pub(crate) fn get(&self, bucket: &HeldBucket, key: &Key) -> Result<Option<Entry>> {
        let failed = |failure| of_store("reading a value", failure);
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

    /// Reads entries under `prefix` after `after`, up to `through` and to about `max_bytes` of values.
    pub(crate) fn read(
        &self,
        bucket: &HeldBucket,
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
        let view = self.database.snapshot();
        let mut bytes = 0;
        for (passed, found) in view.range(&bucket.values, (Bound::Excluded(start), Bound::Included(end))).enumerate() {
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
}

impl HeldBucket {
    /// A journal that is damaged in its middle is replayed up to there only, on top of tables that are newer: then `meta` has
    /// gone back, and revisions would be given a second time.
    fn check_last(&self) -> Result<()> {
        let Some(newest) = self.values.last_key_value() else { return Ok(()) };
        let newest = newest.key().map_err(|failure| of_store("opening a bucket", failure))?;
        let (newest, last) = (record::decode_revision(&newest)?, *self.last.borrow());
        if newest > last {
            let message = format!("bucket {} holds revision {newest} and claims to end at {last}", self.name);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn lost(key: &Key, revision: Revision) -> Error {
    Error::new(ErrorKind::Corrupt, format!("key {key} names revision {revision}, whose value is not there"))
}
