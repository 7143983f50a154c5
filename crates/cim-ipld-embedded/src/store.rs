use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use cim_ipld_backend::{Bucket, Durability, Entry, Error, ErrorKind, Key, KeyPrefix, Result, Revision};
use tokio::sync::watch;

use crate::bucket::BucketHandle;
use crate::clock;
use crate::database::{Chunk, OpenDatabase};
use crate::error::copy;
use crate::folder::{Folder, Opening};
use crate::journal;
use crate::record::BucketRecord;
use crate::settings::EmbeddedSettings;

/// The minimum interval between attempts to reopen the database.
const REOPENING_PAUSE: Duration = Duration::from_millis(200);

/// The embedded store and its buckets: everything except writing.
///
/// After a failed write, for example because the disk is full, fjall refuses all further writes.
/// The store then closes and reopens the database while it keeps the folder locked; buckets and
/// watches stay valid.
pub(crate) struct Store {
    state: RwLock<State>,
    /// The number of times that the database was opened.
    openings: AtomicU64,
    /// Whether the journal contains a write whose sync failed. Nothing is appended to the journal
    /// until that write is in a table.
    in_doubt: AtomicBool,
    /// Whether everything is in tables and no more writes will follow.
    is_flushed: AtomicBool,
    /// Serializes reopening.
    reopening: Mutex<()>,
    buckets: RwLock<HashMap<String, Arc<BucketHandle>>>,
    settings: EmbeddedSettings,
    // Declared last, so that the lock is released after the database is closed.
    folder: Folder,
}

enum State {
    Open(OpenDatabase),
    /// Reopening failed: the error, and the time of the attempt.
    Closed(Error, Instant),
}

impl Store {
    pub(crate) fn open(path: &Path, opening: Opening, settings: EmbeddedSettings) -> Result<Self> {
        let mut folder = Folder::open(path, opening, settings.lock_patience)?;
        let opened = OpenDatabase::open(folder.data(), &settings)?;
        folder.finish()?;
        let store = Self {
            buckets: RwLock::default(),
            openings: AtomicU64::new(1),
            in_doubt: AtomicBool::new(false),
            is_flushed: AtomicBool::new(false),
            reopening: Mutex::new(()),
            state: RwLock::new(State::Open(opened)),
            settings,
            folder,
        };
        for (name, record) in store.with(OpenDatabase::records)? {
            store.register(&name, record);
        }
        Ok(store)
    }

