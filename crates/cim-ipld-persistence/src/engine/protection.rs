//! What protects a new index.

use cim_ipld_envelope::{EncryptionAlgorithm, KeySource};

use crate::{Error, ErrorKind, Result};

/// How a new index is to be protected.
#[non_exhaustive]
pub enum Protection {
    /// Everything is sealed under data keys of `algorithm`, which `key` opens.
    Encrypted {
        /// What seals the objects.
        algorithm: EncryptionAlgorithm,
        /// What opens the data keys.
        key: KeySource,
    },
    /// Nothing is encrypted; objects are still checked for damage and for standing in the right
    /// place.
    Plaintext,
}

impl Protection {
    /// Returns the protection that `key` gives: sealed by `algorithm`, or by the key's own where
    /// none is chosen, or by AES-256-GCM where the key has none; plaintext without a key.
    ///
    /// # Errors
    /// `InvalidInput` for an algorithm without a key.
    pub fn of(key: Option<KeySource>, algorithm: Option<EncryptionAlgorithm>) -> Result<Self> {
        let Some(key) = key else {
            let message = "an algorithm was chosen for the index, and no key was given";
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
