//! The state shared by all clients, behind one lock that is never held across an await.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cim_ipld_backend::{Bucket, Key, Precondition, Result, Revision};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::branch::Branch;
use super::faults::Faults;
use super::ids::{Archived, BranchId, ClientId};
use super::random::Random;
use super::trace::Trace;

#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    /// Wakes all tasks that wait for a change, in the order in which they started to wait.
    pub(super) changed: Notify,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) branches: Vec<Branch>,
    pub(super) clients: Vec<ClientState>,
    /// All values ever put, including dropped ones, which an adversary can replay.
    pub(super) archive: Vec<(Archived, Bytes)>,
    trace: Trace,
    /// When the first operation began. The store may be created outside of the runtime with the
    /// paused clock.
    start: Option<Instant>,
}

/// The state of a client.
#[derive(Debug, Default)]
pub(super) struct ClientState {
    pub(super) branch: usize,
    /// The number of operations begun.
    pub(super) operations: u64,
    pub(super) crash_at: Option<u64>,
    pub(super) has_crashed: bool,
    pub(super) paused_until: Option<Instant>,
    /// The newest revision of each bucket reported to it by an acknowledgement, a read or a watch.
    pub(super) seen: BTreeMap<String, Revision>,
    /// The keys hidden from this client.
    pub(super) withheld: BTreeSet<(String, Key)>,
    /// The old values shown to this client instead of the newest, by their number in the archive.
    pub(super) served: BTreeMap<(String, Key), usize>,
}

impl Shared {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let world = World {
            random: Random::new(seed),
            faults,
            branches: vec![Branch::default()],
            clients: Vec::new(),
            archive: Vec::new(),
            trace: Trace::default(),
            start: None,
        };
        Self { world: Mutex::new(world), changed: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        // A panic elsewhere must not be masked by a poisoned lock.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world and wakes all waiting tasks.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let result = act(&mut self.lock());
        self.changed.notify_waiters();
        result
    }
}

impl World {
    pub(super) fn branch(&self, client: ClientId) -> &Branch {
        &self.branches[self.clients[client.0].branch]
    }

    pub(super) fn branch_mut(&mut self, client: ClientId) -> &mut Branch {
        let branch = self.clients[client.0].branch;
        &mut self.branches[branch]
    }

    /// Puts a value into a branch and archives it.
    pub(super) fn land(
        &mut self,
        branch: BranchId,
        bucket: &Bucket,
        key: &Key,
        value: &Bytes,
        when: &Precondition,
    ) -> Result<Revision> {
        let revision = self.branches[branch.0].put(bucket, key, value.clone(), when)?;
        self.archive(bucket, key, value);
        Ok(revision)
    }

    pub(super) fn archive(&mut self, bucket: &Bucket, key: &Key, value: &Bytes) {
        let archived = Archived { bucket: bucket.name().to_owned(), key: key.clone(), bytes: value.len() };
        self.archive.push((archived, value.clone()));
    }

    pub(super) fn start(&mut self) {
        self.start.get_or_insert_with(Instant::now);
    }

    pub(super) fn note(&mut self, what: impl fmt::Display) {
        let at = self.start.map_or(Duration::ZERO, |start| start.elapsed());
        self.trace.add(at, what);
    }

    pub(super) fn trace(&self) -> &Trace {
        &self.trace
    }
}
