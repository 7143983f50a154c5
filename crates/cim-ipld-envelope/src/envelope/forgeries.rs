//! Forgeries that only a holder of the data keys can make, and that the envelope must refuse.

use crate::object::Fields;
use crate::random::seeded::{self, now};
use crate::sealing::Place;
use crate::{
    ContentEncryption, EncryptionAlgorithm, EncryptionKey, Envelope, ErrorKind, IndexId, Keyset, ObjectContext,
    ObjectKind, SealOptions,
};

const INDEX: [u8; 16] = *b"sixteen id bytes";
const PLACE: ObjectContext<'static> = ObjectContext::new("text_index_v1", ObjectKind::PAGE, "page", 3);

/// In every suite, a store cannot open the objects of another store with the same data keys if the
/// index ids of the two differ in at least one bit.
#[test]
fn encryption_finds_every_flipped_bit_of_the_index() {
    for algorithm in EncryptionAlgorithm::ALL {
        let here = keyset(algorithm, INDEX);
        let object =
            Envelope::encrypted(here.clone()).seal(&PLACE, b"content", &SealOptions::default()).expect("sealed");
        let value = ContentEncryption::encrypt(&here, b"content", b"").expect("encrypted");
        for bit in 0..128 {
            let mut index = INDEX;
            index[bit / 8] ^= 1 << (bit % 8);
            let there = keyset(algorithm, index);
            assert_eq!(there.active_key(), here.active_key());
            let decrypted = ContentEncryption::decrypt(&there, &value, b"");
            assert_eq!(decrypted.expect_err("another index").kind(), ErrorKind::WrongKey, "{algorithm}, bit {bit}");
            let opened = Envelope::encrypted(there).open(&PLACE, &object);
            assert_eq!(opened.expect_err("another index").kind(), ErrorKind::Damaged, "{algorithm}, bit {bit}");
        }
        let same = Envelope::encrypted(keyset(algorithm, INDEX));
        assert_eq!(same.open(&PLACE, &object).expect("the same keys and index"), "content");
    }
}

/// A data key is used with one suite. An object sealed under the key with a different suite is
/// refused.
#[test]
fn encryption_refuses_a_data_key_of_another_suite() {
    for algorithm in EncryptionAlgorithm::ALL {
        let keyset = keyset(algorithm, INDEX);
        let forge = |suite: EncryptionAlgorithm| {
            let (key_id, key) = keyset.sealing_key();
            let root = key.object_root(&keyset.index_id(), PLACE.kind, PLACE.bucket);
            let fields = Fields { algorithm: Some(suite), compressed: false, padded: false, kind: PLACE.kind, key_id };
            let context = PLACE.hash(&keyset.index_id(), &fields).expect("short names");
            let place = Place { root: &root, algorithm: suite, context: &context };
            let (salt, mut body) = ([5; 24], b"content".to_vec());
            let (commitment, tag) = place.seal_in_place(&salt, &mut body);
            [&fields.encode(&salt), commitment.as_slice(), &body, &tag].concat()
        };
        let envelope = Envelope::encrypted(keyset.clone());
        for suite in EncryptionAlgorithm::ALL {
            let opened = envelope.open(&PLACE, &forge(suite));
            match suite == algorithm {
                true => assert_eq!(opened.expect("its own suite"), "content"),
                false => assert_eq!(opened.expect_err("another suite").kind(), ErrorKind::Damaged, "{suite}"),
            }
        }
    }
}

/// Returns a keyset of this index; its data key depends only on the algorithm.
fn keyset(algorithm: EncryptionAlgorithm, index: [u8; 16]) -> Keyset {
    let source = EncryptionKey::from_bytes(algorithm, [1; 32]).into();
    let created =
        seeded::with(algorithm.as_str(), || now(Keyset::create(IndexId::from_bytes(index), algorithm, &source)));
    created.expect("a keyset")
}
