//! The journal entries seen by this process, for trimming.

use std::collections::BTreeMap;

use cim_ipld_backend::{Key, Revision};

use super::order::Order;
use crate::objects::chunked::Chunked;

/// The journal entries known to this process.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: BTreeMap<Key, Entry>,
    /// The part of the journal that has to be scanned for entries left by earlier processes.
    unseen: Option<Unseen>,
}

/// The part of the journal that was written before a process began to watch it.
#[derive(Clone, Debug)]
pub(crate) struct Unseen {
    /// The order at the manifest with which the process opened the index.
    pub(crate) opened_at: Order,
    /// The revision after which the process watches.
    pub(crate) through: Revision,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The position, or 0 for an entry that can never be part of the order.
    position: u64,
    spilled: Option<Chunked>,
}

/// The entries that can be removed from the journal.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    pub(crate) keys: Vec<Key>,
    pub(crate) spilled: Vec<Chunked>,
    /// Set if the journal has to be scanned for entries left by earlier processes.
    pub(crate) unseen: Option<Unseen>,
}

impl Journal {
    /// Sets the order at the manifest that this process opens, and the revision after which it
    /// watches the journal.
    pub(crate) fn begin(&mut self, opened_at: Order, through: Revision) {
        self.unseen = Some(Unseen { opened_at, through });
    }

    /// Notes a record that was accepted.
    pub(crate) fn accepted(&mut self, key: Key, position: u64, spilled: Option<Chunked>) {
        self.entries.insert(key, Entry { position, spilled });
    }

    /// Returns the position at which the record under `key` was accepted.
    pub(crate) fn position(&self, key: &Key) -> Option<u64> {
        self.entries.get(key).map(|entry| entry.position).filter(|position| *position > 0)
    }

    /// Notes a record that can never become part of the order, unless its key is that of an
    /// accepted record.
    pub(crate) fn ignored(&mut self, key: Key, spilled: Option<Chunked>) {
        self.entries.entry(key).or_insert(Entry { position: 0, spilled });
    }

    /// Notes that a journal entry cannot be decrypted. Only a scan of the whole journal can
    /// determine whether the entry is dead.
    pub(crate) fn junk(&mut self) {
        if let Some(unseen) = &mut self.unseen {
            unseen.through = Revision::new(u64::MAX);
        }
    }

    /// Takes the entries up to `position`, the watermark of a superseded manifest.
    pub(crate) fn take_dead(&mut self, position: u64) -> Dead {
        let keys: Vec<Key> =
            self.entries.iter().filter(|(_, entry)| entry.position <= position).map(|(key, _)| key.clone()).collect();
        let spilled = keys.iter().filter_map(|key| self.entries.remove(key)?.spilled).collect();
        Dead { keys, spilled, unseen: self.unseen.take() }
    }

    /// Requests another scan for entries left by earlier processes.
    pub(crate) fn request_rescan(&mut self, unseen: Unseen) {
        self.unseen = Some(unseen);
    }

    /// Forgets the entries that the publisher of a newer manifest removes.
    pub(crate) fn forget(&mut self, position: u64) {
        self.entries.retain(|_, entry| entry.position > position);
    }
}
