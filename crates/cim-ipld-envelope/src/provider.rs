use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::{Argon2Profile, EncryptionKey, Passphrase};

/// What opens a keyset: the key-encryption key itself, or the way to it.
#[non_exhaustive]
pub enum KeySource {
    /// A key of 256 bits, from a key file or a key store.
    Key(EncryptionKey),
    /// A passphrase, and the cost of deriving a key from it when a slot is made.
    Passphrase(Passphrase, Argon2Profile),
    /// A hardware module or key service that keeps the key to itself.
    Provider(Arc<dyn KeyProvider>),
}

impl KeySource {
    /// Makes a second copy, on purpose.
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

/// A hardware security module or key management service that wraps 32-byte keys under a key it
/// keeps to itself.
///
/// Each slot of a provider holds a random key-encryption key of its own, wrapped; the provider is
/// asked once per opening of a keyset, never per object.
///
/// ```
/// use async_trait::async_trait;
/// use cim_ipld_envelope::{ContentEncryption, EncryptedData, EncryptionKey, KeyProvider, ProviderError, Zeroizing};
///
/// /// A provider whose key happens to live in this process.
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
///         // Wiped when dropped, as the copy that is returned.
///         let key = Zeroizing::new(key);
///         key.as_slice().try_into().map(Zeroizing::new).map_err(ProviderError::refused)
///     }
/// }
/// ```
#[async_trait]
pub trait KeyProvider: Send + Sync {
    /// Returns the name that tells this provider's slots from those of others: up to 64 bytes,
    /// stored in clear.
    fn name(&self) -> &str;

    /// Wraps `key`, bound to `associated`. The result is at most 4096 bytes.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Unavailable`] when trying again later may help, else
    /// [`ProviderError::Refused`].
    async fn wrap(&self, key: &[u8; 32], associated: &[u8]) -> Result<Vec<u8>, ProviderError>;

    /// Unwraps what [`wrap`](Self::wrap) gave for the same `associated` bytes.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Unavailable`] when trying again later may help, else
    /// [`ProviderError::Refused`].
    async fn unwrap(&self, wrapped: &[u8], associated: &[u8]) -> Result<Zeroizing<[u8; 32]>, ProviderError>;
}

/// Why a [`KeyProvider`] gave no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProviderError {
    /// It did not answer: try again later.
    Unavailable(Box<dyn StdError + Send + Sync>),
    /// It answered no: another key, no permission, or bytes it did not wrap.
    Refused(Box<dyn StdError + Send + Sync>),
}

impl ProviderError {
    /// Makes the error of a provider that did not answer.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }

    /// Makes the error of a provider that answered no.
    pub fn refused(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Refused(source.into())
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable(_) => "the key provider did not answer",
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
