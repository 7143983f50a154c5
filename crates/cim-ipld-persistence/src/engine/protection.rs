use cim_ipld_envelope::{EncryptionAlgorithm, KeySource};

use crate::{Error, ErrorKind, Result};

/// Whether and how a new index is encrypted.
///
/// ```
/// use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey};
/// use cim_ipld_persistence::Protection;
///
/// let key = EncryptionKey::generate(EncryptionAlgorithm::ChaCha20Poly1305);
/// let protection = Protection::of(Some(key.into()), None)?;
/// let Protection::Encrypted { algorithm, .. } = protection else { unreachable!("there is a key") };
/// assert_eq!(algorithm, EncryptionAlgorithm::ChaCha20Poly1305);
/// # Ok::<(), cim_ipld_persistence::Error>(())
/// ```
#[non_exhaustive]
pub enum Protection {
    /// Every object is encrypted with `algorithm`, under data keys that `key` opens.
    Encrypted {
        /// The algorithm that encrypts the objects.
        algorithm: EncryptionAlgorithm,
        /// The key that opens the data keys.
        key: KeySource,
    },
    /// Nothing is encrypted. Objects are still checked for damage and for being stored under the
    /// right name.
    Plaintext,
}

impl Protection {
    /// Returns the protection for an optional key and algorithm: plaintext without a key; otherwise
    /// encryption with `algorithm`, which defaults to the algorithm of the key, and to AES-256-GCM
    /// for a key source that has none.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an algorithm without a key.
    pub fn of(key: Option<KeySource>, algorithm: Option<EncryptionAlgorithm>) -> Result<Self> {
        let Some(key) = key else {
            let message = "an encryption algorithm was given without a key: give a key, or no algorithm";
            return match algorithm {
                Some(_) => Err(Error::new(ErrorKind::InvalidInput, message)),
                None => Ok(Self::Plaintext),
            };
        };
        let own = match &key {
            KeySource::Key(key) => key.algorithm(),
            _ => EncryptionAlgorithm::AES256GCM,
        };
        Ok(Self::Encrypted { algorithm: algorithm.unwrap_or(own), key })
    }
}
