use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, Limits, MemoryBackend, Precondition, Result,
    Revision, WatchStream,
};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

/// A backend that separates what a running process sees from what survives a crash, and crashes at
/// a chosen operation.
///
/// Mutating operations (`create`, `put`, `delete`) are numbered from 0. Reads are not numbered,
/// because a crash during a read leaves the same state as a crash before the next mutation. The
/// chosen operation fails with `OutcomeUnknown`. Every later call on this handle and its clones
/// fails with `Unavailable`, and open streams end with `Unavailable`. [`reopen`](Crashing::reopen)
/// then returns a backend with only the durable state.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, Key, Precondition};
/// use cim_ipld_backend_testkit::{CrashMoment, Crashing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// let backend = Crashing::new();
/// let (bucket, one, two) = (Bucket::log("catalog_v1")?, Key::new("one")?, Key::new("two")?);
/// backend.crash_at(2, CrashMoment::Before);
/// backend.create(&bucket).await?;
/// backend.put(&bucket, &one, "kept".into(), Precondition::Any).await?;
/// assert!(backend.put(&bucket, &two, "lost".into(), Precondition::Any).await.is_err());
///
/// let reopened = backend.reopen();
/// assert!(reopened.get(&bucket, &one).await?.is_some());
/// assert!(reopened.get(&bucket, &two).await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Crashing {
    live: MemoryBackend,
    state: Arc<Mutex<State>>,
    crashed: watch::Sender<bool>,
}

/// How much of the operation is durable when the crash happens. The operation fails with
/// `OutcomeUnknown` in every case.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, Key, Precondition};
/// use cim_ipld_backend_testkit::{CrashMoment, Crashing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new("manifest")?);
/// for (moment, is_durable) in [(CrashMoment::Before, false), (CrashMoment::After, true)] {
///     let backend = Crashing::new();
///     backend.create(&bucket).await?;
///     backend.crash_at(1, moment);
///     backend.put(&bucket, &key, "value".into(), Precondition::Any).await.unwrap_err();
///     assert_eq!(backend.reopen().get(&bucket, &key).await?.is_some(), is_durable);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrashMoment {
    /// None of it.
    Before,
    /// Half of it: for a `delete`, the first half of its keys is removed. Other operations are
    /// completely durable.
    Midway,
    /// All of it.
    After,
}

impl CrashMoment {
    /// All moments, for tests that try each of them.
    pub const ALL: [Self; 3] = [Self::Before, Self::Midway, Self::After];
}

#[derive(Debug, Default)]
struct State {
    durable: MemoryBackend,
    /// Acknowledged but not yet durable changes, at most `unsynced`.
    pending: VecDeque<Change>,
    unsynced: usize,
    operations: u64,
    plan: Option<(u64, CrashMoment)>,
}

#[derive(Clone, Debug)]
enum Change {
    Create(Bucket),
    Put(Bucket, Key, Bytes),
    Delete(Bucket, Vec<Key>),
}

impl Default for Crashing {
    fn default() -> Self {
        Self::new()
    }
}

impl Crashing {
    /// Creates an empty backend on which every acknowledged operation is durable.
    #[must_use]
    pub fn new() -> Self {
        Self::from_durable(MemoryBackend::new(), 0)
    }

    /// Creates an empty backend whose last `unsynced` acknowledged operations do not survive a
    /// crash, like a server that acknowledges before syncing. However, a crash at
    /// `CrashMoment::Midway` or `After` also makes all earlier operations durable, unless the
    /// operation at which it happens would have been refused, for example because its precondition
    /// does not hold. Revisions that are lost are assigned again.
    #[must_use]
    pub fn losing(unsynced: usize) -> Self {
        Self::from_durable(MemoryBackend::new(), unsynced)
    }

    /// Crashes at the operation with this number, counted from the creation of this backend.
    pub fn crash_at(&self, operation: u64, moment: CrashMoment) {
        self.lock().plan = Some((operation, moment));
    }

    /// Crashes now, between two operations.
    pub fn crash(&self) {
        let state = self.lock();
        self.crashed.send_replace(true);
        drop(state);
    }

