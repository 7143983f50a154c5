//! Stores that hold the very same data keys: their index ids alone keep their objects apart.

use crate::random::seeded::{self, now};
use crate::{
    ContentEncryption, EncryptionAlgorithm, EncryptionKey, Envelope, ErrorKind, IndexId, Keyset, ObjectContext,
    ObjectKind, SealOptions,
};

const INDEX: [u8; 16] = *b"sixteen id bytes";
const PLACE: ObjectContext<'static> = ObjectContext::new("text_index_v1", ObjectKind::PAGE, "page", 3);

/// Every single bit of the index id counts, in every suite.
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

/// The keyset of this index; its data key depends on the algorithm alone.
fn keyset(algorithm: EncryptionAlgorithm, index: [u8; 16]) -> Keyset {
    let source = EncryptionKey::from_bytes(algorithm, [1; 32]).into();
    let created =
        seeded::with(algorithm.as_str(), || now(Keyset::create(IndexId::from_bytes(index), algorithm, &source)));
    created.expect("a keyset")
}
