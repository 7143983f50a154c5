use std::error::Error as StdError;
use std::fmt;

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in a storage operation: a [`kind`](Error::kind) to act on, a message to read.
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of storage errors, told apart by what a caller can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The precondition of a write does not hold: read again, decide again.
    Conflict,
    /// The value is over [`max_value_bytes`](crate::Limits::max_value_bytes): split it.
    TooLarge,
    /// The storage has no room left: free some, then retry.
    Full,
    /// Nothing answered and nothing happened: retry later.
    Unavailable,
    /// The write was sent and its acknowledgement was not seen, so it may have happened: read back.
    OutcomeUnknown,
    /// The credentials do not allow it: change them.
    Denied,
    /// The server refuses who this is, before anything was asked of it: correct the credentials.
    Unauthenticated,
    /// The server could not prove who it is, or does not speak TLS where that is insisted on:
    /// correct what is trusted.
    Untrusted,
    /// The server, or this account on it, lacks this kind of storage: turn it on there.
    Disabled,
    /// The bucket does not exist: create it, or correct the name.
    BucketMissing,
    /// The bucket or store exists with settings or a format under which the contract cannot hold.
    Incompatible,
    /// Another process holds the store: close it there first.
    Locked,
    /// The storage returned something that cannot be right, or misses something it must have:
    /// restore or repair.
    Corrupt,
    /// A bucket name, key or prefix is not one.
    InvalidName,
    /// A setting, or a file that one names, is not acceptable: correct it.
    InvalidSettings,
}

impl Error {
    /// Makes an error of `kind` with one line that says what happened.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says something better to do than the kind alone would suggest.
    #[must_use]
    pub fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Returns the hint that was added, if any.
    #[must_use]
    pub fn own_hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// Returns the kind, which says what can be done.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Tells whether the same call may succeed later without anything being changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable)
    }

    /// Returns one line that says what to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.hint.unwrap_or(match self.kind {
            ErrorKind::Conflict => "read the key again and decide again",
            ErrorKind::TooLarge => "split the value, or raise the limit of the storage",
            ErrorKind::Full => "free room in the storage or raise its limit, then try again",
            ErrorKind::Unavailable => "check that the storage is running and reachable, then try again",
            ErrorKind::OutcomeUnknown => "read the key back: the write may have happened",
            ErrorKind::Denied => "check the credentials and the permissions of this account",
            ErrorKind::Unauthenticated => "check the credentials",
            ErrorKind::Untrusted => "check the server's certificate and which authorities are trusted",
            ErrorKind::Disabled => {
                "turn it on in the server's configuration, for this account too, or choose another server"
            }
            ErrorKind::BucketMissing => "check the store's name, or create the index first",
            ErrorKind::Incompatible => "choose another place, or change what the message names",
            ErrorKind::Locked => "close the other process, or share the store over NATS",
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