    /// Returns whether the crash has happened.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        *self.crashed.borrow()
    }

    /// Returns the number of mutating operations called so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Crashes unless the backend has already crashed, and returns a backend with only the durable
    /// state and without a planned crash.
    #[must_use]
    pub fn reopen(&self) -> Self {
        self.crash();
        let state = self.lock();
        Self::from_durable(state.durable.fork(), state.unsynced)
    }

    fn from_durable(durable: MemoryBackend, unsynced: usize) -> Self {
        let live = durable.fork();
        let state = State { durable, unsynced, ..State::default() };
        Self { live, state: Arc::new(Mutex::new(state)), crashed: watch::Sender::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<()> {
        if self.has_crashed() { Err(dead()) } else { Ok(()) }
    }

    /// Counts `change`, applies it to the live state with `act` and, if that succeeds, queues it
    /// for the durable state. At the planned crash, applies what the moment says. Both happen in
    /// one critical section, so both states see changes in the same order.
    fn change<T>(&self, change: Change, act: impl FnOnce(&MemoryBackend) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        self.check()?;
        let number = state.operations;
        state.operations += 1;
        let Some((_, moment)) = state.plan.filter(|(at, _)| *at == number) else {
            let done = act(&self.live)?;
            state.acknowledge(change);
            return Ok(done);
        };
        self.crashed.send_replace(true);
        let durable = match moment {
            CrashMoment::Before => None,
            CrashMoment::After => Some(change),
            CrashMoment::Midway => Some(change.half()),
        };
        if let Some(change) = durable
            && act(&self.live).is_ok()
        {
            state.sync_all();
            change.apply(&state.durable);
        }
        Err(Error::new(ErrorKind::OutcomeUnknown, "simulated crash during this operation"))
    }

    /// Ends `items` with an error after the crash.
    fn until_crash<T: Send + 'static>(&self, items: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        let (mut crash, crashed) = (self.crashed.subscribe(), self.crashed.clone());
        let crash = async move { crash.wait_for(|crashed| *crashed).await.is_ok() };
        let ending = async move { (*crashed.borrow()).then(|| Err(dead())) };
        items.take_until(crash).chain(stream::once(ending).filter_map(std::future::ready)).boxed()
    }
}

impl State {
    fn acknowledge(&mut self, change: Change) {
        self.pending.push_back(change);
        while self.pending.len() > self.unsynced {
            if let Some(change) = self.pending.pop_front() {
                change.apply(&self.durable);
            }
        }
    }

    fn sync_all(&mut self) {
        self.pending.drain(..).for_each(|change| change.apply(&self.durable));
    }
}

impl Change {
    fn half(self) -> Self {
        match self {
            Self::Delete(bucket, mut keys) => {
                keys.truncate(keys.len() / 2);
                Self::Delete(bucket, keys)
            }
            whole => whole,
        }
    }

    /// Repeats on `backend` a change that the live state accepted, so it cannot fail.
    fn apply(self, backend: &MemoryBackend) {
        let applied = match &self {
            Self::Create(bucket) => now(backend.create(bucket)),
            Self::Put(bucket, key, value) => {
                now(backend.put(bucket, key, value.clone(), Precondition::Any)).map(|_revision| ())
            }
            Self::Delete(bucket, keys) => now(backend.delete(bucket, keys)),
        };
        debug_assert!(applied.is_ok(), "the durable state refused {self:?}: {applied:?}");
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Crashing {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        self.change(Change::Create(bucket.clone()), |live| now(live.create(bucket)))
    }

    async fn check_bucket(&self, bucket: &Bucket) -> Result<()> {
        self.check()?;
        self.live.check_bucket(bucket).await
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        self.check()?;
        self.live.get(bucket, key).await
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        let change = Change::Put(bucket.clone(), key.clone(), value.clone());
        self.change(change, |live| now(live.put(bucket, key, value, precondition)))
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        self.change(Change::Delete(bucket.clone(), keys.to_vec()), |live| now(live.delete(bucket, keys)))
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        self.until_crash(self.live.scan(bucket, prefix, after))
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        self.until_crash(self.live.watch(bucket, prefix, after))
    }

    fn limits(&self) -> Limits {
        self.live.limits()
    }
}

/// Completes a call of a memory backend, whose mutating methods never wait.
fn now<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    use futures::FutureExt;
    call.now_or_never().unwrap_or_else(|| Err(Error::new(ErrorKind::Unavailable, "the memory backend waited")))
}

fn dead() -> Error {
    Error::new(ErrorKind::Unavailable, "simulated crash: this process is gone")
}
