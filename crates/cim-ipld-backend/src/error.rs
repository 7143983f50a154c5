use std::error::Error as StdError;
use std::fmt;

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error from a storage operation: a [`kind`](Error::kind) for the program to act on, and a
/// message and a [`hint`](Error::hint) for people.
///
/// ```
/// use cim_ipld_backend::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Full, "bucket catalog_v1 is at its limit of 64 MiB");
/// assert_eq!(error.kind(), ErrorKind::Full);
/// assert_eq!(error.to_string(), "bucket catalog_v1 is at its limit of 64 MiB");
/// assert_eq!(error.hint(), "make room in the storage or raise its limit, then try again");
/// ```
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kind of a storage error, which determines what the caller can do about it.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, MemoryBackend};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// let backend = MemoryBackend::new();
/// let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new("manifest")?);
/// match backend.get(&bucket, &key).await {
///     Err(error) if error.kind() == ErrorKind::BucketMissing => backend.create(&bucket).await?,
///     result => drop(result?),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The precondition of a write does not hold. Read the key again and decide again.
    Conflict,
    /// The value exceeds [`max_value_bytes`](crate::Limits::max_value_bytes). Split it.
    TooLarge,
    /// The storage has no space left. Free some space, then retry.
    Full,
    /// The storage did not respond. No value was written, but a bucket may have been created or
    /// some keys removed. Retry later.
    Unavailable,
    /// The write was sent but no acknowledgement was received, so it may have happened. Read the
    /// key back.
    OutcomeUnknown,
    /// The credentials do not permit the operation. Change the credentials or the permissions.
    Denied,
    /// The server rejected the credentials. Correct them.
    Unauthenticated,
    /// The server's identity could not be verified, or it does not offer TLS although TLS is
    /// required. Correct the trusted certificates or the server's configuration.
    Untrusted,
    /// This kind of storage is turned off on the server or for this account. Turn it on there.
    Disabled,
    /// The bucket does not exist. Create it, or correct its name.
    BucketMissing,
    /// The bucket or store has settings or a format that violate the contract.
    Incompatible,
    /// The store is already open, in this process or another. Close it there first.
    Locked,
    /// The storage returned invalid data, or lacks data that it must have. Restore or repair it.
    Corrupt,
    /// A bucket name, key or prefix is malformed.
    InvalidName,
    /// A setting, or a file named by a setting, is invalid. Correct it.
    InvalidSettings,
}

impl Error {
    /// Creates an error of `kind`. `message` is one line that describes what happened and to which
    /// object.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// Adds the error that caused this one, as [`source`](StdError::source).
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Replaces the hint of the kind with a more specific one.
    ///
    /// ```
    /// use cim_ipld_backend::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Denied, "the store is on a read-only file system");
    /// assert_eq!(error.own_hint(), None);
    /// let error = error.with_hint("copy the store to a writable place");
    /// assert_eq!(error.hint(), "copy the store to a writable place");
    /// ```
    #[must_use]
    pub fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Returns the hint set by [`with_hint`](Error::with_hint), if any.
    #[must_use]
    pub fn own_hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// Returns the kind, which determines what the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether the same call may succeed later without any other change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable)
    }

    /// Returns one line that describes what a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.hint.unwrap_or(match self.kind {
            ErrorKind::Conflict => "read the key again, then decide again",
            ErrorKind::TooLarge => "split the value, or raise the limit of the storage",
            ErrorKind::Full => "make room in the storage or raise its limit, then try again",
            ErrorKind::Unavailable => "check that the storage is running and reachable, then try again",
            ErrorKind::OutcomeUnknown => "read the key back: the write may have happened",
            ErrorKind::Denied => "check the credentials and the permissions of this account",
            ErrorKind::Unauthenticated => "check the credentials",
            ErrorKind::Untrusted => "check the server's certificate and the trusted certificate authorities",
            ErrorKind::Disabled => {
                "turn on this kind of storage in the server's configuration and for this account, or use another server"
            }
            ErrorKind::BucketMissing => "check the store's name, or create the index first",
            ErrorKind::Incompatible => "use another location, or change the setting that the message names",
            ErrorKind::Locked => {
                "close the store where it is open, or use a store on NATS, which several processes can share"
            }
            ErrorKind::Corrupt => "verify the store, then repair it or restore a backup",
            ErrorKind::InvalidName => "correct the name",
            ErrorKind::InvalidSettings => "correct what the message names",
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