    /// Runs `work` on the open database; reopens it first if it is closed.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&OpenDatabase) -> Result<T>) -> Result<T> {
        let is_due = match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(opened) => return work(opened),
            State::Closed(_, tried) => clock::now() - *tried >= REOPENING_PAUSE,
        };
        if is_due {
            let _turn = self.lock_reopening();
            // Another thread may have reopened it in the meantime.
            if matches!(&*self.state.read().unwrap_or_else(PoisonError::into_inner), State::Closed(..)) {
                self.open_again()?;
            }
        }
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(opened) => work(opened),
            State::Closed(cause, _) => Err(copy(cause)),
        }
    }

    /// Closes the database after it has started to refuse writes, and reopens it.
    pub(crate) fn reopen(&self) -> Result<()> {
        let _turn = self.lock_reopening();
        self.open_again()
    }

    fn lock_reopening(&self) -> MutexGuard<'_, ()> {
        self.reopening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_again(&self) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let closing = Error::new(ErrorKind::Unavailable, "the store is being reopened");
        // Closed first, because the database holds a lock of its own.
        drop(std::mem::replace(&mut *state, State::Closed(closing, clock::now())));
        match self.try_open() {
            Ok(opened) => {
                *state = State::Open(opened);
                self.openings.fetch_add(1, Ordering::Release);
                tracing::info!("the store was reopened after a failed write");
                Ok(())
            }
            Err(error) => {
                *state = State::Closed(copy(&error), clock::now());
                Err(error)
            }
        }
    }

    fn try_open(&self) -> Result<OpenDatabase> {
        let opened = OpenDatabase::open(self.folder.data(), &self.settings)?;
        if self.in_doubt.load(Ordering::Acquire) {
            opened.flush()?;
            self.in_doubt.store(false, Ordering::Release);
        }
        let mut records = opened.records()?;
        for held in self.all_buckets() {
            let last = records.remove(&held.name).unwrap_or_default().last;
            if last < *held.last.borrow() {
                let message = format!("bucket {} ends at {last}, but later writes to it were acknowledged", held.name);
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            held.last.send_if_modified(|known| std::mem::replace(known, last) != last);
        }
        for (name, record) in records {
            self.register(&name, record);
        }
        Ok(opened)
    }

    /// Makes a write durable after the sync of the journal failed, by flushing it to tables, which
    /// are synced separately. If the flush fails too, the database is reopened and flushed again;
    /// if that fails, the store stays closed.
    pub(crate) fn flush_failed_sync(&self) -> Result<()> {
        self.in_doubt.store(true, Ordering::Release);
        match self.with(OpenDatabase::flush) {
            Ok(()) => self.in_doubt.store(false, Ordering::Release),
            Err(_) => self.reopen()?,
        }
        Ok(())
    }

    /// Flushes everything into tables. Nothing may be written afterwards.
    pub(crate) fn finish(&self) -> Result<()> {
        self.with(OpenDatabase::flush)?;
        self.is_flushed.store(true, Ordering::Release);
        self.with(OpenDatabase::merge_small_tables)
    }

    /// Refuses writes to a store on a read-only file system.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.folder.is_read_only() {
            let message = "the store is on a read-only file system and cannot be changed";
            return Err(Error::new(ErrorKind::Denied, message).with_hint("copy the store to a writable file system"));
        }
        Ok(())
    }

    /// Returns the number of times that the database was opened. Data read before the last opening
    /// may be out of date.
    pub(crate) fn openings(&self) -> u64 {
        self.openings.load(Ordering::Acquire)
    }

    /// Returns the size at which no more writes are added to a batch, in bytes.
    pub(crate) fn batch_bytes(&self) -> usize {
        self.settings.batch_bytes()
    }

    pub(crate) fn durability(&self) -> Durability {
        self.settings.durability.max(Durability::Crash)
    }

    pub(crate) fn bucket(&self, bucket: &Bucket) -> Result<Arc<BucketHandle>> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets
            .get(bucket.name())
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::BucketMissing, format!("bucket {bucket} does not exist in the store")))
    }

    pub(crate) fn bucket_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.all_buckets().into_iter().map(|bucket| bucket.name.clone()).collect();
        names.sort_unstable();
        names
    }

    fn all_buckets(&self) -> Vec<Arc<BucketHandle>> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Registers a bucket.
    pub(crate) fn register(&self, name: &str, record: BucketRecord) {
        let held = BucketHandle { name: name.to_owned(), last: watch::Sender::new(record.last) };
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.entry(name.to_owned()).or_insert_with(|| Arc::new(held));
    }

    pub(crate) fn get(&self, bucket: &BucketHandle, key: &Key) -> Result<Option<Entry>> {
        self.with(|opened| opened.get(&bucket.name, key)).map_err(for_reader)
    }

    /// Reads entries under `prefix` with revisions in `(after, through]`, up to about `max_bytes`
    /// of values.
    pub(crate) fn read(
        &self,
        bucket: &BucketHandle,
        prefix: &KeyPrefix,
        after: Revision,
        through: Revision,
        max_bytes: usize,
    ) -> Result<Chunk> {
        self.with(|opened| opened.read(&bucket.name, prefix, after, through, max_bytes)).map_err(for_reader)
    }
}

impl Drop for Store {
    /// Closes the database, then truncates its journal while the folder is still locked.
    fn drop(&mut self) {
        let closed = Error::new(ErrorKind::Unavailable, "the store was closed");
        *self.state.get_mut().unwrap_or_else(PoisonError::into_inner) = State::Closed(closed, clock::now());
        if *self.is_flushed.get_mut()
            && let Err(error) = journal::empty_if_long(self.folder.data())
        {
            tracing::warn!(%error, "the journal was not truncated; the next opening takes longer");
        }
    }
}

/// Converts an error from a read. A full disk is reported as `Unavailable`, because it prevents
/// reads only until the database has been reopened.
fn for_reader(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Full => Error::new(ErrorKind::Unavailable, error.to_string()).with_source(error),
        _ => error,
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("settings", &self.settings).finish_non_exhaustive()
    }
}
