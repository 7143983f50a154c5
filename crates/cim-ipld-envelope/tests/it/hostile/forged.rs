//! What a holder of the keys may write that is sealed rightly and yet wrong.

use cid::Cid;
use cid::multihash::Multihash;
use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, ErrorKind, Keyset};

use super::targets::{hidden_wrapper, key_source, record_head, sealed_record};

/// One data key of the root record's body.
fn entry(id: u8, state: u8, key: [u8; 32]) -> Vec<u8> {
    [&[id; 8][..], &[1, state], &[0; 24], &key].concat()
}

fn record(entries: &[Vec<u8>]) -> Vec<u8> {
    sealed_record(record_head(), &[&[entries.len() as u8, 0], entries.concat().as_slice()].concat())
}

#[tokio::test]
async fn encryption_keyset_refuses_keys_that_are_not_described() {
    let active = || entry(1, 1, [3; 32]);
    let accepted = [vec![active()], vec![active(), entry(2, 2, [4; 32]), entry(3, 3, [0; 32])]];
    for entries in accepted {
        assert_eq!(Keyset::open(&record(&entries), &key_source()).await.unwrap().keys().len(), entries.len());
    }
    let mut remains = [0; 32];
    remains[31] = 1;
    let refused = [
        (vec![], "no key"),
        (vec![entry(1, 2, [3; 32])], "no active key"),
        (vec![active(), entry(2, 1, [4; 32])], "two active keys"),
        (vec![active(), entry(1, 2, [4; 32])], "an id twice"),
        (vec![active(), entry(2, 3, remains)], "a destroyed key of which something is left"),
        (vec![active(), entry(2, 0, [4; 32])], "no such state"),
        (vec![active(), entry(2, 4, [4; 32])], "no such state"),
        (vec![active(), vec![0]], "a byte left over"),
    ];
    for (entries, what) in refused {
        let error = Keyset::open(&record(&entries), &key_source()).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}");
    }
}

/// A newer record cannot give a data key in use other bytes: objects would be sealed under one and opened under the other.
#[tokio::test]
async fn encryption_reopening_refuses_changed_keys() {
    let keyset = Keyset::open(&record(&[entry(1, 1, [3; 32])]), &key_source()).await.unwrap();
    keyset.reopen(&record(&[entry(1, 1, [3; 32])])).expect("the same keys");
    keyset.reopen(&record(&[entry(1, 2, [3; 32]), entry(2, 1, [4; 32])])).expect("a key more");
    let changed = keyset.reopen(&record(&[entry(1, 1, [4; 32])])).unwrap_err();
    assert_eq!(changed.kind(), ErrorKind::Damaged);
    let mut other_suite = entry(1, 1, [3; 32]);
    other_suite[8] = 2;
    assert_eq!(keyset.reopen(&record(&[other_suite])).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn encryption_hidden_wrapper_takes_one_encoding_of_a_cid() {
    let key = EncryptionKey::from_bytes(EncryptionAlgorithm::AES256GCM, [1; 32]);
    let cid = Cid::new_v1(0x55, Multihash::wrap(0x1e, &[7; 32]).unwrap());
    let open = |cid: &[u8]| {
        let plaintext = [&[cid.len() as u8, 0], cid, b"metadata"].concat();
        hidden_wrapper(&plaintext).open(&key).map_err(|error| error.kind())
    };
    assert_eq!(open(&cid.to_bytes()), Ok((cid, b"metadata".to_vec())));
    let longer_varint = [&[1, 0xd5, 0x00], &cid.to_bytes()[2..]].concat();
    for bytes in [[&cid.to_bytes()[..], &[0]].concat(), longer_varint, Vec::new(), cid.to_bytes()[..35].to_vec()] {
        assert_eq!(open(&bytes), Err(ErrorKind::Damaged), "{bytes:?}");
    }
}
