//! An honest store with faults: puts take effect late, twice or never, acknowledgements are lost,
//! watches lag, processes crash between any two actions, folded records are trimmed, and the bucket
//! may be purged.
//!
//! The store holds one log. Every put gets the next revision and replaces the previous message of
//! its key, so the log contains the root and the manifest once each, and no replaced or trimmed
//! message.

mod follow;
mod properties;
mod store;

use std::fmt;

use super::common::Shown;
use super::order::{List, Operation, Operations};
use super::protocol::{Process, Record, Sealed};
use super::rule::{Rule, Rules};
use super::search::{Property, Specification};
use store::{Log, Message};

/// Which events may happen, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Honest {
    pub(crate) rules: Rules,
    /// The window K, in positions.
    pub(crate) window: usize,
    pub(crate) processes: usize,
    pub(crate) records: usize,
    pub(crate) manifests: usize,
    pub(crate) restarts: u8,
    pub(crate) junk: u8,
    pub(crate) time_outs: bool,
    pub(crate) rotation: bool,
    pub(crate) purge: bool,
    /// Whether the bucket may be deleted and recreated under the same name with another index.
    pub(crate) recreate: bool,
    /// Whether a manifest may be published that folds nothing new, as a merge or a snapshot does.
    pub(crate) merges: bool,
    pub(crate) grain: Grain,
}

/// The granularity of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    /// A follower reads and applies the next entry in one action, a trim removes everything at
    /// once, and a manifest takes effect immediately.
    Coarse,
    /// Separate actions for delivering and applying an entry, for reading a manifest and finding
    /// the start of its replay, for sealing and storing a manifest, and for each record of a trim.
    Fine,
}

impl Honest {
    pub(crate) const SMALL: Self = Self {
        rules: Rules::ALL,
        window: 2,
        processes: 3,
        records: 4,
        manifests: 4,
        restarts: 0,
        junk: 0,
        time_outs: false,
        rotation: false,
        purge: false,
        recreate: false,
        merges: false,
        grain: Grain::Coarse,
    };
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    sealed: Sealed,
    /// For each record, how many more times its put may take effect: once, and once more for a
    /// retry.
    landings: Vec<u8>,
    /// The manifests whose put is in progress.
    publishing: List,
    log: Log,
    /// The revision of the root of each epoch.
    roots: [u8; 2],
    /// The operations acknowledged to any client before the bucket was purged or recreated.
    before_purge: Option<Operations>,
    processes: Vec<Process>,
    watches: Vec<Watch>,
    restarts: u8,
    junk: u8,
}

/// The position of a process in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    /// The revision of the last entry processed.
    cursor: u8,
    /// The last revision of the leader when this watch began. Nothing is published before the watch
    /// has passed it.
    caught_up_at: u8,
    /// An entry that was delivered and not applied yet.
    inbox: Option<(u8, Message)>,
    /// Whether a manifest was read, but the start of the replay has not been found yet.
    locating: bool,
    /// The revision of the last record of the order, for the mark of the next manifest.
    last_record_at: u8,
    /// Whether the bucket was recreated since the watch began.
    is_of_former_bucket: bool,
    /// The operations acknowledged to any client when the process opened.
    expected: Operations,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Land { record: u8, revision: u8 },
    LandManifest { manifest: u8, revision: u8 },
    LandJunk { revision: u8 },
    Submit { process: usize, operation: Operation, record: u8 },
    TimeOut { process: usize },
    Refused { process: usize },
    Deliver { process: usize },
    Follow { process: usize },
    Locate { process: usize },
    CatchUp { process: usize },
    Fold { process: usize, manifest: u8 },
    Trim { process: usize },
    Restart { process: usize },
    Rotate { process: usize, record: u8 },
    Purge,
    Recreate,
}

