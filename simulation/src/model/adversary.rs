//! An adversarial store: it shows any record or manifest that was ever sealed to any process at any
//! time.
//!
//! This covers replaying, reordering, withholding, forking, joining and rolling back. Lies in
//! acknowledgements need no model, because no process relies on them. A thief may hold the retired
//! key. Junk changes nothing, so showing it is not an action.

mod properties;

use std::fmt;

use super::common::Shown;
use super::order::{Documents, List, Operation};
use super::protocol::{Manifest, Process, Record, Sealed, Verdict};
use super::rule::Rules;
use super::search::{Property, Specification};

/// Which events may happen, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adversary {
    pub(crate) rules: Rules,
    /// The window K, in positions.
    pub(crate) window: usize,
    pub(crate) processes: usize,
    /// Which processes fold.
    pub(crate) folders: &'static [usize],
    pub(crate) records: usize,
    pub(crate) manifests: usize,
    pub(crate) restarts: u8,
    pub(crate) rotation: bool,
    pub(crate) restore: bool,
    pub(crate) time_outs: bool,
}

impl Adversary {
    pub(crate) const SMALL: Self = Self {
        rules: Rules::ALL,
        window: 2,
        processes: 3,
        folders: &[2],
        records: 4,
        manifests: 3,
        restarts: 1,
        rotation: false,
        restore: false,
        time_outs: false,
    };
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    sealed: Sealed,
    processes: Vec<Process>,
    /// The newest epoch, which is 1 after the key was rotated.
    epoch: u8,
    forged: bool,
    restored: bool,
    restarts: u8,
}

/// The writer id of a thief, whose record belongs to no client.
const THIEF: u8 = 99;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Submit { process: usize, operation: Operation, record: u8 },
    TimeOut { process: usize },
    ShowRecord { process: usize, record: u8 },
    ShowManifest { process: usize, manifest: u8 },
    Fold { process: usize, manifest: u8 },
    Restore { process: usize, manifest: u8 },
    Restart { process: usize, manifest: u8, epoch: u8 },
    Rotate { process: usize, record: u8 },
    LearnKey { process: usize },
    Forge { process: usize, record: u8 },
}

