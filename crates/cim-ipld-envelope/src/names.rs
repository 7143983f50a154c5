use crate::primitives::hash::{Hash, hmac_sha256};
use crate::secret::Secret;

/// Pseudorandom object names, computed from one secret.
///
/// The cim-ipld engine, for example, stores one 32-byte secret for each segment (a set of pages) in
/// its sealed manifest, instead of the name of every page. Without the secret, the names cannot be
/// linked to each other or to what they identify.
///
/// ```
/// use cim_ipld_envelope::ObjectNames;
///
/// let names = ObjectNames::from_secret([7; 32]);
/// assert_eq!(names.name(1, 0), names.name(1, 0));
/// assert_ne!(names.name(1, 0), names.name(1, 1));
/// assert_eq!(names.name(1, 0).len(), 32);
/// ```
#[derive(Debug)]
pub struct ObjectNames(Secret);

impl ObjectNames {
    /// Generates a new secret.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::random())
    }

    /// Creates an instance that computes the same names as the instance with this `secret`.
    #[must_use]
    pub fn from_secret(mut secret: [u8; 32]) -> Self {
        Self(Secret::take(&mut secret))
    }

    /// Returns the secret, for storing it in a sealed object.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Returns the name of object number `ordinal` of `class`, both of which the caller assigns: 32
    /// characters of `a-z2-7`, the base-32 encoding of the first 160 bits of HMAC-SHA-256(secret,
    /// "cim/v1/name" | class | ordinal in 4 bytes, little-endian).
    #[must_use]
    pub fn name(&self, class: u8, ordinal: u32) -> String {
        let mac = hmac_sha256(self.0.as_bytes(), &[b"cim/v1/name", &[class], &ordinal.to_le_bytes()]);
        base32(&mac)
    }

    /// Returns a name for `text` that does not reveal the text. It is encoded like
    /// [`name`](Self::name), but from HMAC-SHA-256(secret, "cim/v1/text-name" | text), and never
    /// equals the name of a class and ordinal.
    #[must_use]
    pub fn name_of(&self, text: &str) -> String {
        base32(&hmac_sha256(self.0.as_bytes(), &[b"cim/v1/text-name", text.as_bytes()]))
    }
}

/// RFC 4648 base 32, in lower case, of the first 20 bytes, which need no padding.
fn base32(mac: &Hash) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut name = String::with_capacity(32);
    for group in mac[..20].chunks_exact(5) {
        let bits = group.iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
        for shift in (0..8).rev() {
            name.push(ALPHABET[(bits >> (shift * 5) & 31) as usize].into());
        }
    }
    name
}
