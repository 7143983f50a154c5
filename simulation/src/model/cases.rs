//! The search cases: searches of the protocol to depths that are affordable, and one search for
//! each removed rule or pair of rules.

use super::adversary::Adversary;
use super::honest::{Grain, Honest};
use super::rule::{Rule, Rules};
use super::search::{Report, search};

/// The depth of the searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Depths that a test can afford.
    Test,
    /// The greatest depths searched: about 15 minutes of one core and 5 GiB.
    Full,
}

/// A store model with its parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Store {
    Adversary(Adversary),
    Honest(Honest),
}

/// A search that must not find a violation.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) store: Store,
    pub(crate) depth: usize,
}

/// A search without one rule, and the violation that it must find.
pub(crate) struct Removal {
    pub(crate) removed: &'static [Rule],
    pub(crate) store: Store,
    pub(crate) property: &'static str,
    pub(crate) depth: usize,
}

impl Store {
    pub(crate) fn search(&self, depth: usize) -> Report {
        match self {
            Self::Adversary(adversary) => search(adversary, depth),
            Self::Honest(honest) => search(honest, depth),
        }
    }
}

impl Removal {
    pub(crate) fn search(&self) -> Report {
        let rules = Rules::without(self.removed);
        let store = match self.store {
            Store::Adversary(adversary) => Store::Adversary(Adversary { rules, ..adversary }),
            Store::Honest(honest) => Store::Honest(Honest { rules, ..honest }),
        };
        store.search(self.depth)
    }
}

const ADVERSARY: Adversary = Adversary::SMALL;
const HONEST: Honest = Honest::SMALL;
const TWO: Honest = Honest { processes: 2, records: 3, restarts: 1, ..HONEST };
const GAPS: Honest = Honest { records: 2, restarts: 0, ..TWO };
const FAULTY: Honest = Honest { restarts: 1, junk: 1, time_outs: true, ..HONEST };
const EVERYTHING: Adversary =
    Adversary { rotation: true, restore: true, time_outs: true, folders: &[0, 2], ..ADVERSARY };

/// Returns the searches of `scope`, the adversarial ones first.
pub(crate) fn complete(scope: Scope) -> Vec<Case> {
    let case = |name, store, [test, full]: [usize; 2]| Case {
        name,
        store,
        depth: if scope == Scope::Test { test } else { full },
    };
    let adversary = |name, adversary, depths| case(name, Store::Adversary(adversary), depths);
    let honest = |name, honest, depths| case(name, Store::Honest(honest), depths);
    vec![
        adversary("adversary", ADVERSARY, [9, 13]),
        adversary("adversary, two crashes", Adversary { restarts: 2, ..ADVERSARY }, [9, 12]),
        adversary("adversary, rotation and restore", Adversary { rotation: true, restore: true, ..ADVERSARY }, [7, 10]),
        adversary("adversary, everything", EVERYTHING, [7, 9]),
        adversary(
            "adversary, two processes",
            Adversary { processes: 2, records: 5, folders: &[0, 1], ..ADVERSARY },
            [10, 14],
        ),
        honest("honest", HONEST, [12, 17]),
        honest("honest, crash, time-outs, junk", FAULTY, [8, 13]),
        honest("honest, crash and merges", Honest { merges: true, restarts: 1, ..HONEST }, [10, 14]),
        honest(
            "honest, rotation, purge, new bucket",
            Honest { rotation: true, purge: true, recreate: true, restarts: 1, ..HONEST },
            [8, 12],
        ),
        honest("honest, two processes", Honest { merges: true, time_outs: true, ..TWO }, [12, 15]),
        honest("honest, two processes, two crashes", Honest { restarts: 2, records: 5, ..TWO }, [12, 16]),
        honest("honest, fine steps", Honest { merges: true, grain: Grain::Fine, ..TWO }, [15, 21]),
        honest(
            "honest, fine steps, everything",
            Honest { rotation: true, purge: true, processes: 3, grain: Grain::Fine, ..FAULTY },
            [8, 11],
        ),
        honest(
            "honest, alarms without rereading",
            Honest { rules: Rules::without(&[Rule::FinalVerdict]), ..TWO },
            [12, 16],
        ),
        honest(
            "honest, everything folded is trimmed",
            Honest { rules: Rules::without(&[Rule::TrimPrevious]), merges: true, ..TWO },
            [12, 15],
        ),
    ]
}

