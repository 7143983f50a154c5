use std::fmt;
use std::path::Path;

use crate::key_file::{self, KeyFile};
use crate::primitives::hkdf;
use crate::secret::Secret;
use crate::{EncryptionAlgorithm, FileAccess, Result};

/// A symmetric 256-bit key and the algorithm for which it is used. Its memory is zeroized on drop.
///
/// The type implements neither `Clone` nor `Serialize`, and its `Debug` output does not show the
/// key. Copies are explicit: [`duplicate`](Self::duplicate) and [`write_file`](Self::write_file).
///
/// ```
/// use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey};
///
/// let key = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM);
/// assert_eq!(key.algorithm(), EncryptionAlgorithm::AES256GCM);
/// assert_eq!(format!("{key:?}"), "EncryptionKey(aes-256-gcm, ..)");
/// ```
pub struct EncryptionKey {
    algorithm: EncryptionAlgorithm,
    secret: Secret,
}

impl EncryptionKey {
    /// Generates a key from the randomness of the operating system.
    ///
    /// # Panics
    ///
    /// If the operating system cannot supply randomness, as for [`random`](crate::random).
    #[must_use]
    pub fn generate(algorithm: EncryptionAlgorithm) -> Self {
        Self { algorithm, secret: Secret::random() }
    }

    /// Creates a key from 32 bytes, such as from a key store or another derivation. The caller must
    /// zeroize its own copy.
    ///
    /// The bytes must be uniformly random. Use a [`Passphrase`](crate::Passphrase) for text chosen
    /// by a person.
    #[must_use]
    pub fn from_bytes(algorithm: EncryptionAlgorithm, mut bytes: [u8; 32]) -> Self {
        Self { algorithm, secret: Secret::take(&mut bytes) }
    }

    /// Returns the algorithm for which the key is used.
    #[must_use]
    pub fn algorithm(&self) -> EncryptionAlgorithm {
        self.algorithm
    }

    /// Derives an independent key for the purpose `info`, with HKDF-SHA-256 (RFC 5869).
    ///
    /// Derivation is one-way: the derived key reveals nothing about this key or about the keys for
    /// other purposes.
    #[must_use]
    pub fn derive(&self, info: &[u8]) -> Self {
        let secret = hkdf::derive_secret(b"cim/v1/derive", self.secret.as_bytes(), &[&[self.algorithm.suite()], info]);
        Self { algorithm: self.algorithm, secret }
    }

    /// Returns a copy of the key.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { algorithm: self.algorithm, secret: self.secret.duplicate() }
    }

    /// Reads a key file written by [`write_file`](Self::write_file). Blank lines, spaces at the
    /// beginning and end of a line, comment lines (`#`) and a byte order mark are ignored.
    ///
    /// ```
    /// use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("store.key");
    /// EncryptionKey::generate(EncryptionAlgorithm::AES256GCM).write_file(&path)?;
    /// let key = EncryptionKey::read_file(&path)?;
    /// assert_eq!(key.algorithm(), EncryptionAlgorithm::AES256GCM);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// * [`KeyFilePermissions`](crate::ErrorKind::KeyFilePermissions) if users other than the owner
    ///   have any access to it, or it belongs to another user (Unix).
    /// * [`InvalidKeyFile`](crate::ErrorKind::InvalidKeyFile) if it does not contain a key.
    /// * [`Io`](crate::ErrorKind::Io) if it cannot be read.
    pub fn read_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_file_as(path, FileAccess::OwnerOnly)
    }

    /// Reads a key file with the permissions that `access` allows.
    ///
    /// # Errors
    ///
    /// As for [`read_file`](Self::read_file), except that `access` decides whether the group may
    /// read the file.
    pub fn read_file_as(path: impl AsRef<Path>, access: FileAccess) -> Result<Self> {
        let KeyFile { algorithm, secret } = key_file::read_key(path.as_ref(), access)?;
        Ok(Self { algorithm, secret })
    }

    /// Writes the key to a new file that only its owner can access, and syncs it to disk.
    ///
    /// The file is one line of text: `cim-key-v1:ALGORITHM:64 hexadecimal digits`.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) if the file already exists or cannot be written.
    pub fn write_file(&self, path: impl AsRef<Path>) -> Result<()> {
        key_file::write_key(path.as_ref(), self.algorithm, &self.secret)
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKey({}, ..)", self.algorithm)
    }
}
