//! SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104).

use ring::{digest, hmac};

pub(crate) const HASH_BYTES: usize = 32;

pub(crate) type Hash = [u8; HASH_BYTES];

/// Hashes the concatenation of `parts`. The caller's encoding of the parts must be injective.
pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// Authenticates the concatenation of `parts`. The caller's encoding of the parts must be injective.
pub(crate) fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> Hash {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().try_into().expect("HMAC-SHA-256 gives 32 bytes")
}
