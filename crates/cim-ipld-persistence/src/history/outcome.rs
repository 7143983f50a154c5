//! What a caller is told of a write whose outcome is open.

use crate::{Error, ErrorKind};

/// What is said of a write of which a record may have landed.
pub(super) fn outcome_unknown(error: Error) -> Error {
    if error.kind() == ErrorKind::OutcomeUnknown {
        return error;
    }
    let message = format!("whether the record was written is not known: {error}");
    Error::new(keep_kind(error.kind()), message).with_source(error)
}

/// Why the engine stopped matters more to the caller than what became of the record.
fn keep_kind(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::Lost | ErrorKind::Forked | ErrorKind::Rollback | ErrorKind::KeyRotated | ErrorKind::Closed => kind,
        _ => ErrorKind::OutcomeUnknown,
    }
}
