//! The ciphers without an envelope.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use cim_ipld_envelope::EncryptionAlgorithm;
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// A raw cipher with a prepared key; always with the same nonce, which only a benchmark may do.
pub(crate) enum Raw {
    Ring(Box<LessSafeKey>),
    XChaCha(XChaCha20Poly1305),
}

impl Raw {
    pub(crate) fn new(algorithm: EncryptionAlgorithm) -> Self {
        let cipher = match algorithm {
            EncryptionAlgorithm::AES256GCM => &AES_256_GCM,
            EncryptionAlgorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            _ => return Self::XChaCha(XChaCha20Poly1305::new(&[1; 32].into())),
        };
        Self::Ring(Box::new(LessSafeKey::new(UnboundKey::new(cipher, &[1; 32]).expect("32 bytes"))))
    }

    pub(crate) fn seal(&self, buffer: &mut [u8]) -> [u8; 16] {
        match self {
            Self::Ring(key) => {
                let nonce = Nonce::assume_unique_for_key([2; 12]);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), buffer).expect("sealed");
                tag.as_ref().try_into().expect("16 bytes")
            }
            Self::XChaCha(key) => {
                let nonce = XNonce::from([2; 24]);
                key.encrypt_inout_detached(&nonce, b"", buffer.into()).expect("sealed").into()
            }
        }
    }

    pub(crate) fn open(&self, buffer: &mut [u8], tag: [u8; 16]) {
        match self {
            Self::Ring(key) => {
                let nonce = Nonce::assume_unique_for_key([2; 12]);
                key.open_in_place_separate_tag(nonce, Aad::empty(), tag.into(), buffer, 0..).expect("opened");
            }
            Self::XChaCha(key) => {
                let nonce = XNonce::from([2; 24]);
                key.decrypt_inout_detached(&nonce, b"", buffer.into(), &tag.into()).expect("opened");
            }
        }
    }
}
