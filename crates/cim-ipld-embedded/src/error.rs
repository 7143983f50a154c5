use std::io;

use cim_ipld_backend::{Error, ErrorKind};
use futures::stream::{self, BoxStream, StreamExt};

/// Converts an error from fjall; `doing` describes what was attempted.
pub(crate) fn from_fjall(doing: &str, failure: fjall::Error) -> Error {
    let kind = match failure {
        fjall::Error::Io(cause) | fjall::Error::Storage(fjall::LsmError::Io(cause)) => return from_io(doing, cause),
        fjall::Error::Locked => ErrorKind::Locked,
        fjall::Error::InvalidVersion(_) => ErrorKind::Incompatible,
        fjall::Error::Poisoned | fjall::Error::KeyspaceDeleted => ErrorKind::Unavailable,
        _ => ErrorKind::Corrupt,
    };
    hinted(Error::new(kind, format!("{doing}: {}", what(kind)))).with_source(failure)
}

/// Converts an I/O error and keeps the operating system's message; `doing` describes what was
/// attempted.
pub(crate) fn from_io(doing: &str, failure: io::Error) -> Error {
    let kind = io_kind(failure.kind());
    hinted(Error::new(kind, format!("{doing}: {}: {failure}", what(kind)))).with_source(failure)
}

/// Replaces the hints that mention a server, because the embedded store has none.
fn hinted(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unavailable => {
            error.with_hint("check the folder, its disk and the limits of this process, then try again")
        }
        ErrorKind::Denied => error.with_hint("check the owner of the folder and whether its file system is writable"),
        ErrorKind::InvalidName => error.with_hint("choose a different folder"),
        _ => error,
    }
}

/// Duplicates an error for several waiting callers. The copy has no source; its message contains
/// that of the source.
pub(crate) fn copy(error: &Error) -> Error {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let copy = Error::new(error.kind(), format!("{error}{}", cause.unwrap_or_default()));
    match error.own_hint() {
        Some(hint) => copy.with_hint(hint),
        None => copy,
    }
}

/// Returns a stream that consists of one error.
pub(crate) fn failed<T: Send + 'static>(error: Error) -> BoxStream<'static, Result<T, Error>> {
    stream::iter([Err(error)]).boxed()
}

fn io_kind(kind: io::ErrorKind) -> ErrorKind {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::Full,
        io::ErrorKind::InvalidFilename => ErrorKind::InvalidName,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        // `UnexpectedEof`, `InvalidData`, `InvalidInput`, `NotFound`: a file that the store refers
        // to is truncated, unreadable, empty or missing. `AlreadyExists`: fjall tries to create a
        // file that exists, because the file that should refer to it is missing.
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::NotFound
        | io::ErrorKind::AlreadyExists => ErrorKind::Corrupt,
        _ => ErrorKind::Unavailable,
    }
}

fn what(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Full => "no space is left on the disk",
        ErrorKind::Denied => "the operating system denied access",
        ErrorKind::Corrupt => "the store is damaged",
        ErrorKind::Locked => "the store is already open",
        ErrorKind::Incompatible => "this version cannot read the format of the store",
        ErrorKind::InvalidName => "its path is invalid",
        _ => "the disk operation failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_by_what_to_do() {
        let io = |kind| fjall::Error::Io(io::Error::from(kind));
        for (failure, kind) in [
            (io(io::ErrorKind::StorageFull), ErrorKind::Full),
            (io(io::ErrorKind::QuotaExceeded), ErrorKind::Full),
            (io(io::ErrorKind::PermissionDenied), ErrorKind::Denied),
            (io(io::ErrorKind::UnexpectedEof), ErrorKind::Corrupt),
            (io(io::ErrorKind::AlreadyExists), ErrorKind::Corrupt),
            (io(io::ErrorKind::TimedOut), ErrorKind::Unavailable),
            (fjall::Error::Locked, ErrorKind::Locked),
            (fjall::Error::Poisoned, ErrorKind::Unavailable),
            (fjall::Error::Unrecoverable, ErrorKind::Corrupt),
            (fjall::Error::InvalidVersion(None), ErrorKind::Incompatible),
        ] {
            let shown = format!("{failure:?}");
            assert_eq!(from_fjall("reading", failure).kind(), kind, "{shown}");
        }
        for (number, kind, said) in [
            (36, ErrorKind::InvalidName, "too long"),
            (40, ErrorKind::Unavailable, "symbolic links"),
            (24, ErrorKind::Unavailable, "open files"),
            (30, ErrorKind::Denied, "Read-only"),
        ] {
            // The errno values of Linux.
            if cfg!(target_os = "linux") {
                let error = from_io("opening", io::Error::from_raw_os_error(number));
                assert_eq!(error.kind(), kind, "{error}");
                assert!(error.to_string().contains(said) && !error.hint().contains("reachable"), "{error}");
            }
        }
    }
}
