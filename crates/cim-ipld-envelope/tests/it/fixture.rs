//! Keys and stores for the tests.

use cim_ipld_envelope::{
    Argon2Profile, EncryptionAlgorithm, EncryptionKey, Envelope, IndexId, KeySource, Keyset, ObjectContext, ObjectKind,
    Passphrase,
};

pub(crate) const INDEX: IndexId = IndexId::from_bytes([7; 16]);

pub(crate) const PAGE: ObjectContext<'static> =
    ObjectContext::new("text_index_v1", ObjectKind::PAGE, "k5yxiyvqcnb3k7on6xdc64bjhbvgg4dd", 3);

/// Content that compresses, of any size.
pub(crate) fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at / 7 % 251) as u8).collect()
}

/// A different key for each number.
pub(crate) fn key(number: u8) -> EncryptionKey {
    EncryptionKey::from_bytes(EncryptionAlgorithm::AES256GCM, [number; 32])
}

pub(crate) fn key_source(number: u8) -> KeySource {
    key(number).into()
}

/// A passphrase with a low cost.
pub(crate) fn passphrase_source(passphrase: &str) -> KeySource {
    let profile = Argon2Profile::new(64, 1, 2).expect("a defined profile");
    KeySource::Passphrase(Passphrase::new(passphrase).expect("not empty"), profile)
}

pub(crate) async fn keyset(algorithm: EncryptionAlgorithm) -> Keyset {
    Keyset::create(INDEX, algorithm, &key_source(1)).await.expect("a keyset")
}

pub(crate) async fn envelope(algorithm: EncryptionAlgorithm) -> Envelope {
    Envelope::encrypted(keyset(algorithm).await)
}

/// One envelope per suite, including the plaintext one.
pub(crate) async fn every_envelope() -> Vec<Envelope> {
    let mut envelopes = vec![Envelope::plaintext(INDEX)];
    for algorithm in EncryptionAlgorithm::ALL {
        envelopes.push(envelope(algorithm).await);
    }
    envelopes
}
