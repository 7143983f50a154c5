use std::error::Error as StdError;
use std::fmt;

/// The result of an envelope operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: a [`kind`](Error::kind) for the program to act on, a message of one line, and a
/// [`hint`](Error::hint) that describes what a person can do.
///
/// No message contains plaintext, key material, or anything that distinguishes one wrong key from
/// another.
///
/// ```
/// use cim_ipld_envelope::{ContentEncryption, EncryptionAlgorithm, ErrorKind};
///
/// let key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
/// let other = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
/// let sealed = ContentEncryption::encrypt(&key, b"secret", b"")?;
/// let error = ContentEncryption::decrypt(&other, &sealed, b"").unwrap_err();
/// assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::WrongKey, "wrong key"));
/// assert!(error.hint().contains("key or passphrase"));
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kind of an envelope error, which determines what the caller can do about it.
///
/// ```
/// use cim_ipld_envelope::{Envelope, ErrorKind, IndexId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_envelope::Error> {
/// let mut newer = Envelope::plaintext(IndexId::random()).root_record().to_vec();
/// newer[4] = 200;
/// let refused = Envelope::open_root(&newer, None).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::UnsupportedVersion { found: 200, supported: 1 });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key, passphrase or provider opens none of the slots of the keyset, or the provider
    /// refused to wrap a key; or a keyset record, value or wrapper was sealed with a different key
    /// or different associated data. Use the right key.
    WrongKey,
    /// The store is encrypted, but no key was given. Provide a key.
    MissingKey,
    /// A key was given, but the root record declares a plaintext store. If the store was ever
    /// encrypted, its record was replaced, and retrying without the key would complete a downgrade
    /// attack.
    NotEncrypted,
    /// An encrypted object was found in a plaintext store. It belongs to another store.
    Encrypted,
    /// The object refers to a data key that this keyset does not contain. Read the newest keyset.
    UnknownDataKey,
    /// The data key of the object was destroyed deliberately. The object cannot be recovered.
    DestroyedDataKey,
    /// The bytes are not those written at this location: they are damaged, moved, replaced or
    /// truncated.
    Damaged,
    /// The record or object was written in a newer format.
    UnsupportedVersion {
        /// The version of the bytes.
        found: u8,
        /// The newest version that this build reads.
        supported: u8,
    },
    /// A key or passphrase file has no valid content.
    InvalidKeyFile,
    /// Users other than the owner can access a key or passphrase file, or the file belongs to
    /// another user.
    KeyFilePermissions,
    /// A key or passphrase file could not be read or written.
    Io,
    /// A size, count or cost exceeds what this crate accepts.
    Limit,
    /// The request or an argument is invalid, for example the removal of the last slot of a keyset,
    /// or the text of an id.
    InvalidRequest,
    /// The key provider did not respond. Try again later.
    ProviderUnavailable,
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

    /// Returns one line that describes what a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.hint.unwrap_or(match self.kind {
            ErrorKind::WrongKey => {
                "use the current key or passphrase of this store, set when it was created or last changed"
            }
            ErrorKind::MissingKey => "provide the key file or passphrase of the store",
            ErrorKind::NotEncrypted => {
                "if this store was ever encrypted, its root record was replaced: write nothing and restore a backup; \
                 omit the key only if you know that the store was created as plaintext"
            }
            ErrorKind::Encrypted => "check that the object comes from this store, then verify and repair the store",
            ErrorKind::UnknownDataKey => "read the newest keyset, or check that the object belongs to this store",
            ErrorKind::DestroyedDataKey => "restore the object from an export made before its key was destroyed",
            ErrorKind::Damaged => "verify the store, then repair it or restore a backup",
            ErrorKind::UnsupportedVersion { .. } => "upgrade this software to read the newer format",
            ErrorKind::InvalidKeyFile => "use a file created by key generation, or a passphrase file that is not empty",
            ErrorKind::KeyFilePermissions => {
                "make yourself the owner of the file and restrict it to its owner (chown, chmod 600)"
            }
            ErrorKind::Io => "check the path and its permissions",
            ErrorKind::Limit => "use smaller objects or settings within the documented limits",
            ErrorKind::InvalidRequest => "correct the request as the message describes",
            ErrorKind::ProviderUnavailable => "check the key provider, then try again",
        })
    }

    pub(crate) fn damaged(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Damaged, format!("{what} is damaged or belongs to another location"))
    }

    pub(crate) fn unsupported(what: &str, found: u8, supported: u8) -> Self {
        Self::new(
            ErrorKind::UnsupportedVersion { found, supported },
            format!("{what} has format version {found}, but this build reads only up to {supported}"),
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
