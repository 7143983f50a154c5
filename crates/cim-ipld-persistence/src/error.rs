use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use cim_ipld_backend as backend;
use cim_ipld_envelope as envelope;
use cim_ipld_index as index;

/// The result of an engine operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An engine error: a [`kind`](Error::kind) to act on and a message to read.
///
/// Cloning is cheap: when a journal record fails, every caller whose documents were in it gets a
/// copy of the same error.
///
/// ```
/// use cim_ipld_persistence::{ErrorKind, IndexName};
///
/// let error = IndexName::new("my photos").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// assert!(error.to_string().contains("my photos"));
/// println!("error: {error}; {}", error.hint());
/// ```
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
    object: Option<Arc<StoredObject>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The location of one object in the store.
///
/// ```
/// use cim_ipld_persistence::{ErrorKind, StoredObject};
///
/// let object = StoredObject { bucket: "catalog_v1".to_owned(), key: "manifest".to_owned() };
/// assert_eq!(object.to_string(), "object manifest of bucket catalog_v1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredObject {
    /// The name of the bucket.
    pub bucket: String,
    /// The key in the bucket.
    pub key: String,
}

impl fmt::Display for StoredObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {} of bucket {}", self.key, self.bucket)
    }
}

/// The kinds of engine errors, which differ in what a caller can do about them.
///
/// ```
/// use std::sync::Arc;
///
/// use cim_ipld_backend::MemoryBackend;
/// use cim_ipld_persistence::{Engine, ErrorKind, Protection};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_persistence::Error> {
/// let backend = Arc::new(MemoryBackend::new());
/// let engine = match Engine::builder(backend.clone()).open(None).await {
///     Err(error) if error.kind() == ErrorKind::NoIndex => {
///         Engine::builder(backend).create(Protection::Plaintext).await?
///     }
///     opened => opened?,
/// };
/// # engine.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store holds no index of this name.
    NoIndex,
    /// The store already holds an index of this name.
    IndexExists,
    /// The index is encrypted and no key was given.
    KeyRequired,
    /// The key or passphrase does not open this index.
    WrongKey,
    /// A key was given for an index that is not encrypted.
    NotEncrypted,
    /// Another process changed the key of the index after this one opened it.
    KeyRotated,
    /// The index was written by a newer version of the software.
    UnsupportedVersion,
    /// A stored object cannot be decrypted or decoded: it was altered, or copied from another
    /// location in the store.
    Damaged,
    /// An object that the index needs is missing from the store.
    Lost,
    /// The store holds an older state of the index than the one seen before.
    Rollback,
    /// The store holds a history of the index that contradicts the one seen before.
    Forked,
    /// The pin, which records the last seen state outside the store, cannot be read or written.
    PinUnavailable,
    /// Another process changed the index concurrently.
    Conflict,
    /// No snapshot has this name.
    SnapshotMissing,
    /// A snapshot of this name already exists.
    SnapshotExists,
    /// The file that an export was to write already exists.
    FileExists,
    /// A document, a query, a name or a setting is invalid or exceeds a limit.
    InvalidInput,
    /// The query exceeds a limit on what a search may cost. The message names the part of the query
    /// and the limit.
    QueryTooExpensive,
    /// The store did not answer. No document was changed; an operation of several steps, such as a
    /// key rotation, may have performed some of them.
    Unavailable,
    /// A write was sent, but its outcome is unknown.
    OutcomeUnknown,
    /// The store denied access.
    Denied,
    /// The store is full.
    Full,
    /// Another process has the store open.
    Locked,
    /// The store has settings that the index cannot work with, or the given analyzer differs from
    /// that of the index.
    Incompatible,
    /// The engine was closed.
    Closed,
}

impl Error {
    /// Creates an error of `kind` with a one-line message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, object: None, source: None }
    }

    /// Sets the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Sets the object that is missing or damaged, unless it is set already.
    pub(crate) fn about(mut self, bucket: &backend::Bucket, key: &str) -> Self {
        self.object
            .get_or_insert_with(|| Arc::new(StoredObject { bucket: bucket.name().to_owned(), key: key.to_owned() }));
        self
    }

    /// Sets the object to that of `error`.
    pub(crate) fn about_same(self, error: &Self) -> Self {
        Self { object: error.object.clone(), ..self }
    }

    /// Returns the object in the store that is missing or damaged, if the error is about one.
    ///
    /// ```
    /// use cim_ipld_persistence::IndexName;
    ///
    /// assert_eq!(IndexName::new("my photos").unwrap_err().object(), None);
    /// ```
    #[must_use]
    pub fn object(&self) -> Option<&StoredObject> {
        self.object.as_deref()
    }

    /// Replaces the hint of the kind with a more specific one.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Returns the hint for this particular error, or `None` if there is only the general hint of
    /// its kind.
    #[must_use]
    pub fn own_hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns one line of advice on how to resolve the error.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.hint.unwrap_or(match self.kind {
            ErrorKind::NoIndex => "check the name of the store and of the index, or create the index first",
            ErrorKind::IndexExists => "open it, or choose another name or store",
            ErrorKind::KeyRequired => "give the key file or passphrase of this index",
            ErrorKind::WrongKey => {
                "give the key file or passphrase with which this index was created or to which it was last rotated"
            }
            ErrorKind::NotEncrypted => {
                "if this index was ever encrypted, its root record was replaced: write nothing and restore a backup; open \
                 it without a key only if you know that it was created as plaintext"
            }
            ErrorKind::KeyRotated => "open the index again with the new key",
            ErrorKind::UnsupportedVersion => "use a version of the software at least as new as the one that wrote the index",
            ErrorKind::Damaged | ErrorKind::Lost => "run verify to see what is affected, then repair the index or restore a backup",
            ErrorKind::Rollback => {
                "find out why the store holds an older state; if that is intended, accept the state explicitly"
            }
            ErrorKind::Forked => {
                "two histories of this index exist: find out who changed or copied the store and which history is right, \
                 then accept that one explicitly"
            }
            ErrorKind::PinUnavailable => "check the pin file, or choose another path for it",
            ErrorKind::Conflict => "try again",
            ErrorKind::SnapshotMissing => "list the snapshots to see their names",
            ErrorKind::SnapshotExists => "choose another name, or delete the existing snapshot first",
            ErrorKind::FileExists => "choose another file name, or remove the file first",
            ErrorKind::InvalidInput => "correct the input named in the message",
            ErrorKind::QueryTooExpensive => "simplify the part of the query named in the message, or raise the limit",
            ErrorKind::Unavailable => "check that the store is running and reachable, then try again",
            ErrorKind::OutcomeUnknown => {
                "check whether the write is there before repeating it; indexing the same CID twice is harmless"
            }
            ErrorKind::Denied => "check the credentials and the permissions of this account",
            ErrorKind::Full => "make room in the store or raise its limit, then try again",
            ErrorKind::Locked => "close the other process, or share the index over NATS",
            ErrorKind::Incompatible => "choose another store, or change the setting named in the message",
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
            // Callers that allow for a missing index handle this kind before they convert the
            // error.
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
            From::QueryTooExpensive => ErrorKind::QueryTooExpensive,
            _ => ErrorKind::InvalidInput,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}
