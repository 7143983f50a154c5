//! The errors of archives.

use std::io;

use crate::{Error, ErrorKind};

const USE_ANOTHER_COPY: &str =
    "the file is incomplete or was altered: use another copy of it, or export the index again";

/// The hint of an import into a store that is not empty.
pub(super) const CHOOSE_EMPTY: &str = "import into an empty store, or under another name of the index";

/// Returns the error of an archive that is cut off or altered.
pub(crate) fn incomplete(what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("the archive is damaged: {what}")).with_hint(USE_ANOTHER_COPY)
}

pub(crate) fn not_an_archive() -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        "the file is not an archive of an index: it does not begin with the CARv1 header that an export writes",
    )
    .with_hint("give a file that an export wrote completely")
}

/// Returns the error of reading an archive.
pub(crate) fn unreadable(error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory => ErrorKind::InvalidInput,
        io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    let hint = "check the path of the archive, its permissions, and the disk that holds it";
    Error::new(kind, format!("the archive cannot be read: {error}")).with_hint(hint)
}

/// Returns the error of writing an archive.
pub(crate) fn unwritable(error: &io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (ErrorKind::Full, "make room on the disk of the archive, or write it to another one")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Denied, "choose a folder for the archive that this user can write to")
        }
        io::ErrorKind::AlreadyExists => (ErrorKind::FileExists, "choose another file name, or remove the file first"),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            (ErrorKind::InvalidInput, "create the folder of the archive first, or choose another one")
        }
        _ => (
            ErrorKind::Unavailable,
            "check the disk, or the program that the archive is being piped to, then export again",
        ),
    };
    Error::new(kind, format!("the archive cannot be written: {error}")).with_hint(hint)
}
