//! A hash table from keys to dense ids, filled by one writer while readers look up.
//!
//! A slot holds the upper half of a key's hash and its id plus one in a single atomic word. The
//! upper half also determines the slot, so that the table grows without access to the keys. When
//! half of the slots are taken, the writer fills a table of twice the size and then publishes it;
//! older tables are kept for readers that still use them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const FIRST_SLOTS: usize = 256;
const GENERATIONS: usize = 24;

#[derive(Debug)]
pub(super) struct HashTable {
    generations: [OnceLock<Box<[AtomicU64]>>; GENERATIONS],
    current: AtomicUsize,
}

/// The outcome of a lookup: the id, or the slot at which to insert it.
pub(super) enum Lookup {
    Found { id: u32, slot: usize },
    Vacant { slot: usize },
}

impl HashTable {
    pub(super) fn new() -> Self {
        let slots = Self { generations: std::array::from_fn(|_| OnceLock::new()), current: AtomicUsize::new(0) };
        let _ = slots.generations[0].set(table(FIRST_SLOTS));
        slots
    }

    /// Finds the id with this hash for which `is_same` returns true.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is_same: impl FnMut(u32) -> bool) -> Lookup {
        let table = self.table();
        let mask = table.len() - 1;
        let mut slot = (hash >> 32) as usize & mask;
        loop {
            let value = table[slot].load(Ordering::Acquire);
            if value == 0 {
                return Lookup::Vacant { slot };
            }
            let id = value as u32 - 1;
            if value >> 32 == hash >> 32 && is_same(id) {
                return Lookup::Found { id, slot };
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Stores `id` in the slot that [`find`](Self::find) returned. Only the writer calls this.
    pub(super) fn set(&self, slot: usize, hash: u64, id: u32) {
        self.table()[slot].store(entry(hash, id), Ordering::Release);
    }

    /// Doubles the table if it is too small for `len` ids. Only the writer calls this.
    pub(super) fn grow(&self, len: usize) -> Option<()> {
        let old = self.table();
        if len * 2 < old.len() {
            return Some(());
        }
        let new = table(old.len() * 2);
        let mask = new.len() - 1;
        for value in old.iter().map(|slot| slot.load(Ordering::Relaxed)).filter(|value| *value != 0) {
            let mut slot = (value >> 32) as usize & mask;
            while new[slot].load(Ordering::Relaxed) != 0 {
                slot = (slot + 1) & mask;
            }
            new[slot].store(value, Ordering::Relaxed);
        }
        let generation = self.current.load(Ordering::Relaxed) + 1;
        self.generations.get(generation)?.set(new).ok()?;
        self.current.store(generation, Ordering::Release);
        Some(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.generations.iter().filter_map(OnceLock::get).map(|table| std::mem::size_of_val(&table[..])).sum()
    }

    #[inline]
    fn table(&self) -> &[AtomicU64] {
        match self.generations[self.current.load(Ordering::Acquire)].get() {
            Some(table) => table,
            None => unreachable!("a generation is set before it is published"),
        }
    }
}

fn table(slots: usize) -> Box<[AtomicU64]> {
    (0..slots).map(|_| AtomicU64::new(0)).collect()
}

fn entry(hash: u64, id: u32) -> u64 {
    hash >> 32 << 32 | u64::from(id + 1)
}
