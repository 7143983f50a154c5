//! Records that a key holder may write and that are properly sealed, yet invalid.

use cid::Cid;
use cid::multihash::Multihash;
use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, ErrorKind, Keyset, MAX_DATA_KEYS};

use super::targets::{hidden_wrapper, key_source, record_head, sealed_record, sealed_slot, with_sealed_body};

/// A data key in the body of the root record.
fn entry(id: u8, state: u8, key: [u8; 32]) -> Vec<u8> {
    [&[id; 8][..], &[1, state], &[0; 24], &key].concat()
}

/// Returns a data key whose id and bytes consist of a number.
fn numbered(number: u16, state: u8) -> Vec<u8> {
    let mut entry = entry(0xff, state, if state == 3 { [0; 32] } else { [9; 32] });
    entry[..2].copy_from_slice(&number.to_le_bytes());
    entry
}

fn record(entries: &[Vec<u8>]) -> Vec<u8> {
    sealed_record(record_head(9), &[&(entries.len() as u16).to_le_bytes(), entries.concat().as_slice()].concat())
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

/// If a slot that belongs to the given key was changed, opening reports damage. It does so even if
/// the record's body was sealed after the change, and even if the key could still open another
/// slot.
#[tokio::test]
async fn encryption_keyset_does_not_step_over_a_changed_slot() {
    let record = |change: bool| {
        let (mut first, second) = (sealed_slot(b"slot one"), sealed_slot(b"slot two"));
        *first.last_mut().unwrap() ^= u8::from(change);
        let mut head = record_head(9);
        head[33] = 2;
        let keys = [&[1, 0], entry(1, 1, [3; 32]).as_slice()].concat();
        with_sealed_body([head, first, second].concat(), &keys)
    };
    assert_eq!(Keyset::open(&record(false), &key_source()).await.unwrap().slots().len(), 2);
    assert_eq!(Keyset::open(&record(true), &key_source()).await.unwrap_err().kind(), ErrorKind::Damaged);
}

/// A newer record cannot change the bytes of a data key in use: objects would be sealed under one
/// key and opened under another.
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

/// A keyset that was rotated a thousand times can be rotated again, as long as old keys are
/// destroyed.
#[tokio::test]
async fn encryption_full_keyset_forgets_destroyed_keys() {
    let full = |oldest_state: u8| {
        let last = MAX_DATA_KEYS as u16 - 1;
        let states = (0..=last).map(|number| match number {
            0 => 2,
            1 | 2 => oldest_state,
            number if number == last => 1,
            _ => 2,
        });
        record(&states.enumerate().map(|(number, state)| numbered(number as u16, state)).collect::<Vec<_>>())
    };
    let keyset = Keyset::open(&full(3), &key_source()).await.unwrap();
    let forgotten = keyset.keys()[1].id;
    let rotated = keyset.with_new_data_key(EncryptionAlgorithm::AES256GCM).unwrap();
    let rotated = Keyset::open(rotated.record(), &key_source()).await.unwrap();
    assert_eq!(rotated.keys().len(), MAX_DATA_KEYS);
    assert!(rotated.keys().iter().all(|key| key.id != forgotten));
    assert_eq!(rotated.keys()[1].id, keyset.keys()[2].id, "no more than one");

    let keyset = Keyset::open(&full(2), &key_source()).await.unwrap();
    let refused = keyset.with_new_data_key(EncryptionAlgorithm::AES256GCM).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Limit);
}

#[tokio::test]
async fn encryption_keyset_of_the_last_generation_is_no_panic() {
    let body = [&[1, 0], entry(1, 1, [3; 32]).as_slice()].concat();
    let keyset = Keyset::open(&sealed_record(record_head(u64::MAX), &body), &key_source()).await.unwrap();
    let next = keyset.with_usage_recorded();
    assert_eq!(next.generation(), u64::MAX);
    Keyset::open(next.record(), &key_source()).await.expect("still a keyset");
    let never = Keyset::open(&sealed_record(record_head(0), &body), &key_source()).await.unwrap_err();
    assert_eq!(never.kind(), ErrorKind::Damaged, "the first generation is 1");
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
