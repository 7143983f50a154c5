//! Tests the primitives with the vectors of their specifications.

use super::argon2id::{self, Cost};
use super::{aead, hkdf};
use crate::{EncryptionAlgorithm, hex};

const SUNSCREEN: &[u8] =
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
    sunscreen would be it.";

struct Aead {
    source: &'static str,
    algorithm: EncryptionAlgorithm,
    nonce: &'static str,
    ciphertext: &'static str,
    tag: &'static str,
}

const AEAD: [Aead; 2] = [
    Aead {
        source: "RFC 8439, section 2.8.2",
        algorithm: EncryptionAlgorithm::ChaCha20Poly1305,
        nonce: "070000004041424344454647",
        ciphertext: "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b\
                     1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
                     3ff4def08e4b7a9de576d26586cec64b6116",
        tag: "1ae10b594f09e26a7e902ecbd0600691",
    },
    Aead {
        source: "draft-irtf-cfrg-xchacha-03, appendix A.3.1",
        algorithm: EncryptionAlgorithm::XChaCha20Poly1305,
        nonce: "404142434445464748494a4b4c4d4e4f5051525354555657",
        ciphertext: "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
                     ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
                     21f9664c97637da9768812f615c68b13b52e",
        tag: "c0875924c1c7987947deafd8780acf49",
    },
];

#[test]
fn encryption_chacha_vectors() {
    let key: [u8; 32] = std::array::from_fn(|at| 0x80 + at as u8);
    let associated = bytes("50515253c0c1c2c3c4c5c6c7");
    for vector in &AEAD {
        let nonce = bytes(vector.nonce);
        let mut buffer = SUNSCREEN.to_vec();
        let tag = aead::seal(vector.algorithm, &key, &nonce, &associated, &mut buffer);
        assert_eq!(hex::encode(&buffer), vector.ciphertext, "{}", vector.source);
        assert_eq!(hex::encode(&tag), vector.tag, "{}", vector.source);
        aead::open(vector.algorithm, &key, &nonce, &associated, &mut buffer, &tag).expect(vector.source);
        assert_eq!(buffer, SUNSCREEN);
    }
}

#[test]
fn encryption_hkdf_vectors() {
    let ascending = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    let cases = [
        (
            "RFC 5869, appendix A.1",
            vec![0x0b; 22],
            ascending(0, 0x0c),
            ascending(0xf0, 0xf9),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            "RFC 5869, appendix A.2",
            ascending(0, 0x4f),
            ascending(0x60, 0xaf),
            ascending(0xb0, 0xff),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            "RFC 5869, appendix A.3",
            vec![0x0b; 22],
            Vec::new(),
            Vec::new(),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (source, secret, salt, info, expected) in cases {
        let mut out = vec![0; expected.len() / 2];
        hkdf::extract_and_expand(&salt, &secret, &info, &mut out).expect(source);
        assert_eq!(hex::encode(&out), expected, "{source}");
    }
}

/// RFC 9106, section 5.3.
#[test]
fn encryption_argon2id_vector() {
    let cost = Cost { memory_kib: 32, passes: 3, lanes: 4 };
    let derived = argon2id::derive_rfc(cost, &[1; 32], &[2; 16], &[3; 8], &[4; 12]);
    assert_eq!(hex::encode(derived.as_bytes()), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}

fn bytes(digits: &str) -> Vec<u8> {
    let mut out = vec![0; digits.len() / 2];
    hex::decode_into(digits.as_bytes(), &mut out).expect("hexadecimal");
    out
}