impl Specification for Adversary {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        State {
            sealed: Sealed::genesis(),
            processes: (0..self.processes).map(|writer| Process::new(writer as u8)).collect(),
            epoch: 0,
            forged: false,
            restored: false,
            restarts: 0,
        }
    }

    fn actions(&self, state: &State, take: &mut dyn FnMut(Action, State)) {
        for process in 0..self.processes {
            if state.processes[process].alarm.is_none() {
                self.write(state, process, take);
                self.show(state, process, take);
                self.publish(state, process, take);
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

impl Adversary {
    fn write(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        let own = &state.processes[process];
        if state.sealed.records.len() < self.records
            && let Some(sealed) = own.next_record(self.rules, &state.sealed, process)
        {
            let mut next = state.clone();
            let record = next.sealed.seal_record(sealed);
            next.processes[process].pending = Some(record);
            take(Action::Submit { process, operation: sealed.operation, record }, next);
        }
        if self.time_outs && own.pending.is_some() {
            let mut next = state.clone();
            next.processes[process].time_out();
            take(Action::TimeOut { process }, next);
        }
    }

    fn show(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        for record in 0..state.sealed.records.len() as u8 {
            let mut shown = state.processes[process];
            match shown.judge(self.rules, self.window, &state.sealed, state.sealed.record(record)) {
                Verdict::Accepted => shown.accept(&state.sealed, record),
                Verdict::Ignored => shown.ignore(record),
                Verdict::UnknownKey => {}
                Verdict::Alarm(alarm) => shown.alarm = Some(alarm),
            }
            take_changed(state, process, shown, Action::ShowRecord { process, record }, take);
        }
        for manifest in 0..state.sealed.manifests.len() as u8 {
            let mut shown = state.processes[process];
            shown.take_up(self.rules, &state.sealed, manifest);
            take_changed(state, process, shown, Action::ShowManifest { process, manifest }, take);
        }
    }

    fn publish(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        let own = &state.processes[process];
        if !self.folders.contains(&process) || state.sealed.manifests.len() >= self.manifests {
            return;
        }
        let Some(fold) = own.next_manifest(&state.sealed) else { return };
        if own.order.len() > state.sealed.manifest(own.manifest).folded.len() {
            let mut next = state.clone();
            let manifest = next.sealed.seal_manifest(fold);
            take(Action::Fold { process, manifest }, next);
        }
        if self.restore && !state.restored && !own.order.is_empty() {
            let mut next = state.clone();
            next.restored = true;
            let restore = Manifest { documents: Documents::NONE, is_restore: true, ..fold };
            let manifest = next.sealed.seal_manifest(restore);
            take(Action::Restore { process, manifest }, next);
        }
    }

    fn restart(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        if state.restarts >= self.restarts || state.processes[process].recovering {
            return;
        }
        for manifest in 0..state.sealed.manifests.len() as u8 {
            // A root and a manifest that do not match are refused.
            let epoch = state.sealed.manifest(manifest).epoch;
            let mut next = state.clone();
            next.restarts += 1;
            let writer = 100 + 10 * next.restarts + process as u8;
            next.processes[process].restart(self.rules, &state.sealed, manifest, epoch, writer);
            take(Action::Restart { process, manifest, epoch }, next);
        }
    }

    fn rotate(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        let own = &state.processes[process];
        let has_room = state.sealed.records.len() < self.records;
        let is_idle = own.pending.is_none() && !own.recovering;
        if self.rotation && state.epoch == 0 && process + 1 == self.processes && is_idle && has_room {
            let mut next = state.clone();
            next.epoch = 1;
            let barrier = Record { epoch: 1, closes: List::EMPTY, ..own.seal(process, Operation::Barrier) };
            let record = next.sealed.seal_record(barrier);
            next.processes[process].key = 1;
            next.processes[process].pending = Some(record);
            take(Action::Rotate { process, record }, next);
        }
        if own.key < state.epoch {
            let mut next = state.clone();
            next.processes[process].key = state.epoch;
            take(Action::LearnKey { process }, next);
        }
        if state.epoch == 1 && !state.forged && state.sealed.records.len() <= self.records {
            let mut next = state.clone();
            next.forged = true;
            let forged = Record {
                writer: THIEF,
                client: THIEF,
                sequence: 0,
                epoch: 0,
                closes: List::EMPTY,
                ..own.seal(process, Operation::ForgeA)
            };
            let record = next.sealed.seal_record(forged);
            take(Action::Forge { process, record }, next);
        }
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

fn take_changed(state: &State, process: usize, shown: Process, action: Action, take: &mut dyn FnMut(Action, State)) {
    if shown != state.processes[process] {
        let mut next = state.clone();
        next.processes[process] = shown;
        take(action, next);
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit { process, operation, record } => write!(f, "p{process} submits {operation:?} as r{record}"),
            Self::TimeOut { process } => write!(f, "p{process} times out"),
            Self::ShowRecord { process, record } => write!(f, "the store shows r{record} to p{process}"),
            Self::ShowManifest { process, manifest } => write!(f, "the store shows m{manifest} to p{process}"),
            Self::Fold { process, manifest } => write!(f, "p{process} folds m{manifest}"),
            Self::Restore { process, manifest } => write!(f, "p{process} restores by m{manifest}"),
            Self::Restart { process, manifest, epoch } => {
                write!(f, "p{process} restarts from m{manifest} with the root of epoch {epoch}")
            }
            Self::Rotate { process, record } => write!(f, "p{process} rotates and submits the barrier as r{record}"),
            Self::LearnKey { process } => write!(f, "p{process} reads the new root"),
            Self::Forge { process, record } => {
                write!(f, "a thief seals r{record} under the retired key on top of p{process}'s order")
            }
        }
    }
}
