//! The attack that the commitment prevents: with AES-GCM alone, one ciphertext can open under two
//! keys (Dodis et al., "Fast Message Franking: From Invisible Salamanders to Encryptment", CRYPTO
//! 2018).

use super::{Mismatch, Place, Salt};
use crate::EncryptionAlgorithm::AES256GCM;
use crate::primitives::aead;
use crate::primitives::hash::Hash;
use crate::secret::Secret;

const CONTEXT: Hash = [3; 32];
const SALT: Salt = [4; 24];

#[test]
fn encryption_ciphertext_for_two_keys_opens_under_the_committed_one_only() {
    let roots = [1, 2].map(|byte| Secret::take(&mut [byte; 32]));
    let places = roots.each_ref().map(|root| Place { root, algorithm: AES256GCM, context: &CONTEXT });
    let derived = places.each_ref().map(|place| place.derive(&SALT));
    let keys = derived.each_ref().map(|derived| GcmKey::learn(derived.key(), places[0].nonce(&SALT)));

    let ciphertext = block_for_two_keys(&keys);
    let tag = keys[0].tag(ciphertext);
    assert_eq!(tag, keys[1].tag(ciphertext));
    for derived in &derived {
        let mut buffer = ciphertext.to_be_bytes();
        let nonce = places[0].nonce(&SALT);
        let opened = aead::open(AES256GCM, derived.key(), nonce, &CONTEXT, &mut buffer, &tag.to_be_bytes());
        assert_eq!(opened, Ok(()), "the cipher alone accepts the ciphertext under both keys");
    }

    for (committed_to, derived) in derived.iter().enumerate() {
        for (opened_with, place) in places.iter().enumerate() {
            let mut buffer = ciphertext.to_be_bytes();
            let opened = place.open_in_place(&SALT, derived.commitment(), &mut buffer, &tag.to_be_bytes());
            let expected = if committed_to == opened_with { Ok(()) } else { Err(Mismatch::Commitment) };
            assert_eq!(opened, expected, "committed to root {committed_to}, opened with {opened_with}");
        }
    }
}

/// The values that an attacker who knows a key computes from it (NIST SP 800-38D, section 7.1).
struct GcmKey {
    /// H, the hash subkey.
    subkey: u128,
    /// The encrypted pre-counter block, which masks the tag.
    mask: u128,
}

impl GcmKey {
    fn learn(key: &[u8; 32], nonce: &[u8]) -> Self {
        let tag = |associated: &[u8]| u128::from_be_bytes(aead::seal(AES256GCM, key, nonce, associated, &mut []));
        let mask = tag(b"");
        // With one zero block of associated data, GHASH = (length block) * H.
        let subkey = multiply(tag(&[0; 16]) ^ mask, invert(128 << 64));
        Self { subkey, mask }
    }

    /// The tag of one ciphertext block under `CONTEXT`: GHASH over the ciphertext and the lengths.
    fn tag(&self, ciphertext: u128) -> u128 {
        let context = u128::from_be_bytes([CONTEXT[0]; 16]);
        let lengths = 256 << 64 | 128;
        let blocks = [context, context, ciphertext, lengths];
        blocks.into_iter().fold(0, |hash, block| multiply(hash ^ block, self.subkey)) ^ self.mask
    }
}

/// Solves tag_1(C) = tag_2(C) for C, which enters each tag as C * H^2.
fn block_for_two_keys(keys: &[GcmKey; 2]) -> u128 {
    let squares = keys.each_ref().map(|key| multiply(key.subkey, key.subkey));
    multiply(keys[0].tag(0) ^ keys[1].tag(0), invert(squares[0] ^ squares[1]))
}

/// Multiplies in GF(2^128) with the bit order of GCM (NIST SP 800-38D, section 6.3).
fn multiply(left: u128, right: u128) -> u128 {
    let (mut product, mut shifted) = (0, right);
    for bit in (0..128).rev() {
        if left >> bit & 1 == 1 {
            product ^= shifted;
        }
        shifted = shifted >> 1 ^ if shifted & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

/// By Fermat, the inverse of a is a^(2^128 - 2).
fn invert(value: u128) -> u128 {
    let mut inverse = 1 << 127;
    let mut power = value;
    for _ in 1..128 {
        power = multiply(power, power);
        inverse = multiply(inverse, power);
    }
    inverse
}
