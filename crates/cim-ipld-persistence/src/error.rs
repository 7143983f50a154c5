use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use cim_ipld_backend as backend;
use cim_ipld_envelope as envelope;
use cim_ipld_index as index;

/// The result of an engine operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in the engine: a [`kind`](Error::kind) to act on, a message to read. Cheap to
/// clone, because one failed record answers every caller whose documents it carried.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of engine errors, told apart by what a caller can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no index at this place.
    NoIndex,
    /// There is an index at this place already.
    IndexExists,
    /// The index is encrypted and no key was given.
    KeyRequired,
    /// The key or passphrase does not open this index.
    WrongKey,
    /// A key was given for an index that is not encrypted.
    NotEncrypted,
    /// The index was re-keyed by another process since this one opened it.
    KeyRotated,
    /// The index was written by a newer version of the software.
    UnsupportedVersion,
    /// A stored object cannot be opened or read: it was altered, or belongs somewhere else.
    Damaged,
    /// An object that the index needs is gone.
    Lost,
    /// An older state of the index was served where a newer one had been seen.
    Rollback,
    /// The store shows a history of the index that contradicts the one that was seen.
    Forked,
    /// The memory of what was seen last, which is kept outside the store, cannot be read or
    /// written.
    PinUnavailable,
    /// Another process changed the index at the same moment.
    Conflict,
    /// No snapshot has this name.
    SnapshotMissing,
    /// A snapshot of this name exists.
    SnapshotExists,
    /// A document, a query or a setting is not acceptable.
    InvalidInput,
    /// The store did not answer; nothing happened.
    Unavailable,
    /// A write was sent and its outcome is not known.
    OutcomeUnknown,
    /// The store refused for lack of rights.
    Denied,
    /// The store has no room left.
    Full,
    /// Another process holds the store.
    Locked,
    /// The store exists with settings under which the index cannot work, or the index with another
    /// analyzer.
    Incompatible,
    /// The engine was closed.
    Closed,
}

impl Error {
    /// Makes an error of `kind` with one line that says what happened.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns the hint of whatever caused this, where that knows better than the kind alone.
    #[must_use]
    pub fn own_hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// Returns the kind, which says what can be done.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns one line that says what to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.hint.unwrap_or(match self.kind {
            ErrorKind::NoIndex => "check the store's name, or create the index first",
            ErrorKind::IndexExists => "open it, or choose another place or name",
            ErrorKind::KeyRequired => "give the key file or passphrase that this index was created with",
            ErrorKind::WrongKey => {
                "give the key file or passphrase that this index was created with, or was last rotated to"
            }
            ErrorKind::NotEncrypted => {
                "if this index was ever encrypted, its root record was replaced: write nothing and restore a backup; give \
                 no key only where you know that it was made plaintext"
            }
            ErrorKind::KeyRotated => "open the index again with the new key",
            ErrorKind::UnsupportedVersion => "use a version of the software at least as new as the one that wrote it",
            ErrorKind::Damaged | ErrorKind::Lost => "run verify to see what is affected, then restore a backup",
            ErrorKind::Rollback => {
                "find out why the store went back; if it did so on purpose, accept the older state by name"
            }
            ErrorKind::Forked => {
                "two histories of this index exist: find out who changed or copied the store, and which one you want; then \
                 accept that one by name"
            }
            ErrorKind::PinUnavailable => "check the file of the pin, or choose another place for it",
            ErrorKind::Conflict => "try again",
            ErrorKind::SnapshotMissing => "list the snapshots and choose one of them",
            ErrorKind::SnapshotExists => "choose another name, or delete that snapshot first",
            ErrorKind::InvalidInput => "correct what the message names",
            ErrorKind::Unavailable => "check that the store is running and reachable, then try again",
            ErrorKind::OutcomeUnknown => {
                "read back what was written before writing it again; indexing the same CID again is harmless"
            }
            ErrorKind::Denied => "check the credentials and the permissions of this account",
            ErrorKind::Full => "free room in the store or raise its limit, then try again",
            ErrorKind::Locked => "close the other process, or share the index over NATS",
            ErrorKind::Incompatible => "choose another place, or change what the message names",
            ErrorKind::Closed => "open the index again",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<backend::Error> for Error {
    fn from(error: backend::Error) -> Self {
        use backend::ErrorKind as From;
        let kind = match error.kind() {
            From::Conflict => ErrorKind::Conflict,
            From::TooLarge | From::InvalidName | From::InvalidSettings => ErrorKind::InvalidInput,
            From::Full => ErrorKind::Full,
            From::OutcomeUnknown => ErrorKind::OutcomeUnknown,
            From::Denied | From::Unauthenticated | From::Untrusted => ErrorKind::Denied,
            // Where there may be no index yet, the bucket is looked for by name.
            From::BucketMissing => ErrorKind::Lost,
            From::Incompatible | From::Disabled => ErrorKind::Incompatible,
            From::Locked => ErrorKind::Locked,
            From::Corrupt => ErrorKind::Damaged,
            _ => ErrorKind::Unavailable,
        };
        let hint = error.own_hint();
        Self { hint, ..Self::new(kind, error.to_string()).with_source(error) }
    }
}

impl From<envelope::Error> for Error {
    fn from(error: envelope::Error) -> Self {
        use envelope::ErrorKind as From;
        let kind = match error.kind() {
            From::WrongKey => ErrorKind::WrongKey,
            From::MissingKey => ErrorKind::KeyRequired,
            From::NotEncrypted => ErrorKind::NotEncrypted,
            From::UnknownDataKey | From::DestroyedDataKey => ErrorKind::KeyRotated,
            From::UnsupportedVersion { .. } => ErrorKind::UnsupportedVersion,
            From::ProviderUnavailable => ErrorKind::Unavailable,
            From::Damaged | From::Encrypted => ErrorKind::Damaged,
            _ => ErrorKind::InvalidInput,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

impl From<index::Error> for Error {
    fn from(error: index::Error) -> Self {
        use index::ErrorKind as From;
        let kind = match error.kind() {
            From::Damaged => ErrorKind::Damaged,
            From::UnsupportedVersion => ErrorKind::UnsupportedVersion,
            From::AnalyzerMismatch => ErrorKind::Incompatible,
            _ => ErrorKind::InvalidInput,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}
