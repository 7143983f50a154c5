use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use cim_ipld_backend::{Bucket, Durability, Error, ErrorKind, Key, Precondition, Result, Revision};
use fjall::{Keyspace, PersistMode};
use tokio::sync::{mpsc, oneshot};

use crate::error::{of_file, of_store};
use crate::record::{self, BucketRecord, KeyRecord};
use crate::store::{HeldBucket, Store};

/// Writes that wait while one batch is synced; callers beyond that wait for room.
const QUEUED_WRITES: usize = 1024;
/// Where a batch is full although more writes wait.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_WRITES: usize = 1024;
/// Room on disk that may be wasted before a bucket is compacted, beside as much again as its live values take.
const TOLERATED_WASTE_BYTES: u64 = 64 << 20;

/// The one thread that writes: it gives revisions, decides preconditions, and syncs the writes that wait as one batch.
#[derive(Debug)]
pub(crate) struct Writer {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    Create { bucket: Bucket, done: oneshot::Sender<Result<()>> },
    Put { write: Put, done: oneshot::Sender<Result<Revision>> },
    Delete { bucket: Arc<HeldBucket>, keys: Vec<Key>, done: oneshot::Sender<Result<()>> },
}

struct Put {
    bucket: Arc<HeldBucket>,
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
            .map_err(|failure| of_file("starting the writer", failure))?;
        Ok(Self { commands: Some(sender), thread: Some(thread) })
    }

    pub(crate) async fn create(&self, bucket: Bucket) -> Result<()> {
        self.ask(|done| Command::Create { bucket, done }).await
    }

    pub(crate) async fn put(
        &self,
        bucket: Arc<HeldBucket>,
        key: Key,
        value: Bytes,
        precondition: Precondition,
    ) -> Result<Revision> {
        let write = Put { bucket, key, value, precondition };
        self.ask(|done| Command::Put { write, done }).await
    }

    pub(crate) async fn delete(&self, bucket: Arc<HeldBucket>, keys: Vec<Key>) -> Result<()> {
        self.ask(|done| Command::Delete { bucket, keys, done }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let (done, answer) = oneshot::channel();
        let sender = self.commands.as_ref().ok_or_else(stopped)?;
        sender.send(command(done)).await.map_err(|_| stopped())?;
        let lost = || Error::new(ErrorKind::OutcomeUnknown, "the store's writer stopped before it answered");
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
    /// What `meta` says of each bucket, or will say when the batch under way is committed.
    records: HashMap<String, BucketRecord>,
    /// Bytes removed from each bucket since it was last compacted.
    removed: HashMap<String, u64>,
    dirty: bool,
    compaction: Option<JoinHandle<()>>,
}

impl WriteLoop {
    fn new(store: Arc<Store>) -> Self {
        let record =
            |held: &HeldBucket| BucketRecord { last: *held.last.borrow(), live_bytes: held.live_bytes_at_open };
        let records = store.all_buckets().iter().map(|held| (held.name.clone(), record(held))).collect();
        Self { store, records, removed: HashMap::new(), dirty: false, compaction: None }
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut batch = Batch::default();
            let mut next = Some(first);
            while let Some(command) = next {
                self.add(&mut batch, command);
                next = if batch.is_full() { None } else { commands.try_recv().ok() };
            }
            self.commit(batch);
        }
        if let Some(compaction) = self.compaction.take() {
            // What it says was logged; a panic of it changes nothing that is written.
            let _ = compaction.join();
        }
        self.flush();
    }

    fn add(&mut self, batch: &mut Batch, command: Command) {
        match command {
            Command::Create { bucket, done } => {
                let created = self.create(&bucket);
                // A receiver that is gone has dropped its call.
                let _ = done.send(created);
            }
            Command::Put { write, done } => match self.put(batch, &write) {
                Ok(revision) => batch.promises.push(Promise::Put(done, revision)),
                Err(error) => drop(done.send(Err(error))),
            },
            Command::Delete { bucket, keys, done } => match self.delete(batch, &bucket, &keys) {
                Ok(()) => batch.promises.push(Promise::Delete(done)),
                Err(error) => drop(done.send(Err(error))),
            },
        }
    }

    fn create(&mut self, bucket: &Bucket) -> Result<()> {
        let name = bucket.name();
        if self.records.contains_key(name) {
            return Ok(());
        }
        let failed = |failure| of_store("creating a bucket", failure);
        let record = BucketRecord::default();
        // The keyspaces first: a bucket that `meta` names is whole.
        self.store.hold(name, record)?;
        let mut write = self.store.database.batch().durability(self.mode());
        write.insert(&self.store.meta, name, record.encode());
        write.commit().map_err(failed)?;
        self.records.insert(name.to_owned(), record);
        self.dirty = true;
        Ok(())
    }

    fn put(&mut self, batch: &mut Batch, write: &Put) -> Result<Revision> {
        let Put { bucket, key, value, precondition } = write;
        let current = batch.current(bucket, key)?;
        let found = current.map(|record| record.revision);
        let holds = match precondition {
            Precondition::Any => true,
            Precondition::Absent => found.is_none(),
            Precondition::Unchanged(revision) => found == Some(*revision),
            Precondition::AbsentWhile { key: fence, revision } => {
                found.is_none() && batch.current(bucket, fence)?.is_some_and(|record| record.revision == *revision)
            }
            _ => return Err(Error::new(ErrorKind::Incompatible, "this store does not know the precondition")),
        };
        if !holds {
            let found = found.map_or_else(|| "no value".to_owned(), |revision| revision.to_string());
            let message = format!("key {key} has {found}, the write expected {precondition:?}");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let record = self.records.entry(bucket.name.clone()).or_default();
        record.last = Revision::new(record.last.number() + 1);
        record.live_bytes += value.len() as u64;
        let revision = record.last;
        if let Some(old) = current {
            record.live_bytes = record.live_bytes.saturating_sub(u64::from(old.value_bytes));
            batch.set(&bucket.values, record::revision_key(old.revision).to_vec(), None);
        }
        // The limit on values is far below what four bytes hold.
        let key_record = KeyRecord { revision, value_bytes: value.len() as u32 };
        batch.set(&bucket.keys, key.as_str().into(), Some(key_record.encode().to_vec()));
        batch.set(&bucket.values, record::revision_key(revision).to_vec(), Some(record::encode_value(key, value)));
        batch.touch(bucket, revision, value.len());
        Ok(revision)
    }

    fn delete(&mut self, batch: &mut Batch, bucket: &Arc<HeldBucket>, keys: &[Key]) -> Result<()> {
        for key in keys {
            let Some(old) = batch.current(bucket, key)? else { continue };
            let bytes = u64::from(old.value_bytes);
            let record = self.records.entry(bucket.name.clone()).or_default();
            record.live_bytes = record.live_bytes.saturating_sub(bytes);
            *self.removed.entry(bucket.name.clone()).or_default() += bytes;
            batch.set(&bucket.keys, key.as_str().into(), None);
            batch.set(&bucket.values, record::revision_key(old.revision).to_vec(), None);
            batch.touch(bucket, Revision::ZERO, 0);
        }
        Ok(())
    }

    /// Writes and syncs the batch, then answers everybody in it.
    fn commit(&mut self, batch: Batch) {
        if batch.touched.is_empty() {
            return batch.answer(&Ok(()));
        }
        let mut write = self.store.database.batch().durability(self.mode());
        for bucket in batch.touched.values() {
            let record = self.records.get(&bucket.held.name).copied().unwrap_or_default();
            write.insert(&self.store.meta, bucket.held.name.as_str(), record.encode());
        }
        for (keyspace, key, value) in batch.writes() {
            match value {
                Some(value) => write.insert(keyspace, key, value),
                None => write.remove(keyspace, key),
            }
        }
        let committed = write.commit().map_err(|failure| {
            let cause = of_store("writing", failure);
            // The store refuses everything after a failed write, until it is opened again and looks at what is there.
            match cause.kind() {
                ErrorKind::Full => cause,
                _ => Error::new(ErrorKind::OutcomeUnknown, "writing to the disk failed").with_source(cause),
            }
        });
        self.dirty = true;
        if committed.is_ok() {
            for bucket in batch.touched.values().filter(|bucket| bucket.last > Revision::ZERO) {
                bucket.held.last.send_replace(bucket.last);
            }
        }
        let touched: Vec<_> = batch.touched.values().map(|bucket| Arc::clone(&bucket.held)).collect();
        batch.answer(&committed);
        touched.iter().for_each(|bucket| self.compact_if_wasteful(bucket));
    }

    /// Gives room back to the disk when most of what a bucket takes there is removed values.
    fn compact_if_wasteful(&mut self, bucket: &HeldBucket) {
        let live = self.records.get(&bucket.name).map_or(0, |record| record.live_bytes);
        let removed = self.removed.get(&bucket.name).copied().unwrap_or_default();
        let on_disk = bucket.values.disk_space();
        if removed < TOLERATED_WASTE_BYTES / 4 || on_disk < 2 * live + TOLERATED_WASTE_BYTES {
            return;
        }
        if self.compaction.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        self.removed.remove(&bucket.name);
        let (store, values) = (Arc::clone(&self.store), bucket.values.clone());
        let compact = move || {
            let compacted = store.flush(&values).and_then(|()| values.major_compact());
            if let Err(failure) = compacted {
                tracing::warn!(%failure, "a bucket was not compacted; it takes more room than it needs");
            }
        };
        // On a thread of its own, because writes need not wait for it.
        match std::thread::Builder::new().name("cim-ipld-compaction".into()).spawn(compact) {
            Ok(running) => self.compaction = Some(running),
            Err(failure) => tracing::warn!(%failure, "a bucket was not compacted; it takes more room than it needs"),
        }
    }

    /// Moves what is only in the store's journal into its checksummed tables, so that a store that was closed in order
    /// opens at once and damage to it cannot be taken for the torn end of a journal.
    fn flush(&self) {
        if !self.dirty {
            return;
        }
        let buckets = self.store.all_buckets();
        let keyspaces = buckets.iter().flat_map(|bucket| [&bucket.keys, &bucket.values]);
        for keyspace in keyspaces.chain([&self.store.meta]) {
            if let Err(failure) = self.store.flush(keyspace) {
                tracing::warn!(%failure, "the store was not flushed; its journal is replayed at the next opening");
            }
        }
    }

    fn mode(&self) -> Option<PersistMode> {
        Some(if self.store.durability() == Durability::PowerLoss { PersistMode::SyncData } else { PersistMode::Buffer })
    }
}

/// Writes that are synced together. Within one batch the last write to a record is the one that counts.
#[derive(Default)]
struct Batch {
    records: HashMap<String, Records>,
    touched: HashMap<String, Touched>,
    promises: Vec<Promise>,
    bytes: usize,
}

/// The records to be written in one keyspace; `None` removes.
struct Records {
    keyspace: Keyspace,
    records: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

struct Touched {
    held: Arc<HeldBucket>,
    last: Revision,
}

enum Promise {
    Put(oneshot::Sender<Result<Revision>>, Revision),
    Delete(oneshot::Sender<Result<()>>),
}

impl Batch {
    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.promises.len() >= BATCH_WRITES
    }

    /// What stands under `key` once this batch is written.
    fn current(&self, bucket: &HeldBucket, key: &Key) -> Result<Option<KeyRecord>> {
        let pending =
            self.records.get(&**bucket.keys.name()).and_then(|found| found.records.get(key.as_str().as_bytes()));
        if let Some(pending) = pending {
            return pending.as_deref().map(KeyRecord::decode).transpose();
        }
        let found = bucket.keys.get(key.as_str()).map_err(|failure| of_store("reading a key", failure))?;
        found.as_deref().map(KeyRecord::decode).transpose()
    }

    fn set(&mut self, keyspace: &Keyspace, key: Vec<u8>, value: Option<Vec<u8>>) {
        let entry = self.records.entry(keyspace.name().to_string());
        let records = entry.or_insert_with(|| Records { keyspace: keyspace.clone(), records: HashMap::new() });
        records.records.insert(key, value);
    }

    fn touch(&mut self, bucket: &Arc<HeldBucket>, revision: Revision, bytes: usize) {
        let entry = self.touched.entry(bucket.name.clone());
        let touched = entry.or_insert_with(|| Touched { held: Arc::clone(bucket), last: Revision::ZERO });
        touched.last = touched.last.max(revision);
        self.bytes += bytes;
    }

    fn writes(&self) -> impl Iterator<Item = (&Keyspace, &[u8], Option<&[u8]>)> {
        self.records
            .values()
            .flat_map(|found| found.records.iter().map(|(key, value)| (&found.keyspace, &key[..], value.as_deref())))
    }

    fn answer(self, committed: &Result<()>) {
        for promise in self.promises {
            // A receiver that is gone has dropped its call.
            match promise {
                Promise::Put(done, revision) => drop(done.send(copy(committed).map(|()| revision))),
                Promise::Delete(done) => drop(done.send(copy(committed))),
            }
        }
    }
}

/// One failure told to everybody whose write was in the batch.
fn copy(committed: &Result<()>) -> Result<()> {
    committed.as_ref().copied().map_err(|error| {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        Error::new(error.kind(), format!("{error}{}", cause.unwrap_or_default()))
    })
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the store's writer has stopped")
}