const fn adversary(removed: &'static [Rule], adversary: Adversary, depth: usize, property: &'static str) -> Removal {
    Removal { removed, store: Store::Adversary(adversary), property, depth }
}

const fn honest(removed: &'static [Rule], honest: Honest, depth: usize, property: &'static str) -> Removal {
    Removal { removed, store: Store::Honest(honest), property, depth }
}

const TWICE: &str = "an operation is applied at most once";
const NEUTRAL: &str = "a replay from the mark finds the same order as a replay from the beginning";
const AGREE: &str = "every process has the order that an opener finds";
const OPENED: &str = "an opened process shows every write acknowledged before";
const OWN: &str = "an acknowledged operation is in its writer's order";

/// For each rule, or pair of rules, the property that is violated without it, and the smallest
/// number of actions that lead to a violation.
pub(crate) const REMOVALS: &[Removal] = &[
    adversary(&[Rule::Duplicate], ADVERSARY, 3, TWICE),
    adversary(&[Rule::Pin], ADVERSARY, 3, OWN),
    adversary(
        &[Rule::Retired],
        Adversary { rotation: true, ..ADVERSARY },
        4,
        "a retired key authenticates nothing new",
    ),
    adversary(&[Rule::ClosingRecord], ADVERSARY, 5, TWICE),
    adversary(&[Rule::OrderAttestation], ADVERSARY, 6, "a record is applied only after all that its writer had seen"),
    adversary(&[Rule::ManifestOrder], ADVERSARY, 6, OWN),
    adversary(&[Rule::Stale], ADVERSARY, 7, TWICE),
    adversary(&[Rule::Closed], ADVERSARY, 7, TWICE),
    adversary(&[Rule::CloseAll], Adversary { restarts: 2, ..ADVERSARY }, 8, TWICE),
    adversary(&[Rule::ManifestAttestation], ADVERSARY, 8, "a record of another branch of manifests is never applied"),
    adversary(
        &[Rule::Ancestry],
        Adversary { restore: true, records: 2, manifests: 4, restarts: 0, ..ADVERSARY },
        10,
        "a restore is never undone",
    ),
    honest(&[Rule::CaughtUp], TWO, 4, OPENED),
    honest(
        &[Rule::RootFence],
        Honest { processes: 2, purge: true, ..HONEST },
        4,
        "nothing that landed after a purge is acknowledged",
    ),
    honest(&[Rule::RefusalWaits], Honest { processes: 2, rotation: true, ..HONEST }, 9, TWICE),
    honest(
        &[Rule::WatchIdentity],
        Honest { processes: 2, recreate: true, ..HONEST },
        5,
        "nothing that landed after a purge is acknowledged",
    ),
    honest(&[Rule::ScanRevision], Honest { merges: true, ..TWO }, 11, NEUTRAL),
    honest(&[Rule::CaughtUpRead], Honest { merges: true, ..TWO }, 11, OPENED),
    honest(&[Rule::GapRead], GAPS, 12, AGREE),
    // Second lines of defence. If only one of them is removed, no property is violated, as searches
    // in `complete` show. If `GapRead` is removed as well, a property is violated sooner than
    // without `GapRead` alone.
    honest(&[Rule::GapRead, Rule::FinalVerdict], GAPS, 11, "an honest store raises no alarm"),
    honest(&[Rule::GapRead, Rule::TrimPrevious], GAPS, 10, AGREE),
];
