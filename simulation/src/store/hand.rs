//! The control interface of a test.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::{Bucket, Error, ErrorKind, Key, KeyPrefix, KeyedEntry, Precondition, Result, Revision};
use tokio::time::Instant;

use super::client::Client;
use super::faults::Faults;
use super::ids::{Archived, BranchId, ClientId};
use super::world::{ClientState, Shared, World};

/// A simulated store, shared by its clients. Clones share one store.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Returns an empty store whose random choices follow from `seed`.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self { shared: Arc::new(Shared::new(seed, faults)) }
    }

    /// Adds a client. A process that restarts after a crash needs a new one.
    #[must_use]
    pub fn client(&self) -> Client {
        let mut world = self.shared.lock();
        world.clients.push(ClientState::default());
        let id = ClientId(world.clients.len() - 1);
        Client::new(Arc::clone(&self.shared), id)
    }

    /// Returns the number of clients.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.shared.lock().clients.len()
    }

    /// Replaces the faults.
    pub fn set_faults(&self, faults: Faults) {
        self.change(format_args!("other faults"), |world| world.faults = faults);
    }

    /// Crashes a client: none of its operations is answered any more. Writes that it has sent may
    /// still take effect.
    pub fn crash(&self, client: ClientId) {
        self.change(format_args!("{client} crashes"), |world| world.clients[client.0].has_crashed = true);
    }

    /// Crashes a client at its `operation`-th operation, counted from 1. Whether that operation is
    /// still sent is random.
    pub fn crash_at(&self, client: ClientId, operation: u64) {
        let what = format!("{client} will crash at operation {operation}");
        self.change(what, |world| world.clients[client.0].crash_at = Some(operation));
    }

    /// Returns whether a client has crashed.
    #[must_use]
    pub fn has_crashed(&self, client: ClientId) -> bool {
        self.shared.lock().clients[client.0].has_crashed
    }

    /// Waits until a client has crashed.
    pub async fn crashed(&self, client: ClientId) {
        loop {
            let changed = self.shared.changed.notified();
            if self.has_crashed(client) {
                return;
            }
            changed.await;
        }
    }

    /// Returns the number of operations that a client has started.
    #[must_use]
    pub fn operations(&self, client: ClientId) -> u64 {
        self.shared.lock().clients[client.0].operations
    }

    /// Pauses a client. Its operations and watches continue afterwards.
    pub fn pause(&self, client: ClientId, time: Duration) {
        let until = Instant::now() + time;
        self.change(format_args!("{client} pauses for {time:?}"), |world| {
            world.clients[client.0].paused_until = Some(until);
        });
    }

    /// Removes all values of a bucket. Its revisions continue.
    ///
    /// # Errors
    /// `BucketMissing`.
    pub fn purge(&self, branch: BranchId, bucket: &Bucket) -> Result<()> {
        self.change(format_args!("{bucket} is purged"), |world| world.branches[branch.0].purge(bucket))
    }

    /// Replaces a bucket by an empty one, whose revisions start again. Its watches end.
    ///
    /// # Errors
    /// `BucketMissing`.
    pub fn recreate(&self, branch: BranchId, bucket: &Bucket) -> Result<()> {
        self.change(format_args!("{bucket} is recreated"), |world| world.branches[branch.0].recreate(bucket))
    }

    /// Copies a branch. Later changes of one are not visible in the other.
    #[must_use]
    pub fn fork(&self, branch: BranchId) -> BranchId {
        self.change(format_args!("{branch} is forked"), |world| {
            let copy = world.branches[branch.0].clone();
            world.branches.push(copy);
            BranchId(world.branches.len() - 1)
        })
    }

    /// Moves a client and its running watches to a branch, without its knowledge.
    pub fn assign(&self, client: ClientId, branch: BranchId) {
        let what = format!("{client} is moved to {branch}");
        self.change(what, |world| world.clients[client.0].branch = branch.0);
    }

    /// Returns all values ever put, by number.
    #[must_use]
    pub fn archive(&self) -> Vec<Archived> {
        self.shared.lock().archive.iter().map(|(archived, _)| archived.clone()).collect()
    }

    /// Stores a value of the archive in a branch again, under its own key or another one, and
    /// returns its new revision.
    ///
    /// # Errors
    /// `BucketMissing`; `Corrupt` if the archive has no value of this number.
    pub fn replay(&self, branch: BranchId, bucket: &Bucket, number: usize, key: Option<&Key>) -> Result<Revision> {
        let what = format!("value {number} is put into {bucket} of {branch} again, under {key:?}");
        self.change(what, |world| {
            let found = world.archive.get(number).cloned();
            let (archived, value) = found
                .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("nothing with the number {number} was put")))?;
            world.land(branch, bucket, key.unwrap_or(&archived.key), &value, &Precondition::Any)
        })
    }

    /// Removes a value, as anyone with write access to the bucket can.
    ///
    /// # Errors
    /// `BucketMissing`.
    pub fn remove(&self, branch: BranchId, bucket: &Bucket, key: &Key) -> Result<()> {
        self.change(format_args!("{key} is removed from {bucket} of {branch}"), |world| {
            world.branches[branch.0].remove(bucket, key)
        })
    }

    /// Returns the content of a bucket in the order of revisions.
    ///
    /// # Errors
    /// `BucketMissing`.
    pub fn contents(&self, branch: BranchId, bucket: &Bucket) -> Result<Vec<KeyedEntry>> {
        self.shared.lock().branches[branch.0].after(bucket, &KeyPrefix::all(), Revision::ZERO)
    }

    /// Returns a random number below `bound`, or 0 if `bound` is 0, for the choices of a test.
    #[must_use]
    pub fn choose(&self, bound: u64) -> u64 {
        self.shared.lock().random.below(bound)
    }

    /// Puts random bytes into a branch and returns their revision.
    ///
    /// # Errors
    /// `BucketMissing`.
    pub fn junk(&self, branch: BranchId, bucket: &Bucket, key: &Key) -> Result<Revision> {
        self.change(format_args!("junk is put into {bucket} of {branch} under {key}"), |world| {
            let junk = world.junk();
            world.land(branch, bucket, key, &junk, &Precondition::Any)
        })
    }

    /// Hides a key from a client: its reads find nothing, and its watches and scans skip it.
    pub fn withhold(&self, client: ClientId, bucket: &Bucket, key: &Key) {
        let what = format!("{key} of {bucket} is withheld from {client}");
        self.change(what, |world| world.clients[client.0].withheld.insert((bucket.name().to_owned(), key.clone())));
    }

    /// Makes the reads of a key by a client return value `number` of the archive, until
    /// [`release`](Store::release).
    pub fn serve(&self, client: ClientId, bucket: &Bucket, key: &Key, number: usize) {
        let what = format!("{client} is served value {number} as {key} of {bucket}");
        let place = (bucket.name().to_owned(), key.clone());
        self.change(what, |world| world.clients[client.0].served.insert(place, number));
    }

    /// Shows a client the actual content again.
    pub fn release(&self, client: ClientId) {
        self.change(format_args!("{client} sees everything again"), |world| {
            world.clients[client.0].withheld.clear();
            world.clients[client.0].served.clear();
        });
    }

    /// Adds a line to the trace.
    pub fn say(&self, what: &str) {
        self.shared.lock().note(what);
    }

    /// Returns the trace so far: one line for each completed operation and each event of the store.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.shared.lock().trace().lines()
    }

    /// Returns 32 hexadecimal digits that identify the trace.
    #[must_use]
    pub fn trace_hash(&self) -> String {
        self.shared.lock().trace().hash()
    }

    fn change<T>(&self, what: impl fmt::Display, act: impl FnOnce(&mut World) -> T) -> T {
        self.shared.change(|world| {
            world.note(what);
            act(world)
        })
    }
}
