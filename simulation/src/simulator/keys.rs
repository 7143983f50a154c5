//! The keys of an index, by number.

use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, KeySource};

pub(super) const ALGORITHM: EncryptionAlgorithm = EncryptionAlgorithm::ChaCha20Poly1305;

pub(super) fn key(number: u8) -> KeySource {
    KeySource::from(EncryptionKey::from_bytes(ALGORITHM, [number + 1; 32]))
}
