use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, ErrorKind, Result};

/// An authenticated encryption algorithm.
///
/// ```
/// use cim_ipld_envelope::EncryptionAlgorithm;
///
/// let algorithm: EncryptionAlgorithm = "chacha20-poly1305".parse()?;
/// assert_eq!(algorithm, EncryptionAlgorithm::ChaCha20Poly1305);
/// assert_eq!(algorithm.to_string(), "chacha20-poly1305");
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncryptionAlgorithm {
    /// AES-256 in Galois/Counter Mode, NIST SP 800-38D: the fastest on processors with AES
    /// instructions.
    AES256GCM,
    /// ChaCha20-Poly1305, RFC 8439: fast and constant-time on every processor.
    ChaCha20Poly1305,
    /// XChaCha20-Poly1305, draft-irtf-cfrg-xchacha: ChaCha20-Poly1305 with a 192-bit nonce.
    XChaCha20Poly1305,
}

impl EncryptionAlgorithm {
    /// All algorithms, in the order of their suite numbers.
    pub const ALL: [Self; 3] = [Self::AES256GCM, Self::ChaCha20Poly1305, Self::XChaCha20Poly1305];

    /// Returns the name that [`FromStr`] parses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AES256GCM => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
        }
    }

    /// Returns the suite number in records and objects; 0 is the plaintext suite.
    pub(crate) const fn suite(self) -> u8 {
        match self {
            Self::AES256GCM => 1,
            Self::ChaCha20Poly1305 => 2,
            Self::XChaCha20Poly1305 => 3,
        }
    }

    pub(crate) fn from_suite(suite: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.suite() == suite)
    }

    pub(crate) const fn nonce_bytes(self) -> usize {
        match self {
            Self::AES256GCM | Self::ChaCha20Poly1305 => 12,
            Self::XChaCha20Poly1305 => 24,
        }
    }
}

impl fmt::Display for EncryptionAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EncryptionAlgorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                "unknown encryption algorithm: expected aes-256-gcm, chacha20-poly1305 or xchacha20-poly1305",
            )
        })
    }
}

impl Serialize for EncryptionAlgorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EncryptionAlgorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}