impl Specification for Honest {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let log = Log::created();
        let watch = Watch {
            cursor: log.last_revision(),
            caught_up_at: 0,
            inbox: None,
            locating: false,
            last_record_at: 0,
            is_of_former_bucket: false,
            expected: Operations::NONE,
        };
        State {
            sealed: Sealed::genesis(),
            landings: Vec::new(),
            publishing: List::EMPTY,
            roots: [log.root_revision(), 0],
            log,
            before_purge: None,
            processes: (0..self.processes).map(|writer| Process::new(writer as u8)).collect(),
            watches: vec![watch; self.processes],
            restarts: 0,
            junk: 0,
        }
    }

    fn actions(&self, state: &State, take: &mut dyn FnMut(Action, State)) {
        self.land(state, take);
        for process in 0..self.processes {
            if state.processes[process].alarm.is_none() {
                self.write(state, process, take);
                self.follow(state, process, take);
                self.fold(state, process, take);
                self.trim(state, process, take);
                self.restart(state, process, take);
                self.rotate(state, process, take);
            }
        }
    }

    fn goes_on(&self, state: &State) -> bool {
        state.processes.iter().any(|process| process.alarm.is_none())
    }

    fn properties(&self) -> &'static [Property<Self>] {
        properties::ALL
    }
}

impl Honest {
    /// The actions of the store: puts in progress take effect, whether or not their writer still
    /// waits.
    fn land(&self, state: &State, take: &mut dyn FnMut(Action, State)) {
        for record in 0..state.sealed.records.len() as u8 {
            let known_root = state.roots[usize::from(state.sealed.record(record).epoch)];
            let is_fenced = self.rules.hold(Rule::RootFence) && state.log.root_revision() != known_root;
            if state.landings[usize::from(record)] > 0 && state.log.revision_of(record).is_none() && !is_fenced {
                let mut next = state.clone();
                next.landings[usize::from(record)] -= 1;
                let revision = next.log.put(Message::Record(record));
                take(Action::Land { record, revision }, next);
            }
        }
        for manifest in state.publishing.iter() {
            let mut next = state.clone();
            let revision = next.log.put(Message::Manifest(manifest));
            // The other puts expected the replaced manifest, so their compare-and-set fails.
            next.publishing = List::EMPTY;
            take(Action::LandManifest { manifest, revision }, next);
        }
        if state.junk < self.junk {
            let mut next = state.clone();
            next.junk += 1;
            let revision = next.log.put(Message::Junk);
            take(Action::LandJunk { revision }, next);
        }
        if self.purge && state.before_purge.is_none() {
            let mut next = state.clone();
            next.before_purge = Some(state.acknowledged());
            next.log.purge();
            next.publishing = List::EMPTY;
            take(Action::Purge, next);
        }
        if self.recreate && state.before_purge.is_none() {
            let mut next = state.clone();
            next.before_purge = Some(state.acknowledged());
            next.log.recreate();
            next.publishing = List::EMPTY;
            next.watches.iter_mut().for_each(|watch| watch.is_of_former_bucket = true);
            take(Action::Recreate, next);
        }
    }

    fn write(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        let own = &state.processes[process];
        if self.is_caught_up(state, process)
            && state.sealed.records.len() < self.records
            && let Some(sealed) = own.next_record(self.rules, &state.sealed, process)
        {
            let mut next = state.clone();
            let record = next.submit(process, sealed);
            take(Action::Submit { process, operation: sealed.operation, record }, next);
        }
        if self.time_outs && own.pending.is_some() {
            let mut next = state.clone();
            next.processes[process].time_out();
            take(Action::TimeOut { process }, next);
        }
        if self.rules.hold(Rule::RootFence)
            && let Some(record) = own.pending
            && let Some(root) = state.log.root()
            && root > state.sealed.record(record).epoch
            && (!self.rules.hold(Rule::RefusalWaits) || state.watches[process].cursor >= state.log.root_revision())
        {
            // The put was refused because the root has changed, and everything before the new root
            // was processed: the put has not taken effect and never will.
            let mut next = state.clone();
            next.processes[process].ignore(record);
            next.processes[process].key = root;
            take(Action::Refused { process }, next);
        }
    }

    fn fold(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        let own = &state.processes[process];
        let known = state.sealed.manifest(own.manifest);
        let is_current = state.log.manifest() == Some(own.manifest);
        let has_news = own.order.len() > known.folded.len() || self.merges && !own.order.is_empty();
        if !is_current
            || !has_news
            || state.sealed.manifests.len() >= self.manifests
            || !self.is_caught_up(state, process)
        {
            return;
        }
        let Some(mut fold) = own.next_manifest(&state.sealed) else { return };
        fold.scan_revision = state.watches[process].last_record_at;
        let mut next = state.clone();
        let manifest = next.sealed.seal_manifest(fold);
        match self.grain {
            Grain::Coarse => drop(next.log.put(Message::Manifest(manifest))),
            Grain::Fine if state.publishing.contains(manifest) => return,
            Grain::Fine => next.publishing.push(manifest),
        }
        take(Action::Fold { process, manifest }, next);
    }

