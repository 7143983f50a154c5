//! The plan of a run, derived from its seed.

use crate::store::{Faults, Rate};

/// The kind of store of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An honest store behind an unreliable network.
    Honest,
    /// An honest store to which somebody without the key writes.
    Vandal,
    /// A lying store.
    Adversary,
}

/// The fixed choices of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) kind: Kind,
    pub(super) processes: usize,
    /// The number of operations of each process.
    pub(super) steps: u64,
    /// Whether every process has a pin.
    pub(super) is_pinned: bool,
    /// Whether snapshots are restored.
    pub(super) restores: bool,
    /// Whether keys are rotated.
    pub(super) rotates: bool,
    /// Whether garbage is collected.
    pub(super) collects: bool,
    /// Whether the catalog may be purged or recreated while the processes run.
    pub(super) purges: bool,
    /// Whether the store has two branches.
    pub(super) forks: bool,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let bits = crate::store::mix(seed);
        let bit = |number: u32, out_of: u64| bits.rotate_right(number * 7).is_multiple_of(out_of);
        let kind = match bits % 5 {
            0 | 1 => Kind::Honest,
            2 => Kind::Vandal,
            _ => Kind::Adversary,
        };
        let purges = kind == Kind::Honest && bit(6, 12);
        Self {
            seed,
            kind,
            processes: 1 + usize::try_from((bits >> 8) % 4).expect("small") + usize::from(kind == Kind::Honest),
            steps: 6 + (bits >> 16) % 12,
            is_pinned: kind != Kind::Honest || bit(3, 2),
            restores: bit(4, 4),
            rotates: bit(5, 4),
            collects: kind == Kind::Honest && !purges && bit(8, 2),
            purges,
            forks: kind == Kind::Adversary && bit(7, 2),
        }
    }

    /// Returns the faults of an adversarial store: all kinds of lies in some runs; in others
    /// one kind, or both kinds of false acknowledgement.
    pub(super) fn lies(&self) -> Faults {
        let bits = crate::store::mix(self.seed ^ 0x6c69_6573);
        let mut faults = Faults::adversarial();
        if bits.is_multiple_of(3) {
            return faults;
        }
        let rate = |number: u64, count: u16| if bits / 3 % 8 == number { Rate::per_mille(count) } else { Rate::NEVER };
        faults.lies.older = rate(0, 60);
        faults.lies.substitute = rate(1, 20);
        faults.lies.withhold = rate(2, 15);
        faults.lies.replay = rate(3, 200);
        faults.lies.misplaced_replay = rate(4, 60);
        faults.lies.junk = rate(5, 60);
        faults.lies.dropped_write = rate(6, 60);
        faults.lies.wrong_revision = rate(6, 60);
        faults.lies.early_caught_up = rate(7, 400);
        faults
    }
}
