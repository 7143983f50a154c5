//! Bounds the memtables of all keyspaces together. fjall bounds each of them separately, and keeps
//! the limit with which a keyspace was created.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fjall::Keyspace;

pub(crate) struct WriteBuffer {
    max_bytes: u64,
    memtables: Mutex<Memtables>,
}

#[derive(Default)]
struct Memtables {
    /// By keyspace name, the bytes written since its memtable was last rotated here.
    active: HashMap<String, (Keyspace, u64)>,
    /// The memtables that were rotated here, with their sizes in bytes.
    sealed: Vec<(Keyspace, u64)>,
}

impl WriteBuffer {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, memtables: Mutex::default() }
    }

    /// Counts bytes that were written to a keyspace.
    pub(crate) fn note(&self, keyspace: &Keyspace, bytes: usize) {
        let active = &mut self.memtables().active;
        match active.get_mut(&**keyspace.name()) {
            Some((_, total)) => *total += bytes as u64,
            None => drop(active.insert(keyspace.name().to_string(), (keyspace.clone(), bytes as u64))),
        }
    }

    /// Returns whether the memtables exceed the limit and some of them are being flushed.
    pub(crate) fn is_full(&self) -> bool {
        let Memtables { active, sealed } = &mut *self.memtables();
        sealed.retain(|(keyspace, _)| keyspace.sealed_memtable_count() > 0);
        let bytes = active.values().chain(&*sealed).map(|(_, bytes)| bytes).sum::<u64>();
        !sealed.is_empty() && bytes > self.max_bytes
    }

    /// Rotates the largest memtable if the memtables that accept writes have half of the limit
    /// together, so that it is flushed while the other half fills.
    pub(crate) fn rotate_largest(&self) -> fjall::Result<()> {
        let Memtables { active, sealed } = &mut *self.memtables();
        if active.values().map(|(_, bytes)| bytes).sum::<u64>() < self.max_bytes / 2 {
            return Ok(());
        }
        let largest = active.iter().max_by_key(|(_, (_, bytes))| *bytes).map(|(name, _)| name.clone());
        let Some((keyspace, bytes)) = largest.and_then(|name| active.remove(&name)) else { return Ok(()) };
        sealed.push((keyspace.clone(), bytes));
        keyspace.rotate_memtable().map(drop)
    }

    fn memtables(&self) -> MutexGuard<'_, Memtables> {
        self.memtables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
