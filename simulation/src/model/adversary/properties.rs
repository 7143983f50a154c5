//! Properties that hold against any store, for every process that has not raised an alarm.

use super::{Adversary, State};
use crate::model::common::{self, Shown};
use crate::model::protocol::Process;
use crate::model::search::Property;

pub(super) const ALL: &[Property<Adversary>] = &[
    common::applied_once(),
    common::client_order(),
    Property { name: "a restore is never undone", holds: restore_stays },
    common::documents(),
    common::own_acknowledged(),
    common::retired(),
    Property { name: "the keyset is never rolled back", holds: keyset_stays },
    Property { name: "a record is applied only after all that its writer had seen", holds: attested_order_stays },
    Property { name: "forked processes share at most one acknowledged record of a writer", holds: forks_stay_apart },
    Property { name: "a manifest of another branch is never adopted", holds: manifests_stay_apart },
    Property { name: "a record of another branch of manifests is never applied", holds: records_stay_apart },
];

fn restore_stays(_: &Adversary, state: &State) -> bool {
    state.published().all(|p| p.restored.is_none_or(|restore| state.sealed.descends(p.manifest, restore)))
}

fn keyset_stays(_: &Adversary, state: &State) -> bool {
    state.published().all(|process| process.pin.is_none_or(|pin| process.key >= pin.key))
}

fn attested_order_stays(_: &Adversary, state: &State) -> bool {
    let attested = |record: u8| &state.sealed.record(record).attested;
    state.published().all(|process| process.order.iter().all(|record| process.order.begins_with(attested(record))))
}

/// Beyond the common prefix of their orders, a process has accepted at most one record that the
/// other process wrote and acknowledged.
fn forks_stay_apart(_: &Adversary, state: &State) -> bool {
    pairs(state).all(|(one, two, writer)| {
        let beyond = one.order.iter().skip(one.order.common(&two.order));
        let shared = beyond.filter(|number| {
            let record = state.sealed.record(*number);
            let is_acknowledged = two.acknowledged.contains(record.operation);
            usize::from(record.client) == writer && is_acknowledged && two.order.contains(*number)
        });
        shared.count() <= 1
    })
}

/// If the orders of two processes have diverged but both know the same manifest, then, for each of
/// them, its order is a prefix of the order that the manifest folds, or the other way round.
fn manifests_stay_apart(_: &Adversary, state: &State) -> bool {
    pairs(state).all(|(one, two, _)| {
        let folded = &state.sealed.manifest(one.manifest).folded;
        one.order.on_one_chain(&two.order) || one.manifest != two.manifest || folded.on_one_chain(&one.order)
    })
}

/// If the manifests of two processes have diverged, neither has applied a record that the other
/// sealed afterwards.
fn records_stay_apart(_: &Adversary, state: &State) -> bool {
    let sealed = &state.sealed;
    pairs(state).all(|(one, two, writer)| {
        let comparable = sealed.descends(one.manifest, two.manifest) || sealed.descends(two.manifest, one.manifest);
        let mut of_two =
            one.order.iter().map(|record| sealed.record(record)).filter(|r| usize::from(r.client) == writer);
        comparable || of_two.all(|record| sealed.descends(one.manifest, record.manifest))
    })
}

/// Returns all pairs of different published processes, with the number of the second.
fn pairs(state: &State) -> impl Iterator<Item = (&Process, &Process, usize)> {
    let numbered = || state.processes.iter().enumerate().filter(|(_, process)| process.is_published());
    numbered().flat_map(move |(i, one)| numbered().filter(move |(j, _)| i != *j).map(move |(j, two)| (one, two, j)))
}
