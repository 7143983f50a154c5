//! Properties that hold on an honest store, whatever fails.

use super::store::Message;
use super::{Honest, State};
use crate::model::common::{self, Shown, operations_of};
use crate::model::protocol::{Process, Verdict};
use crate::model::search::Property;

pub(super) const ALL: &[Property<Honest>] = &[
    Property { name: "an honest store raises no alarm", holds: no_alarm },
    common::applied_once(),
    common::client_order(),
    common::documents(),
    common::own_acknowledged(),
    common::retired(),
    Property { name: "an opened process shows every write acknowledged before", holds: opened_with_everything },
    Property { name: "every process has the order that an opener finds", holds: orders_agree },
    Property { name: "an opener finds every acknowledged operation", holds: acknowledged_is_durable },
    Property {
        name: "a replay from the mark finds the same order as a replay from the beginning",
        holds: hint_is_neutral,
    },
    Property { name: "nothing that landed after a purge is acknowledged", holds: purge_is_noticed },
];

/// A process may raise an alarm only after the bucket was purged or recreated.
fn no_alarm(_: &Honest, state: &State) -> bool {
    state.before_purge.is_some() || state.processes.iter().all(|process| process.alarm.is_none())
}

fn opened_with_everything(honest: &Honest, state: &State) -> bool {
    let is_open = |(at, process): &(usize, &Process)| process.is_published() && honest.is_caught_up(state, *at);
    let mut open = state.processes.iter().enumerate().filter(is_open);
    open.all(|(at, process)| state.watches[at].expected.is_subset(operations_of(&state.sealed, process)))
}

fn orders_agree(honest: &Honest, state: &State) -> bool {
    if state.before_purge.is_some() {
        return true;
    }
    let opener = reopened(honest, state, replay_start(honest, state));
    opener.alarm.is_none() && state.published().all(|process| opener.order.begins_with(&process.order))
}

fn acknowledged_is_durable(honest: &Honest, state: &State) -> bool {
    if state.before_purge.is_some() {
        return true;
    }
    let found = operations_of(&state.sealed, &reopened(honest, state, replay_start(honest, state)));
    state.processes.iter().all(|process| process.acknowledged.is_subset(found))
}

fn hint_is_neutral(honest: &Honest, state: &State) -> bool {
    state.before_purge.is_some()
        || reopened(honest, state, replay_start(honest, state)).order == reopened(honest, state, 0).order
}

fn purge_is_noticed(_: &Honest, state: &State) -> bool {
    let Some(before) = state.before_purge else { return true };
    // The current content of the log was stored after the purge.
    let landed = |record: &u8| state.log.revision_of(*record).is_some();
    state.processes.iter().all(|process| {
        let operations = process.order.iter().filter(landed).map(|record| state.sealed.record(record).operation);
        operations.into_iter().all(|operation| before.contains(operation) || !process.acknowledged.contains(operation))
    })
}

fn replay_start(honest: &Honest, state: &State) -> u8 {
    honest.replay_from(state, state.log.manifest().unwrap_or_default())
}

/// Returns a process that opens now, without a pin, and has caught up.
fn reopened(honest: &Honest, state: &State, after: u8) -> Process {
    let mut opener = Process::new(u8::MAX);
    let root = state.log.root().unwrap_or_default();
    opener.restart(honest.rules, &state.sealed, state.log.manifest().unwrap_or_default(), root, u8::MAX);
    let mut cursor = after;
    while let Some((revision, message)) = state.log.after(cursor) {
        cursor = revision;
        let Message::Record(record) = message else { continue };
        match opener.judge(honest.rules, honest.window, &state.sealed, state.sealed.record(record)) {
            Verdict::Accepted => opener.accept(&state.sealed, record),
            Verdict::Ignored | Verdict::UnknownKey => {}
            Verdict::Alarm(alarm) => {
                opener.alarm = Some(alarm);
                break;
            }
        }
    }
    opener
}
