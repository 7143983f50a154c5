//! The construction that seals every record and object: a salted subkey, a commitment, then the
//! cipher.
//!
//! ```text
//! h          = SHA-256(context)
//! okm        = HKDF-Expand(root, "cim/v1" | suite | salt | h, 64)
//! key        = okm[0..32]     commitment = okm[32..64]     nonce = salt[0..nonce length]
//! ciphertext = AEAD(key, nonce, associated data = h, plaintext)
//! ```
//!
//! The salt is fresh randomness for every sealing, so every key seals exactly one message, without
//! a counter that would have to survive a crash. The nonce can therefore be taken from the salt.
//! The commitment is a collision-resistant function of root, suite, salt and context: a ciphertext
//! that can be opened under two keys or in two contexts would be a collision in HMAC-SHA-256.

#[cfg(test)]
mod release;
#[cfg(test)]
mod two_keys;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::primitives::aead::{self, TAG_BYTES};
use crate::primitives::hash::Hash;
use crate::primitives::hkdf;
use crate::secret::Secret;
use crate::{EncryptionAlgorithm, random};

pub(crate) const SALT_BYTES: usize = 24;
pub(crate) const COMMITMENT_BYTES: usize = 32;

/// The size of salt, commitment and tag in a sealed blob.
pub(crate) const BLOB_OVERHEAD_BYTES: usize = SALT_BYTES + COMMITMENT_BYTES + TAG_BYTES;

pub(crate) type Salt = [u8; SALT_BYTES];
pub(crate) type Commitment = [u8; COMMITMENT_BYTES];
pub(crate) type Tag = [u8; TAG_BYTES];

/// Why sealed bytes could not be opened. No plaintext is released in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// A different key or context, or a changed salt or commitment.
    Commitment,
    /// The right key and context, but changed bytes.
    Tag,
}

/// The inputs of a sealing: root, cipher, and hash of the context.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) root: &'a Secret,
    pub(crate) algorithm: EncryptionAlgorithm,
    pub(crate) context: &'a Hash,
}

impl Place<'_> {
    /// Encrypts `buffer` in place. `salt` must be fresh randomness.
    pub(crate) fn seal_in_place(&self, salt: &Salt, buffer: &mut [u8]) -> (Commitment, Tag) {
        let derived = self.derive(salt);
        let tag = aead::seal(self.algorithm, derived.key(), self.nonce(salt), self.context, buffer);
        (*derived.commitment(), tag)
    }

    /// Checks the commitment, then the tag, then decrypts `buffer` in place. Zeroizes `buffer` if
    /// the tag does not match.
    pub(crate) fn open_in_place(
        &self,
        salt: &Salt,
        commitment: &Commitment,
        buffer: &mut [u8],
        tag: &Tag,
    ) -> Result<(), Mismatch> {
        let derived = self.derive(salt);
        if !bool::from(derived.commitment().ct_eq(commitment)) {
            return Err(Mismatch::Commitment);
        }
        aead::open(self.algorithm, derived.key(), self.nonce(salt), self.context, buffer, tag)
            .map_err(|aead::TagMismatch| Mismatch::Tag)
    }

    /// Seals into `salt | commitment | ciphertext | tag`, appended to `out`.
    pub(crate) fn seal_blob(&self, plaintext: &[u8], out: &mut Vec<u8>) {
        let salt: Salt = random();
        out.reserve(plaintext.len() + BLOB_OVERHEAD_BYTES);
        out.extend_from_slice(&salt);
        let commitment_at = out.len();
        out.extend_from_slice(&[0; COMMITMENT_BYTES]);
        let body_at = out.len();
        out.extend_from_slice(plaintext);
        let (commitment, tag) = self.seal_in_place(&salt, &mut out[body_at..]);
        out[commitment_at..body_at].copy_from_slice(&commitment);
        out.extend_from_slice(&tag);
    }

    /// Opens a blob from [`seal_blob`](Self::seal_blob).
    pub(crate) fn open_blob(&self, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, Mismatch> {
        let (salt, rest) = blob.split_first_chunk::<SALT_BYTES>().ok_or(Mismatch::Tag)?;
        let (commitment, rest) = rest.split_first_chunk::<COMMITMENT_BYTES>().ok_or(Mismatch::Tag)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(Mismatch::Tag)?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        self.open_in_place(salt, commitment, &mut plaintext, tag)?;
        Ok(plaintext)
    }

    fn derive(&self, salt: &Salt) -> Derived {
        let mut okm = Zeroizing::new([0; OKM_BYTES]);
        let info: [&[u8]; 4] = [b"cim/v1", &[self.algorithm.suite()], salt, self.context];
        hkdf::expand(self.root.as_bytes(), &info, &mut *okm);
        Derived(okm)
    }

    fn nonce<'s>(&self, salt: &'s Salt) -> &'s [u8] {
        &salt[..self.algorithm.nonce_bytes()]
    }
}

const OKM_BYTES: usize = 64;

/// Output keying material: key, commitment.
struct Derived(Zeroizing<[u8; OKM_BYTES]>);

impl Derived {
    fn key(&self) -> &[u8; 32] {
        self.0[..32].try_into().expect("32 bytes")
    }

    fn commitment(&self) -> &Commitment {
        self.0[32..].try_into().expect("32 bytes")
    }
}
