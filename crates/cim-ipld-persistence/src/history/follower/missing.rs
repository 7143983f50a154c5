//! What is missing, and what that means when it stays missing.

use cim_ipld_backend::Revision;

use crate::{Error, ErrorKind};

/// Something that an entry needs and that was not there under a manifest. A newer manifest may explain that; missing under
/// the same one once more, it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) record: Revision,
    pub(super) gap: Gap,
    pub(super) manifest: u64,
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
    Body,
    /// What a manifest says of the order.
    Window,
    /// A page of a segment, needed to find what the record replaces.
    Page,
    /// The history that the record was sealed over.
    History,
}

pub(super) fn lost(missing: Missing) -> Error {
    let Missing { record, gap, .. } = missing;
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
        Gap::Window => format!("what the manifest at {record} says of the order is gone from the store"),
        Gap::Page => format!("a page that the journal record at {record} needs is gone from the store"),
        Gap::Body => format!("the body of the journal record at {record} is gone from the store"),
        Gap::History => {
            let message =
                format!("the journal record at {record} was written over another history than this process knows");
            return Error::new(ErrorKind::Forked, message);
        }
    };
    Error::new(ErrorKind::Lost, message)
}
