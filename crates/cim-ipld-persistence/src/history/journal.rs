//! The entries of the journal that this process saw, for trimming.

use std::collections::BTreeMap;

use cim_ipld_backend::{Key, Revision};

use super::order::Order;
use crate::objects::chunked::Chunked;

/// What is in the journal as far as this process knows.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: BTreeMap<Key, Entry>,
    /// What was in the journal before this process began to watch it has to be looked for.
    unseen: Option<Unseen>,
}

/// The part of the journal that a process did not watch.
#[derive(Clone, Debug)]
pub(crate) struct Unseen {
    /// The order as of the manifest that the process opened.
    pub(crate) opened_at: Order,
    /// Where it began to watch.
    pub(crate) through: Revision,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// 0 for one that will never be part of the order.
    position: u64,
    spilled: Option<Chunked>,
}

/// What may go from the journal.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    pub(crate) keys: Vec<Key>,
    pub(crate) spilled: Vec<Chunked>,
    /// Set once, when what earlier processes left has to be looked for.
    pub(crate) unseen: Option<Unseen>,
}

impl Journal {
    /// Begins at the manifest that this process opens, and at the revision after which it watches.
    pub(crate) fn begin(&mut self, opened_at: Order, through: Revision) {
        self.unseen = Some(Unseen { opened_at, through });
    }

    /// Notes a record that was accepted.
    pub(crate) fn accepted(&mut self, key: Key, position: u64, spilled: Option<Chunked>) {
        self.entries.insert(key, Entry { position, spilled });
    }

    /// Where a record that is under this key was accepted.
    pub(crate) fn position(&self, key: &Key) -> Option<u64> {
        self.entries.get(key).map(|entry| entry.position).filter(|position| *position > 0)
    }

    /// Notes a record that will never be part of the order, unless its key is that of one that is.
    pub(crate) fn ignored(&mut self, key: Key, spilled: Option<Chunked>) {
        self.entries.entry(key).or_insert(Entry { position: 0, spilled });
    }

    /// Takes out what is dead when a watermark at `position` has been superseded.
    pub(crate) fn take_dead(&mut self, position: u64) -> Dead {
        let keys: Vec<Key> =
            self.entries.iter().filter(|(_, entry)| entry.position <= position).map(|(key, _)| key.clone()).collect();
        let spilled = keys.iter().filter_map(|key| self.entries.remove(key)?.spilled).collect();
        Dead { keys, spilled, unseen: self.unseen.take() }
    }

    /// Lets what earlier processes left be looked for once more.
    pub(crate) fn look_again(&mut self, unseen: Unseen) {
        self.unseen = Some(unseen);
    }

    /// Forgets what another process, which published a manifest, takes out.
    pub(crate) fn forget(&mut self, position: u64) {
        self.entries.retain(|_, entry| entry.position > position);
    }
}