    /// Removes the records covered by the predecessor of the known manifest.
    fn trim(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        let known = state.sealed.manifest(state.processes[process].manifest);
        let previous = usize::from(known.previous_watermark);
        let covered = if self.rules.hold(Rule::TrimPrevious) { previous } else { known.folded.len() };
        let dead = || known.folded.iter().take(covered).filter(|record| state.log.revision_of(*record).is_some());
        if self.grain == Grain::Fine {
            for record in dead() {
                let mut next = state.clone();
                next.log.remove(record);
                take(Action::Trim { process }, next);
            }
        } else if dead().next().is_some() {
            let mut next = state.clone();
            dead().for_each(|record| next.log.remove(record));
            take(Action::Trim { process }, next);
        }
    }

    /// A crash at any point, followed by a restart. Puts in progress take effect or not.
    fn restart(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        let own = &state.processes[process];
        let (Some(manifest), Some(root)) = (state.log.manifest(), state.log.root()) else { return };
        if state.restarts >= self.restarts || own.recovering {
            return;
        }
        let mut next = state.clone();
        next.restarts += 1;
        let writer = 100 + 10 * next.restarts + process as u8;
        next.processes[process].restart(self.rules, &state.sealed, manifest, root, writer);
        next.watches[process].expected = state.acknowledged();
        self.start_replay(&mut next, process);
        take(Action::Restart { process }, next);
    }

    fn rotate(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        let own = &state.processes[process];
        let may = own.pending.is_none() && own.is_published() && self.is_caught_up(state, process);
        if self.rotation && may && state.log.root() == Some(0) && state.sealed.records.len() < self.records {
            let mut next = state.clone();
            next.roots[1] = next.log.put(Message::Root(1));
            next.processes[process].key = 1;
            let barrier = Record { closes: List::EMPTY, ..next.processes[process].seal(process, Operation::Barrier) };
            let record = next.submit(process, barrier);
            take(Action::Rotate { process, record }, next);
        }
    }
}

impl State {
    /// Returns the operations acknowledged to any client.
    fn acknowledged(&self) -> Operations {
        self.processes.iter().fold(Operations::NONE, |all, process| all.union(process.acknowledged))
    }

    fn submit(&mut self, process: usize, sealed: Record) -> u8 {
        let record = self.sealed.seal_record(sealed);
        if self.landings.len() < self.sealed.records.len() {
            self.landings.push(2);
        }
        self.processes[process].pending = Some(record);
        record
    }
}

impl Shown for State {
    fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    fn processes(&self) -> &[Process] {
        &self.processes
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Land { record, revision } => write!(f, "r{record} lands at revision {revision}"),
            Self::LandManifest { manifest, revision } => write!(f, "m{manifest} lands at revision {revision}"),
            Self::LandJunk { revision } => write!(f, "junk lands at revision {revision}"),
            Self::Submit { process, operation, record } => write!(f, "p{process} submits {operation:?} as r{record}"),
            Self::TimeOut { process } => write!(f, "p{process} times out"),
            Self::Refused { process } => {
                write!(f, "p{process} learns that its put was refused, and reads the new root")
            }
            Self::Deliver { process } => write!(f, "the watch of p{process} delivers its next entry"),
            Self::Follow { process } => write!(f, "p{process} processes its next entry"),
            Self::Locate { process } => write!(f, "p{process} finds the start of its replay"),
            Self::CatchUp { process } => write!(f, "the watch of p{process} has caught up after a gap"),
            Self::Fold { process, manifest } => write!(f, "p{process} folds m{manifest}"),
            Self::Trim { process } => write!(f, "p{process} trims"),
            Self::Restart { process } => write!(f, "p{process} crashes and opens again"),
            Self::Rotate { process, record } => write!(f, "p{process} rotates and submits the barrier as r{record}"),
            Self::Purge => write!(f, "the bucket is purged"),
            Self::Recreate => write!(f, "the bucket is deleted, and another index is created under its name"),
        }
    }
}
