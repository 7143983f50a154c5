//! Wrappers: clear and hidden, single and in batches.

use cid::Cid;
use cid::multihash::Multihash;
use cim_ipld_envelope::{
    CidNames, ContentEncryption, EncryptedCidWrapper, EncryptionAlgorithm, EncryptionKey, ErrorKind, HiddenCidWrapper,
};
use serde::{Deserialize, Serialize};

use crate::content::version_at;
use crate::fixture::{key, keyset};

fn cid(number: u8) -> Cid {
    Cid::new_v1(0x55, Multihash::wrap(0x1e, &[number; 32]).expect("32 bytes"))
}

#[test]
fn encryption_wrapper_round_trips_in_every_suite() {
    for algorithm in EncryptionAlgorithm::ALL {
        let key = EncryptionKey::from_bytes(algorithm, [1; 32]);
        let wrapper = EncryptedCidWrapper::seal(&key, cid(1), b"the title", b"aad").unwrap();
        assert_eq!((wrapper.cid, wrapper.aad.as_slice()), (cid(1), &b"aad"[..]));
        assert_eq!(wrapper.open(&key).unwrap(), b"the title");
        let block = wrapper.to_dag_cbor();
        assert!(!block.windows(9).any(|window| window == b"the title"));
        assert_eq!(EncryptedCidWrapper::from_dag_cbor(&block).unwrap(), wrapper);
        assert_eq!(wrapper.wrapper_cid().codec(), 0x71);
        let json: EncryptedCidWrapper = serde_json::from_str(&serde_json::to_string(&wrapper).unwrap()).unwrap();
        assert_eq!(json, wrapper);
    }
}

/// A wrapper with any changed field cannot be decrypted.
#[test]
fn encryption_wrapper_binds_every_field() {
    let key = key(1);
    let wrapper = EncryptedCidWrapper::seal(&key, cid(1), b"the title", b"aad").unwrap();
    let other = EncryptedCidWrapper::seal(&key, cid(2), b"metadata", b"other").unwrap();
    let altered = [
        EncryptedCidWrapper { cid: cid(2), ..wrapper.clone() },
        EncryptedCidWrapper { cid: Cid::new_v1(0x71, *cid(1).hash()), ..wrapper.clone() },
        EncryptedCidWrapper { encrypted_metadata: other.encrypted_metadata, ..wrapper.clone() },
        EncryptedCidWrapper { aad: b"aaD".to_vec(), ..wrapper.clone() },
        EncryptedCidWrapper { aad: Vec::new(), ..wrapper.clone() },
    ];
    for altered in altered {
        assert_eq!(altered.open(&key).unwrap_err().kind(), ErrorKind::WrongKey, "{altered:?}");
        assert_ne!(altered.wrapper_cid(), wrapper.wrapper_cid());
    }
    // The same bytes in a different domain: a value is not the metadata of a wrapper.
    let value = ContentEncryption::decrypt(&key, &wrapper.encrypted_metadata, b"aad");
    assert_eq!(value.unwrap_err().kind(), ErrorKind::WrongKey);
}

