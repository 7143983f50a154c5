use std::error::Error as StdError;
use std::fmt;

/// The result of an envelope operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong: a [`kind`](Error::kind) to act on, one line of what happened, one
/// [`hint`](Error::hint) of what to do.
///
/// No message holds plaintext, key material, or anything that distinguishes one wrong key from
/// another.
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of envelope errors, told apart by what a caller can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key, passphrase or provider opens none of the keyset's slots: give the right one.
    WrongKey,
    /// The store is encrypted and no key was given: give one.
    MissingKey,
    /// A key was given where the root record names a plaintext store. A store that was ever
    /// encrypted had its record replaced: dropping the key would be the downgrade that somebody
    /// wants.
    NotEncrypted,
    /// A sealed object stands in a plaintext store: it belongs to another store.
    Encrypted,
    /// The object names a data key that this keyset does not hold: read the newest keyset.
    UnknownDataKey,
    /// The object's data key was destroyed on purpose: the object is gone for good.
    DestroyedDataKey,
    /// The bytes are not what was written at this place: damaged, moved, replaced or truncated.
    Damaged,
    /// The record or object was written by a newer format.
    UnsupportedVersion {
        /// The version the bytes name.
        found: u8,
        /// The newest version this build reads.
        supported: u8,
    },
    /// A key or passphrase file has no valid content.
    InvalidKeyFile,
    /// Others than its owner may read a key or passphrase file, or it belongs to another user.
    KeyFilePermissions,
    /// A key or passphrase file could not be read or written.
    Io,
    /// A size, count or cost is over what this crate accepts.
    Limit,
    /// The request cannot be carried out on this keyset, such as removing its last slot.
    InvalidRequest,
    /// The key provider did not answer: try again later.
    ProviderUnavailable,
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

    /// Returns one line that says what to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.hint.unwrap_or(match self.kind {
            ErrorKind::WrongKey => "give the key or passphrase that this store was created with or last rotated to",
            ErrorKind::MissingKey => "give the store's key file or passphrase",
            ErrorKind::NotEncrypted => {
                "if this store was ever encrypted, its root record was replaced: write nothing and restore a backup; use \
                 no key only where you know that the store was made plaintext"
            }
            ErrorKind::Encrypted => "check that the object comes from this store; verify and repair it",
            ErrorKind::UnknownDataKey => "read the newest keyset, or check that the object belongs to this store",
            ErrorKind::DestroyedDataKey => "restore the object from an export made before its key was destroyed",
            ErrorKind::Damaged => "verify the store, then repair it or restore a backup",
            ErrorKind::UnsupportedVersion { .. } => "upgrade this software to read the newer format",
            ErrorKind::InvalidKeyFile => "give a file made by key generation, or a passphrase file that is not empty",
            ErrorKind::KeyFilePermissions => "make the file your own and readable by its owner only (chown, chmod 600)",
            ErrorKind::Io => "check the path and its permissions",
            ErrorKind::Limit => "use smaller objects or settings within the documented limits",
            ErrorKind::InvalidRequest => "change the request as the message says",
            ErrorKind::ProviderUnavailable => "check the key provider, then try again",
        })
    }

    pub(crate) fn damaged(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Damaged, format!("{what} is not what was written at this place"))
    }

    pub(crate) fn unsupported(what: &str, found: u8, supported: u8) -> Self {
        Self::new(
            ErrorKind::UnsupportedVersion { found, supported },
            format!("{what} has format version {found}, and this build reads up to {supported}"),
        )
    }

    pub(crate) fn wrong_key() -> Self {
        Self::new(ErrorKind::WrongKey, "wrong key")
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
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
