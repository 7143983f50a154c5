//! What may be in the index: of each slot the last acknowledged version, or a later one whose
//! outcome is not known.

use std::collections::BTreeMap;

/// Slots of one writer.
pub(crate) const SLOTS: u32 = 40;

/// What each slot may hold.
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

/// Whether a version leaves a document in its slot: every fifth removes it.
pub(crate) fn is_put(version: u64) -> bool {
    !version.is_multiple_of(5)
}

impl Ledger {
    /// Takes a writer's line: `try`, `ack` or `not`, then slot and version.
    pub(crate) fn note(&mut self, word: &str, slot: u32, version: u64) {
        let entry = self.slots.entry(slot).or_default();
        match word {
            "try" => {
                entry.unsure.push(version);
                entry.newest = entry.newest.max(version);
            }
            "ack" => {
                // Whatever was in doubt before is superseded.
                entry.unsure.clear();
                entry.acknowledged = Some(version);
                self.acknowledged += 1;
            }
            "not" => entry.unsure.retain(|other| *other != version),
            _ => self.unsure += 1,
        }
    }

    /// The version after all that a writer tried.
    pub(crate) fn next_version(&self, writer: u32) -> u64 {
        let own = self.slots.range(writer * SLOTS..(writer + 1) * SLOTS);
        own.map(|(_, slot)| slot.newest + 1).max().unwrap_or(1)
    }

    /// All slots that anything was tried in.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.slots.keys().copied()
    }

    /// Returns what is wrong with finding `version` in a slot, or nothing in it.
    pub(crate) fn problem(&self, slot: u32, found: Option<u64>) -> Option<String> {
        let entry = self.slots.get(&slot)?;
        let possible = entry.acknowledged.into_iter().chain(entry.unsure.iter().copied());
        let holds = possible.clone().any(|version| found == is_put(version).then_some(version))
            || (entry.acknowledged.is_none() && found.is_none());
        if holds {
            return None;
        }
        let possible: Vec<u64> = possible.collect();
        Some(format!("slot {slot} holds {found:?}, and only one of {possible:?} is possible"))
    }
}
