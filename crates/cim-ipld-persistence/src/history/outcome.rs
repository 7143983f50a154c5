//! The error of a write whose outcome is unknown.

use crate::{Error, ErrorKind};

/// Returns the error of a write whose record may have been stored.
pub(super) fn outcome_unknown(error: Error) -> Error {
    if error.kind() == ErrorKind::OutcomeUnknown {
        return error;
    }
    let message = format!("it is unknown whether the record was written: {error}");
    Error::new(keep_kind(error.kind()), message).with_source(error)
}

/// Returns the kind to report. An error that stopped the engine takes precedence over the unknown
/// outcome.
fn keep_kind(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::Lost | ErrorKind::Forked | ErrorKind::Rollback | ErrorKind::KeyRotated | ErrorKind::Closed => kind,
        _ => ErrorKind::OutcomeUnknown,
    }
}
