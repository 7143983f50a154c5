//! What is missing, and what that means when it stays missing.

use cim_ipld_backend::Revision;

use crate::{Error, ErrorKind};

/// Something that an entry needs and that was not there under a manifest. A newer manifest may
/// explain that; missing under the same one once more, it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) record: Revision,
    pub(super) gap: Gap,
    pub(super) manifest: u64,
}

impl Missing {
    /// Whether the same thing is missing again. The entry that misses it may have been put again
    /// meanwhile.
    pub(super) fn is_again(&self, before: &Self) -> bool {
        (self.gap, self.manifest) == (before.gap, before.manifest)
    }
}

/// What a record refers to and that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Records before this position.
    Records(u64),
    /// Records up to this position, which a pin remembers.
    Pinned(u64),
    /// A manifest of this generation.
    Manifest(u64),
    Body(Fault),
    /// What a manifest says of the order.
    Window(Fault),
    /// A page of a segment, needed to find what the record replaces.
    Page(Fault),
    /// The history that the record was sealed over.
    History,
}

/// What is wrong with an object that is needed. Whoever let go of it removed it, and whoever can
/// write to the store may have put something else there since: a newer manifest explains both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Gone,
    Damaged,
}

impl Fault {
    /// `None` for an error that says nothing of an object.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error.kind() {
            ErrorKind::Lost => Some(Self::Gone),
            ErrorKind::Damaged => Some(Self::Damaged),
            _ => None,
        }
    }

    /// The kind of error and what is said of the object.
    fn told(self) -> (ErrorKind, &'static str) {
        match self {
            Self::Gone => (ErrorKind::Lost, "is gone from the store"),
            Self::Damaged => (ErrorKind::Damaged, "is not what was stored"),
        }
    }
}

pub(super) fn lost(missing: Missing) -> Error {
    let Missing { record, gap, .. } = missing;
    let mut kind = ErrorKind::Lost;
    let mut object = |what: &str, fault: Fault| {
        let (of, told) = fault.told();
        kind = of;
        format!("{what} {told}")
    };
    let message = match gap {
        Gap::Records(position) if record == Revision::ZERO => {
            format!("the index had {position} records, and some of them are gone from the store")
        }
        Gap::Records(position) => {
            format!(
                "the journal record at {record} follows {position} records, and some of them are gone from the store"
            )
        }
        Gap::Pinned(position) => {
            let message = format!("the store has fewer than the {position} records that were seen in it");
            return Error::new(ErrorKind::Rollback, message);
        }
        Gap::Manifest(generation) => {
            format!(
                "the journal record at {record} follows a manifest of generation {generation} that is gone from the store"
            )
        }
        Gap::Window(fault) => object(&format!("what the manifest at {record} names of the order"), fault),
        Gap::Page(fault) => object(&format!("a page that the journal record at {record} needs"), fault),
        Gap::Body(fault) => object(&format!("the body of the journal record at {record}"), fault),
        Gap::History => {
            let message =
                format!("the journal record at {record} was written over another history than this process knows");
            return Error::new(ErrorKind::Forked, message);
        }
    };
    Error::new(kind, message)
}
