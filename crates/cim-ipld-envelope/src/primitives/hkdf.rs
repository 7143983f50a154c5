//! HKDF with SHA-256 (RFC 5869).

use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use crate::secret::Secret;

/// HKDF-Extract, then HKDF-Expand to 32 bytes. `salt` identifies the purpose, so that one secret
/// serves several purposes independently.
pub(crate) fn derive_secret(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Secret {
    let pseudorandom_key = extract(salt, secret);
    Secret::fill_with(|out| fill(&pseudorandom_key, info, out))
}

/// HKDF-Expand. `pseudorandom_key` must be 32 uniformly random bytes, from HKDF itself or from a
/// random generator.
pub(crate) fn expand(pseudorandom_key: &[u8; 32], info: &[&[u8]], out: &mut [u8]) {
    fill(&Prk::new_less_safe(HKDF_SHA256, pseudorandom_key), info, out);
}

#[cfg(test)]
pub(crate) fn extract_and_expand(salt: &[u8], secret: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), Unspecified> {
    try_fill(&extract(salt, secret), &[info], out)
}

fn extract(salt: &[u8], secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, salt).extract(secret)
}

fn fill(pseudorandom_key: &Prk, info: &[&[u8]], out: &mut [u8]) {
    try_fill(pseudorandom_key, info, out).expect("RFC 5869 allows up to 255 * 32 bytes, and no caller needs more");
}

fn try_fill(pseudorandom_key: &Prk, info: &[&[u8]], out: &mut [u8]) -> Result<(), Unspecified> {
    pseudorandom_key.expand(info, Length(out.len()))?.fill(out)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