#[test]
fn encryption_wrapper_finds_every_flipped_bit() {
    let key = key(1);
    let names = CidNames::generate();
    let clear = EncryptedCidWrapper::seal(&key, cid(1), b"metadata", b"aad").unwrap().to_dag_cbor();
    let hidden = HiddenCidWrapper::seal(&key, &names, cid(1), b"metadata", b"aad").unwrap().to_dag_cbor();
    let open_clear = |block: &[u8]| EncryptedCidWrapper::from_dag_cbor(block).and_then(|wrapper| wrapper.open(&key));
    let open_hidden = |block: &[u8]| HiddenCidWrapper::from_dag_cbor(block).and_then(|wrapper| wrapper.open(&key));
    for bit in 0..clear.len() * 8 {
        let mut flipped = clear.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(open_clear(&flipped).is_err(), "bit {bit}");
    }
    for bit in 0..hidden.len() * 8 {
        let mut flipped = hidden.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(open_hidden(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn encryption_wrapper_names_newer_versions() {
    let (key, names) = (key(1), CidNames::generate());
    let mut clear = EncryptedCidWrapper::seal(&key, cid(1), b"metadata", b"aad").unwrap().to_dag_cbor();
    let mut hidden = HiddenCidWrapper::seal(&key, &names, cid(1), b"metadata", b"aad").unwrap().to_dag_cbor();
    for block in [&mut clear, &mut hidden] {
        let at = version_at(block);
        block[at] = 2;
    }
    let expected = ErrorKind::UnsupportedVersion { found: 2, supported: 1 };
    assert_eq!(EncryptedCidWrapper::from_dag_cbor(&clear).unwrap_err().kind(), expected);
    assert_eq!(HiddenCidWrapper::from_dag_cbor(&hidden).unwrap_err().kind(), expected);
    assert_eq!(HiddenCidWrapper::from_dag_cbor(&clear).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn encryption_wrapper_batch_is_like_one_by_one() {
    let (key, names) = (key(1), CidNames::generate());
    let items = (0..20).map(|number| (cid(number), format!("metadata {number}")));
    let wrappers = EncryptedCidWrapper::seal_batch(&key, items, b"batch").unwrap();
    assert_eq!(wrappers.len(), 20);
    for (number, wrapper) in wrappers.iter().enumerate() {
        assert_eq!(wrapper.cid, cid(number as u8));
        assert_eq!(wrapper.open(&key).unwrap(), format!("metadata {number}").into_bytes());
    }

    let items = (0..20).map(|number| (cid(number), format!("metadata {number}")));
    let hidden = HiddenCidWrapper::seal_batch(&key, &names, items, b"batch").unwrap();
    assert_eq!(hidden.len(), 20);
    for (number, wrapper) in hidden.iter().enumerate() {
        assert_eq!((wrapper.name, wrapper.aad.as_slice()), (names.name(&cid(number as u8)), &b"batch"[..]));
        let expected = (cid(number as u8), format!("metadata {number}").into_bytes());
        assert_eq!(wrapper.open(&key).unwrap(), expected);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Metadata {
    title: String,
    parent: Cid,
}

#[tokio::test]
async fn encryption_wrapper_takes_values_and_keysets() {
    let keyset = keyset(EncryptionAlgorithm::ChaCha20Poly1305).await;
    let metadata = Metadata { title: "Title".into(), parent: cid(9) };
    let wrapper = EncryptedCidWrapper::seal_value(&keyset, cid(1), &metadata, b"").unwrap();
    assert_eq!(wrapper.encrypted_metadata.key_id(), Some(keyset.active_key()));
    assert_eq!(wrapper.open_value::<Metadata>(&keyset).unwrap(), metadata);
    let error = wrapper.open_value::<Vec<u64>>(&keyset).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(!format!("{error:?}").contains("Title"));
}

#[test]
fn encryption_hidden_wrapper_hides_the_cid() {
    let (key, names) = (key(1), CidNames::generate());
    let wrapper = HiddenCidWrapper::seal(&key, &names, cid(1), b"the title", b"aad").unwrap();
    let block = wrapper.to_dag_cbor();
    assert!(!block.windows(8).any(|window| window == [1; 8]), "the CID's hash is all ones");
    assert_eq!(HiddenCidWrapper::from_dag_cbor(&block).unwrap().open(&key).unwrap(), (cid(1), b"the title".to_vec()));

    assert_eq!(wrapper.name, CidNames::from_secret(*names.secret()).name(&cid(1)));
    assert_ne!(names.name(&cid(1)), names.name(&cid(2)));
    assert_ne!(names.name(&cid(1)), CidNames::generate().name(&cid(1)));

    let renamed = HiddenCidWrapper { name: names.name(&cid(2)), ..wrapper.clone() };
    assert_eq!(renamed.open(&key).unwrap_err().kind(), ErrorKind::WrongKey);
    let altered = HiddenCidWrapper { aad: b"".to_vec(), ..wrapper };
    assert_eq!(altered.open(&key).unwrap_err().kind(), ErrorKind::WrongKey);
}
