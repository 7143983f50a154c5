use std::fmt;
use std::path::Path;

use crate::key_file::{self, KeyFile};
use crate::primitives::hkdf;
use crate::secret::Secret;
use crate::{EncryptionAlgorithm, FileAccess, Result};

/// A symmetric key of 256 bits with the algorithm it is for. Its memory is wiped when it is
/// dropped.
///
/// There is no `Clone`, no `Serialize` and no `Debug` that shows it: [`duplicate`](Self::duplicate)
/// and [`write_file`](Self::write_file) say in the code where a key gets a second home.
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
    /// Generates a key from the system's randomness.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give, as [`random`](crate::random) does.
    #[must_use]
    pub fn generate(algorithm: EncryptionAlgorithm) -> Self {
        Self { algorithm, secret: Secret::random() }
    }

    /// Makes a key from 32 bytes that a key store or another derivation gave. The caller wipes its
    /// own copy.
    ///
    /// The bytes must be uniformly random; text that a person chose belongs in a
    /// [`Passphrase`](crate::Passphrase).
    #[must_use]
    pub fn from_bytes(algorithm: EncryptionAlgorithm, mut bytes: [u8; 32]) -> Self {
        Self { algorithm, secret: Secret::take(&mut bytes) }
    }

    /// Returns the algorithm that the key is for.
    #[must_use]
    pub fn algorithm(&self) -> EncryptionAlgorithm {
        self.algorithm
    }

    /// Derives an independent key for the purpose that `info` names, with HKDF-SHA-256 (RFC 5869).
    ///
    /// Derivation is one-way: the derived key tells nothing about this one, nor about keys of other
    /// purposes.
    #[must_use]
    pub fn derive(&self, info: &[u8]) -> Self {
        let secret = hkdf::derive_secret(b"cim/v1/derive", self.secret.as_bytes(), &[&[self.algorithm.suite()], info]);
        Self { algorithm: self.algorithm, secret }
    }

    /// Makes a second copy, on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { algorithm: self.algorithm, secret: self.secret.duplicate() }
    }

    /// Reads a key file that [`write_file`](Self::write_file) made. Blank lines, spaces, lines that
    /// begin with `#` and a byte order mark are passed over.
    ///
    /// # Errors
    ///
    /// [`KeyFilePermissions`](crate::ErrorKind::KeyFilePermissions) when others than the owner may
    /// read it or it is another user's (Unix), [`InvalidKeyFile`](crate::ErrorKind::InvalidKeyFile)
    /// when it holds no key, [`Io`](crate::ErrorKind::Io) when it cannot be read.
    pub fn read_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_file_as(path, FileAccess::OwnerOnly)
    }

    /// Reads a key file that others may read as far as `access` says.
    ///
    /// # Errors
    ///
    /// As for [`read_file`](Self::read_file).
    pub fn read_file_as(path: impl AsRef<Path>, access: FileAccess) -> Result<Self> {
        let KeyFile { algorithm, secret } = key_file::read_key(path.as_ref(), access)?;
        Ok(Self { algorithm, secret })
    }

    /// Writes the key to a new file that only its owner can read, and syncs it to disk.
    ///
    /// The file is one line of text: `cim-key-v1:ALGORITHM:64 hexadecimal digits`.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) when the file exists already or cannot be written.
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
