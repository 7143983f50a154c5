use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::{Argon2Profile, EncryptionKey, Passphrase};

/// What opens a keyset: a key-encryption key, or a way to obtain it.
///
/// ```
/// use cim_ipld_envelope::{Argon2Profile, EncryptionAlgorithm, EncryptionKey, KeySource, Passphrase};
///
/// let key = KeySource::from(EncryptionKey::generate(EncryptionAlgorithm::AES256GCM));
/// let passphrase = Passphrase::new("correct horse battery staple")?;
/// let slower = KeySource::Passphrase(passphrase, Argon2Profile::new(128 * 1024, 4, 4)?);
/// assert_eq!(format!("{slower:?}"), "KeySource::Passphrase(..)");
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
#[non_exhaustive]
pub enum KeySource {
    /// A 256-bit key from a key file or a key store.
    Key(EncryptionKey),
    /// A passphrase, and the cost of deriving a key from it when a slot is created.
    Passphrase(Passphrase, Argon2Profile),
    /// A hardware security module or key management service that does not disclose its key.
    Provider(Arc<dyn KeyProvider>),
}

impl KeySource {
    /// Returns a copy.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Key(key) => Self::Key(key.duplicate()),
            Self::Passphrase(passphrase, profile) => Self::Passphrase(passphrase.duplicate(), *profile),
            Self::Provider(provider) => Self::Provider(Arc::clone(provider)),
        }
    }
}

impl From<EncryptionKey> for KeySource {
    fn from(key: EncryptionKey) -> Self {
        Self::Key(key)
    }
}

impl From<Passphrase> for KeySource {
    fn from(passphrase: Passphrase) -> Self {
        Self::Passphrase(passphrase, Argon2Profile::default())
    }
}

impl From<Arc<dyn KeyProvider>> for KeySource {
    fn from(provider: Arc<dyn KeyProvider>) -> Self {
        Self::Provider(provider)
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "KeySource::{key:?}"),
            Self::Passphrase(..) => f.write_str("KeySource::Passphrase(..)"),
            Self::Provider(provider) => write!(f, "KeySource::Provider({:?})", provider.name()),
        }
    }
}

/// A hardware security module or key management service that wraps 32-byte keys under a key that it
/// does not disclose.
///
/// Each slot of a provider contains a random key-encryption key, wrapped by the provider. The
/// provider is called when one of its slots is created, and when a keyset is opened, for each slot
/// with its name until one opens; never per object.
///
/// ```
/// use async_trait::async_trait;
/// use cim_ipld_envelope::{ContentEncryption, EncryptedData, EncryptionKey, KeyProvider, ProviderError, Zeroizing};
///
/// /// A provider whose key is in the memory of this process.
/// struct Local(EncryptionKey);
///
/// #[async_trait]
/// impl KeyProvider for Local {
///     fn name(&self) -> &str {
///         "local"
///     }
///
///     async fn wrap(&self, key: &[u8; 32], associated: &[u8]) -> Result<Vec<u8>, ProviderError> {
///         let sealed = ContentEncryption::encrypt(&self.0, key, associated).map_err(ProviderError::refused)?;
///         Ok(sealed.to_bytes())
///     }
///
///     async fn unwrap(&self, wrapped: &[u8], associated: &[u8]) -> Result<Zeroizing<[u8; 32]>, ProviderError> {
///         let sealed = EncryptedData::from_bytes(wrapped).map_err(ProviderError::refused)?;
///         let key = ContentEncryption::decrypt(&self.0, &sealed, associated).map_err(ProviderError::refused)?;
///         // Zeroized on drop, like the returned copy.
///         let key = Zeroizing::new(key);
///         key.as_slice().try_into().map(Zeroizing::new).map_err(ProviderError::refused)
///     }
/// }
/// ```
#[async_trait]
pub trait KeyProvider: Send + Sync {
    /// Returns the name that identifies the slots of this provider: 1 to 64 bytes, stored
    /// unencrypted.
    ///
    /// ```
    /// use cim_ipld_envelope::{KeyProvider, ProviderError};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/local_provider.rs"));
    ///
    /// # fn main() {
    /// let provider = Local::generate(); // the provider above, with a new key
    /// assert_eq!(provider.name(), "local");
    /// # }
    /// ```
    fn name(&self) -> &str;

    /// Wraps `key` and authenticates `associated` with it. The result has at most 4096 bytes.
    ///
    /// ```
    /// use cim_ipld_envelope::{KeyProvider, ProviderError};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/local_provider.rs"));
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ProviderError> {
    /// let provider = Local::generate(); // the provider above, with a new key
    /// let wrapped = provider.wrap(&[7; 32], b"slot 1").await?;
    /// assert!(wrapped.len() <= 4096);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ProviderError::Unavailable`] if trying again later may help, otherwise
    /// [`ProviderError::Refused`].
    async fn wrap(&self, key: &[u8; 32], associated: &[u8]) -> Result<Vec<u8>, ProviderError>;

    /// Unwraps a key from [`wrap`](Self::wrap), given the same `associated` bytes.
    ///
    /// ```
    /// use cim_ipld_envelope::{KeyProvider, ProviderError};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/local_provider.rs"));
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ProviderError> {
    /// let provider = Local::generate(); // the provider above, with a new key
    /// let wrapped = provider.wrap(&[7; 32], b"slot 1").await?;
    /// assert_eq!(*provider.unwrap(&wrapped, b"slot 1").await?, [7; 32]);
    /// let refused = provider.unwrap(&wrapped, b"slot 2").await.unwrap_err();
    /// assert!(matches!(refused, ProviderError::Refused(_)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ProviderError::Unavailable`] if trying again later may help, otherwise
    /// [`ProviderError::Refused`].
    async fn unwrap(&self, wrapped: &[u8], associated: &[u8]) -> Result<Zeroizing<[u8; 32]>, ProviderError>;
}

/// An error from a [`KeyProvider`].
///
/// ```
/// use cim_ipld_envelope::ProviderError;
///
/// let error = ProviderError::unavailable("connection refused");
/// assert_eq!(error.to_string(), "the key provider did not respond");
/// assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "connection refused");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ProviderError {
    /// The provider did not respond. Try again later.
    Unavailable(Box<dyn StdError + Send + Sync>),
    /// The provider refused: a different key, no permission, or bytes that it did not wrap.
    Refused(Box<dyn StdError + Send + Sync>),
}

impl ProviderError {
    /// Creates the error for a provider that did not respond.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }

    /// Creates the error for a provider that refused.
    pub fn refused(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Refused(source.into())
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable(_) => "the key provider did not respond",
            Self::Refused(_) => "the key provider refused",
        })
    }
}

impl StdError for ProviderError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unavailable(source) | Self::Refused(source) => Some(source.as_ref()),
        }
    }
}
