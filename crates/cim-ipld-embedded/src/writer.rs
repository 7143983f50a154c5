use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use cim_ipld_backend::{Bucket, Durability, Error, ErrorKind, Key, Precondition, Result, Revision};
use fjall::PersistMode;
use tokio::sync::{mpsc, oneshot};

use crate::batch::{Batch, Records, Waiter};
use crate::bucket::BucketHandle;
use crate::database::OpenDatabase;
use crate::error::{copy, from_io};
use crate::record::{self, BucketRecord, KeyRecord};
use crate::store::Store;

/// The number of writes that may be queued while a batch is synced. Further callers wait.
const QUEUED_WRITES: usize = 1024;
/// Disk space that a bucket may occupy beyond twice the size of its live values before it is
/// compacted.
const TOLERATED_WASTE_BYTES: u64 = 64 << 20;

/// The single writer thread. It assigns revisions, checks preconditions, and syncs queued writes as
/// one batch.
#[derive(Debug)]
pub(crate) struct Writer {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    Create { bucket: Bucket, done: oneshot::Sender<Result<()>> },
    Put { write: Put, done: oneshot::Sender<Result<Revision>> },
    Delete { bucket: Arc<BucketHandle>, keys: Vec<Key>, done: oneshot::Sender<Result<()>> },
}

impl Command {
    fn refuse(self, error: &Error) {
        // The receiver is closed if the caller dropped its future.
        match self {
            Self::Put { done, .. } => drop(done.send(Err(copy(error)))),
            Self::Create { done, .. } | Self::Delete { done, .. } => drop(done.send(Err(copy(error)))),
        }
    }
}

struct Put {
    bucket: Arc<BucketHandle>,
    key: Key,
    value: Bytes,
    precondition: Precondition,
}

impl Writer {
    pub(crate) fn start(store: Arc<Store>) -> Result<Self> {
        let (sender, commands) = mpsc::channel(QUEUED_WRITES);
        let thread = std::thread::Builder::new()
            .name("cim-ipld-embedded".into())
            .spawn(move || WriteLoop::new(store).run(commands))
            .map_err(|failure| from_io("starting the writer", failure))?;
        Ok(Self { commands: Some(sender), thread: Some(thread) })
    }

    pub(crate) async fn create(&self, bucket: Bucket) -> Result<()> {
        self.send(|done| Command::Create { bucket, done }).await
    }

    pub(crate) async fn put(
        &self,
        bucket: Arc<BucketHandle>,
        key: Key,
        value: Bytes,
        precondition: Precondition,
    ) -> Result<Revision> {
        let write = Put { bucket, key, value, precondition };
        self.send(|done| Command::Put { write, done }).await
    }

    pub(crate) async fn delete(&self, bucket: Arc<BucketHandle>, keys: Vec<Key>) -> Result<()> {
        self.send(|done| Command::Delete { bucket, keys, done }).await
    }

