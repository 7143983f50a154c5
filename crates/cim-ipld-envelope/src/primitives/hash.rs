//! SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104).

use ring::{digest, hmac};

pub(crate) const HASH_BYTES: usize = 32;

pub(crate) type Hash = [u8; HASH_BYTES];

/// Returns the SHA-256 (FIPS 180-4) of `content`, the digest that a sha2-256 CID of the content
/// contains, so that every IPFS tool can check it. For digests with other purposes use
/// [`labelled_hash`].
///
/// ```
/// use cim_ipld_envelope::content_sha256;
///
/// assert_eq!(content_sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
/// ```
#[must_use]
pub fn content_sha256(content: &[u8]) -> [u8; 32] {
    sha256(&[content])
}

/// Hashes the concatenation of `parts`. The caller's encoding of the parts must be injective.
pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// Returns the SHA-256 of `label` and `parts`, each preceded by its length in 8 bytes,
/// little-endian. The encoding is injective over labels and lists of parts.
///
/// Used for digests outside this crate, each use with a label of its own for domain separation.
///
/// ```
/// use cim_ipld_envelope::labelled_hash;
///
/// let hash = labelled_hash("example", &[b"ab", b"c"]);
/// assert_ne!(hash, labelled_hash("example", &[b"a", b"bc"]));
/// assert_ne!(hash, labelled_hash("another", &[b"ab", b"c"]));
/// ```
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "SHA-256 gives 32 bytes")]
pub fn labelled_hash(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    let prefixed = [label.as_bytes()].into_iter().chain(parts.iter().copied());
    for part in prefixed {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// Authenticates the concatenation of `parts`. The caller's encoding of the parts must be
/// injective.
pub(crate) fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> Hash {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().try_into().expect("HMAC-SHA-256 gives 32 bytes")
}
