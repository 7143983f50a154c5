//! The possible content of the index: for each slot, the last acknowledged version, or a later one
//! with an unknown outcome.

use std::collections::BTreeMap;

/// The slots of one writer.
pub(crate) const SLOTS: u32 = 40;

/// The possible versions of a slot.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    slots: BTreeMap<u32, Slot>,
    pub(crate) acknowledged: u64,
    pub(crate) unsure: u64,
}

#[derive(Debug, Default)]
struct Slot {
    acknowledged: Option<u64>,
    unsure: Vec<u64>,
    newest: u64,
}

/// Returns whether a version leaves a document in its slot. Every fifth version removes it.
pub(crate) fn is_put(version: u64) -> bool {
    !version.is_multiple_of(5)
}

impl Ledger {
    /// Processes a line of a writer: `try`, `ack`, `not` or `unsure`, then slot and version.
    pub(crate) fn note(&mut self, word: &str, slot: u32, version: u64) {
        let entry = self.slots.entry(slot).or_default();
        match word {
            "try" => {
                entry.unsure.push(version);
                entry.newest = entry.newest.max(version);
            }
            "ack" => {
                // Supersedes earlier versions with unknown outcomes.
                entry.unsure.clear();
                entry.acknowledged = Some(version);
                self.acknowledged += 1;
            }
            "not" => entry.unsure.retain(|other| *other != version),
            _ => self.unsure += 1,
        }
    }

    /// Returns the version after all those tried by a writer.
    pub(crate) fn next_version(&self, writer: u32) -> u64 {
        let own = self.slots.range(writer * SLOTS..(writer + 1) * SLOTS);
        own.map(|(_, slot)| slot.newest + 1).max().unwrap_or(1)
    }

    /// Returns all slots used so far.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.slots.keys().copied()
    }

    /// Checks the version found in a slot, or that it is empty.
    pub(crate) fn problem(&self, slot: u32, found: Option<u64>) -> Option<String> {
        let entry = self.slots.get(&slot)?;
        let possible = entry.acknowledged.into_iter().chain(entry.unsure.iter().copied());
        let holds = possible.clone().any(|version| found == is_put(version).then_some(version))
            || (entry.acknowledged.is_none() && found.is_none());
        if holds {
            return None;
        }
        let possible: Vec<u64> = possible.collect();
        Some(format!("slot {slot} contains {found:?}, but only one of {possible:?} is possible"))
    }
}