    async fn send<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let (done, answer) = oneshot::channel();
        let sender = self.commands.as_ref().ok_or_else(stopped)?;
        sender.send(command(done)).await.map_err(|_| stopped())?;
        let lost =
            || Error::new(ErrorKind::OutcomeUnknown, "the store's writer stopped before it completed the operation");
        answer.await.unwrap_or_else(|_| Err(lost()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

struct WriteLoop {
    store: Arc<Store>,
    /// The `meta` records of the buckets, including the batch in progress.
    records: HashMap<String, BucketRecord>,
    /// The value of [`Store::openings`] when `records` was read.
    read_at: u64,
    /// The bytes of the values deleted from each bucket since this process last compacted it,
    /// without overwritten values.
    removed: HashMap<String, u64>,
    dirty: bool,
    /// Whether creating a bucket failed, after which the database refuses further writes.
    refuses: bool,
    compaction: Option<JoinHandle<()>>,
}

impl WriteLoop {
    fn new(store: Arc<Store>) -> Self {
        let (records, removed) = (HashMap::new(), HashMap::new());
        Self { store, records, read_at: 0, removed, dirty: false, refuses: false, compaction: None }
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let is_ready = self.read_records();
            let mut batch = Batch::default();
            let mut next = Some(first);
            while let Some(command) = next {
                match &is_ready {
                    Ok(()) => self.add(&mut batch, command),
                    Err(error) => command.refuse(error),
                }
                next = if batch.is_full(self.store.batch_bytes()) { None } else { commands.try_recv().ok() };
            }
            self.finish(batch);
        }
        if let Some(compaction) = self.compaction.take() {
            // Its error was logged; a panic in it does not affect stored data.
            let _ = compaction.join();
        }
        self.flush();
    }

    /// Reads the `meta` records unless they are current.
    fn read_records(&mut self) -> Result<()> {
        let store = Arc::clone(&self.store);
        store.with(|opened| {
            let openings = store.openings();
            if self.read_at != openings {
                self.records = opened.records()?;
                self.read_at = openings;
            }
            Ok(())
        })
    }

    fn add(&mut self, batch: &mut Batch, command: Command) {
        match command {
            Command::Create { bucket, done } => {
                let created = self.create(&bucket);
                // The receiver is closed if the caller dropped its future.
                let _ = done.send(created);
            }
            Command::Put { write, done } => match self.put(batch, &write) {
                Ok(revision) => batch.add_waiter(Waiter::Put(done, revision)),
                Err(error) => drop(done.send(Err(error))),
            },
            Command::Delete { bucket, keys, done } => match self.delete(batch, &bucket, &keys) {
                Ok(()) => batch.add_waiter(Waiter::Delete(done)),
                Err(error) => drop(done.send(Err(error))),
            },
        }
    }

    fn create(&mut self, bucket: &Bucket) -> Result<()> {
        let name = bucket.name();
        if self.records.contains_key(name) {
            return Ok(());
        }
        let record = BucketRecord::default();
        let created = self.store.with(|opened| opened.create(name, record, self.mode()));
        self.refuses |= created.is_err();
        created?;
        self.store.register(name, record);
        self.records.insert(name.to_owned(), record);
        self.dirty = true;
        Ok(())
    }

    fn put(&mut self, batch: &mut Batch, write: &Put) -> Result<Revision> {
        let Put { bucket, key, value, precondition } = write;
        let current = self.current(batch, bucket, key)?;
        let found = current.map(|record| record.revision);
        precondition
            .check(key, found, |fence| Ok(self.current(batch, bucket, fence)?.map(|record| record.revision)))?;
        let record = self.records.entry(bucket.name.clone()).or_default();
        record.last = Revision::new(record.last.number() + 1);
        record.live_bytes += value.len() as u64;
        let revision = record.last;
        let changes = batch.of(bucket);
        if let Some(old) = current {
            record.live_bytes = record.live_bytes.saturating_sub(u64::from(old.value_bytes));
            changes.values.insert(record::revision_key(old.revision).to_vec(), None);
        }
        // The maximum value size fits in four bytes.
        let key_record = KeyRecord { revision, value_bytes: value.len() as u32 };
        changes.keys.insert(key.as_str().into(), Some(key_record.encode().to_vec()));
        changes.values.insert(record::revision_key(revision).to_vec(), Some(record::encode_value(key, value)));
        changes.last = revision;
        batch.grow(value.len());
        Ok(revision)
    }

    fn delete(&mut self, batch: &mut Batch, bucket: &Arc<BucketHandle>, keys: &[Key]) -> Result<()> {
        for key in keys {
            let Some(old) = self.current(batch, bucket, key)? else { continue };
            let bytes = u64::from(old.value_bytes);
            let record = self.records.entry(bucket.name.clone()).or_default();
            record.live_bytes = record.live_bytes.saturating_sub(bytes);
            *self.removed.entry(bucket.name.clone()).or_default() += bytes;
            let changes = batch.of(bucket);
            changes.keys.insert(key.as_str().into(), None);
            changes.values.insert(record::revision_key(old.revision).to_vec(), None);
        }
        Ok(())
    }

    /// Returns the record that `key` will have once the batch is committed.
    fn current(&self, batch: &Batch, bucket: &BucketHandle, key: &Key) -> Result<Option<KeyRecord>> {
        let stored = || self.store.with(|opened| opened.key(&bucket.name, key));
        batch.pending(bucket, key).unwrap_or_else(stored)
    }

    /// Commits the batch and completes its callers. If the database refuses further writes, reopens
    /// it.
    fn finish(&mut self, batch: Batch) {
        let committed = if batch.is_empty() { Ok(()) } else { self.commit(&batch) };
        if committed.is_ok() {
            for (_, changes) in batch.buckets().filter(|(_, changes)| changes.last > Revision::ZERO) {
                changes.held.last.send_if_modified(|last| std::mem::replace(last, changes.last) != changes.last);
            }
        }
        let touched: Vec<String> = batch.buckets().map(|(name, _)| name.to_owned()).collect();
        batch.complete(&committed);
        if std::mem::take(&mut self.refuses)
            && let Err(error) = self.store.reopen()
        {
            tracing::error!(%error, "the store could not be reopened; the next operation will try again");
        }
        touched.iter().for_each(|bucket| self.compact_if_wasteful(bucket));
    }

    /// Writes and syncs the batch. After a failure, which may be an earlier failure of a background
    /// worker, the database refuses all writes. This function then reopens the database to find out
    /// whether the batch was written. If it was not, it tries the batch once more.
    fn commit(&mut self, batch: &Batch) -> Result<()> {
        let record = |(name, _): (&str, _)| {
            let record = self.records.get(name).copied().unwrap_or_default();
            (name.to_owned(), record.encode())
        };
        let records: Records = batch.buckets().map(record).collect();
        self.dirty = true;
        let mut tried_again = false;
        loop {
            let commit = |opened: &OpenDatabase| opened.commit(batch, &records, self.mode());
            let Err(failure) = self.store.with(commit) else { return Ok(()) };
            tracing::warn!(error = %failure, "a write failed; the store is being reopened");
            let landed = self.store.reopen().and_then(|()| self.store.with(|opened| opened.holds(batch, &records)));
            match landed {
                Ok(true) => return self.store.flush_failed_sync().map_err(in_doubt),
                // The batch was not written. A second attempt may succeed, but not if the disk is
                // full.
                Ok(false) if failure.kind() != ErrorKind::Full && !tried_again => tried_again = true,
                Ok(false) => return Err(failure),
                Err(error) => return Err(in_doubt(error)),
            }
        }
    }

    /// Compacts a bucket if most of its disk space is occupied by removed values.
    fn compact_if_wasteful(&mut self, bucket: &str) {
        let live = self.records.get(bucket).map_or(0, |record| record.live_bytes);
        let removed = self.removed.get(bucket).copied().unwrap_or_default();
        if removed < TOLERATED_WASTE_BYTES / 4 {
            return;
        }
        let on_disk = self.store.with(|opened| opened.disk_bytes(bucket)).unwrap_or_default();
        if on_disk < 2 * live + TOLERATED_WASTE_BYTES {
            return;
        }
        if self.compaction.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        self.removed.remove(bucket);
        let (store, bucket) = (Arc::clone(&self.store), bucket.to_owned());
        let compact = move || {
            if let Err(error) = store.with(|opened| opened.compact(&bucket)) {
                tracing::warn!(%error, "a bucket was not compacted; it occupies more disk space than necessary");
            }
        };
        // On a separate thread, because writes do not depend on it.
        match std::thread::Builder::new().name("cim-ipld-compaction".into()).spawn(compact) {
            Ok(running) => self.compaction = Some(running),
            Err(failure) => {
                tracing::warn!(%failure, "a bucket was not compacted; it occupies more disk space than necessary")
            }
        }
    }

    /// Flushes the journal to checksummed tables. A properly closed store then opens fast, and
    /// damage to it cannot be mistaken for the torn end of a journal.
    fn flush(&self) {
        if !self.dirty {
            return;
        }
        if let Err(error) = self.store.finish() {
            tracing::warn!(%error, "the store was not flushed on closing; the next opening takes longer");
        }
    }

    fn mode(&self) -> PersistMode {
        if self.store.durability() == Durability::PowerLoss { PersistMode::SyncData } else { PersistMode::Buffer }
    }
}

fn in_doubt(cause: Error) -> Error {
    let message = format!("it is unknown whether the write is on the disk: {cause}");
    Error::new(ErrorKind::OutcomeUnknown, message).with_source(cause)
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the store's writer has stopped")
}
