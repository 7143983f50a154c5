//! The kinds of failure that a script can distinguish.

use cim_ipld::persistence::ErrorKind;

/// A kind of failure. The number is the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Failed = 1,
    Usage = 2,
    Skipped = 3,
    NotFound = 4,
    NoIndex = 5,
    Exists = 6,
    Key = 7,
    Locked = 8,
    Damaged = 9,
    History = 10,
    Unavailable = 11,
    Denied = 12,
    Full = 13,
    Incompatible = 14,
    DataLost = 15,
    Unverified = 16,
    TooExpensive = 17,
}

impl Status {
    pub(crate) const ALL: [Self; 17] = [
        Self::Failed,
        Self::Usage,
        Self::Skipped,
        Self::NotFound,
        Self::NoIndex,
        Self::Exists,
        Self::Key,
        Self::Locked,
        Self::Damaged,
        Self::History,
        Self::Unavailable,
        Self::Denied,
        Self::Full,
        Self::Incompatible,
        Self::DataLost,
        Self::Unverified,
        Self::TooExpensive,
    ];

    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The name in the JSON of an error.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Skipped => "skipped",
            Self::NotFound => "not_found",
            Self::NoIndex => "no_index",
            Self::Exists => "exists",
            Self::Key => "key",
            Self::Locked => "locked",
            Self::Damaged => "damaged",
            Self::History => "history",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Full => "full",
            Self::Incompatible => "incompatible",
            Self::DataLost => "data_lost",
            Self::Unverified => "unverified",
            Self::TooExpensive => "too_expensive",
        }
    }

    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "interrupted, unreadable input of `cim index`, or any failure not listed below",
            Self::Usage => "invalid command line, query or environment",
            Self::Skipped => {
                "done, but files were skipped: unreadable or malformed in a folder, or named on the command line but too large or not text"
            }
            Self::NotFound => "no such document, snapshot or pin",
            Self::NoIndex => "no index at STORE",
            Self::Exists => "an index, a snapshot, a key file or an archive of that name already exists",
            Self::Key => "missing key, wrong key, or unusable key file",
            Self::Locked => "another process has the folder open; --wait SECONDS waits for it",
            Self::Damaged => {
                "stored objects are damaged or lost (when `cim verify` returns this status, `cim repair` can recover every document)"
            }
            Self::History => "the store is older than its pin or has another history, or the pin cannot be used",
            Self::Unavailable => "the store does not answer, or its response was lost",
            Self::Denied => "access denied by the server or the operating system",
            Self::Full => "the store is full",
            Self::Incompatible => "incompatible settings, server or format",
            Self::DataLost => "documents, writes or snapshots are lost, unless a copy of the store has them",
            Self::Unverified => {
                "`cim verify` could not check the index, because its keys or its manifest are damaged or lost"
            }
            Self::TooExpensive => "the query exceeds a limit on what a search may cost",
        }
    }

    /// Returns the table for the help.
    pub(crate) fn table() -> String {
        let lines =
            Self::ALL.map(|status| format!("  {:>2} {:<13} {}\n", status.code(), status.name(), status.meaning()));
        format!("Exit status:\n   0 done\n{}", lines.concat().trim_end())
    }
}

impl From<ErrorKind> for Status {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NoIndex => Self::NoIndex,
            ErrorKind::IndexExists | ErrorKind::SnapshotExists | ErrorKind::FileExists => Self::Exists,
            ErrorKind::KeyRequired | ErrorKind::WrongKey | ErrorKind::NotEncrypted | ErrorKind::KeyRotated => Self::Key,
            ErrorKind::UnsupportedVersion | ErrorKind::Incompatible => Self::Incompatible,
            ErrorKind::Damaged | ErrorKind::Lost => Self::Damaged,
            ErrorKind::Rollback | ErrorKind::Forked | ErrorKind::PinUnavailable => Self::History,
            ErrorKind::SnapshotMissing => Self::NotFound,
            ErrorKind::InvalidInput => Self::Usage,
            ErrorKind::QueryTooExpensive => Self::TooExpensive,
            ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => Self::Unavailable,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Full => Self::Full,
            ErrorKind::Locked => Self::Locked,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn every_status_has_a_number_and_a_name_of_its_own_and_is_documented() {
        let readme = include_str!("../README.md");
        for (status, number) in Status::ALL.into_iter().zip(1..) {
            assert_eq!(status.code(), number, "{status:?}");
            assert!(Status::ALL.iter().all(|other| *other == status || other.name() != status.name()), "{status:?}");
            let row = format!("| {} | `{}` | {} |", status.code(), status.name(), status.meaning());
            assert!(readme.contains(&row), "README.md lacks this row: {row}");
        }
    }
}
