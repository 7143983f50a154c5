//! The three authenticated ciphers, sealing and opening in place.
//!
//! * AES-256-GCM: NIST SP 800-38D, on ring.
//! * ChaCha20-Poly1305: RFC 8439, on ring.
//! * XChaCha20-Poly1305: draft-irtf-cfrg-xchacha-03, as HChaCha20 in front of ring's
//!   ChaCha20-Poly1305.
//!
//! Precondition of all functions: a (key, nonce) pair seals only one message.

use chacha20::{R20, hchacha};
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use crate::EncryptionAlgorithm;

pub(crate) const KEY_BYTES: usize = 32;
pub(crate) const TAG_BYTES: usize = 16;

/// The tag did not match. The buffer was zeroized, and no plaintext was released.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TagMismatch;

/// Encrypts `buffer` in place and returns the tag.
///
/// `nonce` must have the length that the algorithm requires: 12 bytes, or 24 for
/// XChaCha20-Poly1305.
pub(crate) fn seal(
    algorithm: EncryptionAlgorithm,
    key: &[u8; KEY_BYTES],
    nonce: &[u8],
    associated: &[u8],
    buffer: &mut [u8],
) -> [u8; TAG_BYTES] {
    let (key, nonce) = prepare(algorithm, key, nonce);
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::from(associated), buffer)
        .expect("objects are far below the ciphers' message limits");
    tag.as_ref().try_into().expect("the tag has 16 bytes")
}

/// Checks the tag and decrypts `buffer` in place. Zeroizes `buffer` if the tag does not match.
///
/// `nonce` must have the length that the algorithm requires: 12 bytes, or 24 for
/// XChaCha20-Poly1305.
pub(crate) fn open(
    algorithm: EncryptionAlgorithm,
    key: &[u8; KEY_BYTES],
    nonce: &[u8],
    associated: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), TagMismatch> {
    let (key, nonce) = prepare(algorithm, key, nonce);
    let opened = key.open_in_place_separate_tag(nonce, Aad::from(associated), Tag::from(*tag), buffer, 0..).is_ok();
    if opened {
        Ok(())
    } else {
        // ring leaves the contents of the buffer unspecified; they could be the plaintext of a
        // forgery.
        buffer.zeroize();
        Err(TagMismatch)
    }
}

fn prepare(algorithm: EncryptionAlgorithm, key: &[u8; KEY_BYTES], nonce: &[u8]) -> (LessSafeKey, Nonce) {
    let (cipher, subkey, nonce) = match algorithm {
        EncryptionAlgorithm::AES256GCM => (&AES_256_GCM, None, exact(nonce)),
        EncryptionAlgorithm::ChaCha20Poly1305 => (&CHACHA20_POLY1305, None, exact(nonce)),
        EncryptionAlgorithm::XChaCha20Poly1305 => {
            let nonce: [u8; 24] = exact(nonce);
            let (subkey, nonce) = extended_nonce(key, &nonce);
            (&CHACHA20_POLY1305, Some(subkey), nonce)
        }
    };
    let key = UnboundKey::new(cipher, subkey.as_deref().unwrap_or(key)).expect("every key has 32 bytes");
    (LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce))
}

/// draft-irtf-cfrg-xchacha-03, section 2.3: subkey = HChaCha20(key, nonce[0..16]), nonce = 0000 |
/// nonce[16..24].
fn extended_nonce(key: &[u8; KEY_BYTES], nonce: &[u8; 24]) -> (Zeroizing<[u8; KEY_BYTES]>, [u8; 12]) {
    let (first, last) = nonce.split_at(16);
    let first: &[u8; 16] = first.try_into().expect("split at 16");
    let mut derived = hchacha::<R20>(key.into(), first.into());
    let mut subkey = Zeroizing::new([0; KEY_BYTES]);
    subkey.copy_from_slice(&derived);
    derived.as_mut_slice().zeroize();
    let mut short = [0; 12];
    short[4..].copy_from_slice(last);
    (subkey, short)
}

fn exact<const N: usize>(nonce: &[u8]) -> [u8; N] {
    nonce.try_into().expect("the caller derives nonces of the algorithm's length")
}
