//! How a process follows the log: gaps, verdicts, and where a replay starts.

use super::store::Message;
use super::{Action, Grain, Honest, State};
use crate::model::protocol::{Alarm, Verdict};
use crate::model::rule::Rule;

impl Honest {
    pub(super) fn follow(&self, state: &State, process: usize, take: &mut dyn FnMut(Action, State)) {
        let watch = &state.watches[process];
        if watch.is_of_former_bucket {
            let mut next = state.clone();
            next.watches[process].is_of_former_bucket = false;
            if self.rules.hold(Rule::WatchIdentity) {
                self.read_manifest(&mut next, process);
            }
            take(Action::Follow { process }, next);
            return;
        }
        if watch.locating {
            let mut next = state.clone();
            self.locate(&mut next, process);
            take(Action::Locate { process }, next);
            return;
        }
        let waiting = state.log.after(watch.cursor);
        let is_passed =
            watch.cursor < watch.caught_up_at && waiting.is_none_or(|(revision, _)| revision > watch.caught_up_at);
        match (self.grain, watch.inbox.or(waiting.filter(|_| self.grain == Grain::Coarse && !is_passed))) {
            (_, Some((revision, message))) => {
                let mut next = state.clone();
                next.watches[process].inbox = None;
                self.meet(&mut next, process, revision, message);
                if next != *state {
                    take(Action::Follow { process }, next);
                }
            }
            (Grain::Fine, None) if waiting.is_some() && !is_passed => {
                let mut next = state.clone();
                next.watches[process].inbox = waiting;
                take(Action::Deliver { process }, next);
            }
            _ if is_passed => {
                let mut next = state.clone();
                let stops = self.rules.hold(Rule::CaughtUpRead) && self.read_manifest(&mut next, process);
                if !stops {
                    next.watches[process].cursor = watch.caught_up_at;
                }
                take(Action::CatchUp { process }, next);
            }
            _ => {}
        }
    }

    /// Returns whether the watch has passed everything that existed when it began.
    pub(super) fn is_caught_up(&self, state: &State, process: usize) -> bool {
        let watch = &state.watches[process];
        !self.rules.hold(Rule::CaughtUp) || !watch.locating && watch.cursor >= watch.caught_up_at
    }

    /// Starts to replay the records after the known manifest.
    pub(super) fn start_replay(&self, state: &mut State, process: usize) {
        let watch = &mut state.watches[process];
        watch.inbox = None;
        watch.cursor = 0;
        watch.locating = true;
        if self.grain == Grain::Coarse {
            self.locate(state, process);
        }
    }

    /// Reads the record at the watermark. If it is still at the recorded revision, the replay
    /// starts after it, and otherwise at the beginning.
    fn locate(&self, state: &mut State, process: usize) {
        let cursor = self.replay_from(state, state.processes[process].manifest);
        let manifest = state.sealed.manifest(state.processes[process].manifest);
        let watch = &mut state.watches[process];
        watch.locating = false;
        watch.cursor = cursor;
        watch.last_record_at = manifest.scan_revision;
        watch.caught_up_at = state.log.last_revision();
    }

    /// Returns the revision after which a process that knows `manifest` starts.
    pub(super) fn replay_from(&self, state: &State, manifest: u8) -> u8 {
        let manifest = state.sealed.manifest(manifest);
        let found = manifest.folded.last().and_then(|record| state.log.revision_of(record));
        found
            .filter(|revision| !self.rules.hold(Rule::ScanRevision) || *revision == manifest.scan_revision)
            .unwrap_or(0)
    }

    /// Processes an entry. After a gap, the manifest is read first: the removed records are folded
    /// by a newer manifest, or were already applied.
    fn meet(&self, state: &mut State, process: usize, revision: u8, message: Message) {
        let is_gap = revision != state.watches[process].cursor + 1;
        if is_gap && self.rules.hold(Rule::GapRead) && self.read_manifest(state, process) {
            return;
        }
        match message {
            Message::Junk | Message::Foreign => {}
            Message::Root(epoch) => state.processes[process].key = epoch,
            Message::Manifest(manifest) => {
                if self.take_up(state, process, manifest) {
                    return;
                }
            }
            Message::Record(record) => {
                if self.meet_record(state, process, revision, record) {
                    return;
                }
            }
        }
        state.watches[process].cursor = revision;
    }

    /// Judges a record and acts on the verdict. Returns whether the manifest, when reread,
    /// restarted the replay or raised an alarm, so that the cursor must not advance.
    fn meet_record(&self, state: &mut State, process: usize, revision: u8, record: u8) -> bool {
        loop {
            let own = &state.processes[process];
            let known = own.manifest;
            match own.judge(self.rules, self.window, &state.sealed, state.sealed.record(record)) {
                Verdict::Accepted => {
                    state.processes[process].accept(&state.sealed, record);
                    state.watches[process].last_record_at = revision;
                }
                Verdict::Ignored => state.processes[process].ignore(record),
                Verdict::UnknownKey => match state.log.root().filter(|root| *root > own.key) {
                    Some(root) => {
                        state.processes[process].key = root;
                        continue;
                    }
                    None => state.processes[process].alarm = Some(Alarm::Lost),
                },
                Verdict::Alarm(alarm) => {
                    if self.rules.hold(Rule::FinalVerdict) {
                        if self.read_manifest(state, process) {
                            return true;
                        }
                        if state.processes[process].manifest != known {
                            continue;
                        }
                    }
                    state.processes[process].alarm.get_or_insert(alarm);
                }
            }
            return false;
        }
    }

    /// Reads the manifest from the leader and adopts it if it is newer. Returns whether the process
    /// has finished with its entry, because its replay restarts or it has raised an alarm.
    fn read_manifest(&self, state: &mut State, process: usize) -> bool {
        match state.log.manifest() {
            Some(manifest) => self.take_up(state, process, manifest),
            None => {
                state.processes[process].alarm = Some(Alarm::Lost);
                true
            }
        }
    }

    /// Adopts a manifest. If it folds more than the process had applied, the replay restarts after
    /// it.
    fn take_up(&self, state: &mut State, process: usize, manifest: u8) -> bool {
        let applied = state.processes[process].order.len();
        if state.sealed.manifest(manifest).epoch > state.processes[process].key {
            state.processes[process].key = state.log.root().unwrap_or_default();
        }
        state.processes[process].take_up(self.rules, &state.sealed, manifest);
        if state.processes[process].alarm.is_some() {
            return true;
        }
        let is_behind = state.processes[process].order.len() > applied;
        if is_behind {
            self.start_replay(state, process);
        }
        is_behind
    }
}
