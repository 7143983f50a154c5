//! Properties of every published process, independent of the store.

use super::order::{Documents, Operation, Operations};
use super::protocol::{Process, Sealed};
use super::search::{Property, Specification};

/// A state whose processes follow the protocol.
pub(crate) trait Shown {
    fn sealed(&self) -> &Sealed;
    fn processes(&self) -> &[Process];

    /// Returns the processes that answer their callers.
    fn published(&self) -> impl Iterator<Item = &Process> {
        self.processes().iter().filter(|process| process.is_published())
    }
}

pub(crate) const fn applied_once<S: Specification<State: Shown>>() -> Property<S> {
    Property {
        name: "an operation is applied at most once",
        holds: |_, state| state.published().all(|process| is_applied_once(state.sealed(), process)),
    }
}

pub(crate) const fn client_order<S: Specification<State: Shown>>() -> Property<S> {
    Property {
        name: "a record never undoes a newer one of its client",
        holds: |_, state| state.published().all(|process| is_in_client_order(state.sealed(), process)),
    }
}

pub(crate) const fn documents<S: Specification<State: Shown>>() -> Property<S> {
    Property {
        name: "the documents are those of the order",
        holds: |_, state| state.published().all(|process| process.documents == documents_of(state.sealed(), process)),
    }
}

pub(crate) const fn own_acknowledged<S: Specification<State: Shown>>() -> Property<S> {
    Property {
        name: "an acknowledged operation is in its writer's order",
        holds: |_, state| {
            state.published().all(|process| process.acknowledged.is_subset(operations_of(state.sealed(), process)))
        },
    }
}

pub(crate) const fn retired<S: Specification<State: Shown>>() -> Property<S> {
    Property {
        name: "a retired key authenticates nothing new",
        holds: |_, state| {
            let epochs =
                |process: &Process| process.order.iter().map(|record| state.sealed().record(record).epoch).is_sorted();
            state.published().all(epochs)
        },
    }
}

fn is_applied_once(sealed: &Sealed, process: &Process) -> bool {
    let mut seen = Operations::NONE;
    sealed.operations(&process.order).filter(|operation| *operation != Operation::Barrier).all(|operation| {
        let is_new = !seen.contains(operation);
        seen.insert(operation);
        is_new
    })
}

/// Returns whether the operations of each client occur in the order in which it submits them.
fn is_in_client_order(sealed: &Sealed, process: &Process) -> bool {
    let records = || process.order.iter().map(|record| sealed.record(record));
    let changes = || records().enumerate().filter(|(_, record)| record.operation != Operation::Barrier);
    changes().all(|(at, record)| {
        let mut later = changes().filter(|(other, later)| *other > at && later.client == record.client);
        later.all(|(_, later)| later.operation >= record.operation)
    })
}

/// Returns the documents that result from applying the order and the last restore among the
/// ancestors of the manifest, independent of any fold.
fn documents_of(sealed: &Sealed, process: &Process) -> Documents {
    let known = sealed.manifest(process.manifest);
    let chain = known.ancestors.with(process.manifest);
    let restore = chain.iter().rev().map(|manifest| sealed.manifest(manifest)).find(|manifest| manifest.is_restore);
    let mut documents = Documents::NONE;
    let after_restore = sealed.operations(&process.order).skip(restore.map_or(0, |manifest| manifest.folded.len()));
    after_restore.for_each(|operation| documents.apply(operation));
    documents
}

pub(crate) fn operations_of(sealed: &Sealed, process: &Process) -> Operations {
    let mut applied = Operations::NONE;
    sealed.operations(&process.order).for_each(|operation| applied.insert(operation));
    applied
}
