//! Missing objects, and the errors if they remain missing.

use cim_ipld_backend::Revision;

use crate::{Error, ErrorKind};

/// Something that a catalog entry needs but the store does not hold. It may have been removed
/// because a newer manifest no longer needs it. If it is missing again under the same manifest, it
/// is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) record: Revision,
    pub(super) gap: Gap,
    pub(super) manifest: u64,
}

impl Missing {
    /// Returns whether this is the same thing that was missing before. The revision is not
    /// compared, because the entry may have been stored again.
    pub(super) fn is_same_as(&self, before: &Self) -> bool {
        (self.gap, self.manifest) == (before.gap, before.manifest)
    }

    /// Returns the error to report once the object is known to be lost.
    pub(super) fn into_error(self) -> Error {
        let Self { record, gap, .. } = self;
        let mut kind = ErrorKind::Lost;
        let mut object = |what: &str, fault: Fault| {
            let (of, description) = fault.describe();
            kind = of;
            format!("{what} {description}")
        };
        let message = match gap {
            Gap::Records(position) if record == Revision::ZERO => {
                format!("the store is missing some of the first {position} records of the index")
            }
            Gap::Records(position) => {
                format!(
                    "the journal record at {record} follows {position} records, some of which are missing from the store"
                )
            }
            Gap::Pinned(position) => {
                let message = format!("the store holds fewer than the {position} records recorded in the pin");
                return Error::new(ErrorKind::Rollback, message);
            }
            Gap::Manifest(generation) => {
                format!(
                    "the journal record at {record} follows a manifest of generation {generation} that is missing from the store"
                )
            }
            Gap::Window(fault) => object(&format!("the window of the order named by the manifest at {record}"), fault),
            Gap::Page(fault) => object(&format!("a page that the journal record at {record} needs"), fault),
            Gap::Body(fault) => object(&format!("the body of the journal record at {record}"), fault),
            Gap::History => {
                let message =
                    format!("the catalog entry at {record} belongs to a different history from that of this process");
                return Error::new(ErrorKind::Forked, message);
            }
        };
        Error::new(kind, message)
    }
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Some of the records up to this position.
    Records(u64),
    /// Records up to this position, which is recorded in the pin.
    Pinned(u64),
    /// A manifest of this generation.
    Manifest(u64),
    Body(Fault),
    /// The window of the order named by a manifest.
    Window(Fault),
    /// A page of a segment, needed to find the documents that the record replaces.
    Page(Fault),
    /// The history that the record attests.
    History,
}

/// What is wrong with a needed object. A process that published a newer manifest may have removed
/// the object, and an attacker may have stored something else under its name since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Gone,
    Damaged,
}

impl Fault {
    /// Returns `None` for an error that does not concern the content of an object.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error.kind() {
            ErrorKind::Lost => Some(Self::Gone),
            ErrorKind::Damaged => Some(Self::Damaged),
            _ => None,
        }
    }

    /// Returns the kind of the error and the end of its message.
    fn describe(self) -> (ErrorKind, &'static str) {
        match self {
            Self::Gone => (ErrorKind::Lost, "is missing from the store"),
            Self::Damaged => (ErrorKind::Damaged, "is damaged"),
        }
    }
}
