//! Single values: ContentEncryption and EncryptedData.

use cim_ipld_envelope::{
    ContentEncryption, EncryptedData, EncryptionAlgorithm, EncryptionKey, ErrorKind, Keyset, MAX_OBJECT_BYTES,
};

use crate::fixture::{key, key_source, keyset};

#[test]
fn encryption_of_values_round_trips() {
    for algorithm in EncryptionAlgorithm::ALL {
        let key = ContentEncryption::generate_key(algorithm);
        assert_eq!(key.algorithm(), algorithm);
        for bytes in [0, 1, 1000, 70_000] {
            let plaintext = vec![b'p'; bytes];
            let sealed = ContentEncryption::encrypt(&key, &plaintext, b"associated").unwrap();
            assert_eq!((sealed.algorithm(), sealed.key_id(), sealed.plaintext_bytes()), (algorithm, None, bytes));
            assert_eq!(ContentEncryption::decrypt(&key, &sealed, b"associated").unwrap(), plaintext);
            let decoded = EncryptedData::from_bytes(&sealed.to_bytes()).unwrap();
            assert_eq!(decoded, sealed);
            let json: EncryptedData = serde_json::from_str(&serde_json::to_string(&sealed).unwrap()).unwrap();
            assert_eq!(json, sealed);
        }
    }
}

#[test]
fn encryption_of_values_binds_key_and_associated_data() {
    let sealed = ContentEncryption::encrypt(&key(1), b"secret", b"associated").unwrap();
    let other_algorithm = EncryptionKey::from_bytes(EncryptionAlgorithm::ChaCha20Poly1305, [1; 32]);
    let cases = [
        (key(2), &b"associated"[..]),
        (other_algorithm, b"associated"),
        (key(1).derive(b""), b"associated"),
        (key(1), b"associateD"),
        (key(1), b"associated "),
        (key(1), b""),
    ];
    for (key, associated) in cases {
        let error = ContentEncryption::decrypt(&key, &sealed, associated).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::WrongKey, "wrong key"));
    }
}

#[test]
fn encryption_of_values_finds_every_flipped_bit() {
    for algorithm in EncryptionAlgorithm::ALL {
        let key = EncryptionKey::from_bytes(algorithm, [5; 32]);
        let encoded = ContentEncryption::encrypt(&key, b"secret", b"").unwrap().to_bytes();
        for bit in 0..encoded.len() * 8 {
            let mut flipped = encoded.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let opened =
                EncryptedData::from_bytes(&flipped).and_then(|data| ContentEncryption::decrypt(&key, &data, b""));
            let kind = opened.unwrap_err().kind();
            let newer = bit / 8 == version_at(&encoded) && matches!(kind, ErrorKind::UnsupportedVersion { .. });
            assert!(newer || matches!(kind, ErrorKind::Damaged | ErrorKind::WrongKey), "bit {bit}: {kind:?}");
        }
        for bytes in 0..encoded.len() {
            assert_eq!(EncryptedData::from_bytes(&encoded[..bytes]).unwrap_err().kind(), ErrorKind::Damaged);
        }
        let extended = [&encoded[..], &[0]].concat();
        assert_eq!(EncryptedData::from_bytes(&extended).unwrap_err().kind(), ErrorKind::Damaged);
    }
}

/// A newer format is distinguished from damage, whatever it added.
#[test]
fn encryption_of_values_names_newer_versions() {
    let encoded = ContentEncryption::encrypt(&key(1), b"secret", b"").unwrap().to_bytes();
    let at = version_at(&encoded);
    let version = |version: u8, more: bool| {
        let mut newer = encoded.clone();
        newer[at] = version;
        if more {
            // An additional entry that sorts last: a longer key, with a map as its value.
            newer[0] = 0xa7;
            newer.extend_from_slice(b"\x6dsomething-new\xa1\x61a\xd8\x2a\x45\0\x01\x55\0\0");
        }
        EncryptedData::from_bytes(&newer).map_err(|error| error.kind())
    };
    for found in [2, 23] {
        let expected = Err(ErrorKind::UnsupportedVersion { found, supported: 1 });
        assert_eq!(version(found, false), expected);
        assert_eq!(version(found, true), expected);
    }
    for (head, found) in [(&b"\x18\xff"[..], 255), (b"\x19\x01\x00", 255), (b"\x1b\x80\0\0\0\0\0\0\0", 255)] {
        let newer = [&encoded[..at], head, &encoded[at + 1..]].concat();
        let expected = ErrorKind::UnsupportedVersion { found, supported: 1 };
        assert_eq!(EncryptedData::from_bytes(&newer).unwrap_err().kind(), expected, "{head:x?}");
    }
    assert_eq!(version(0, false), Err(ErrorKind::Damaged));
    assert_eq!(version(1, true), Err(ErrorKind::Damaged));
    assert!(version(1, false).is_ok());
}

/// The offset of the version in the encoding of an encrypted value.
pub(crate) fn version_at(encoded: &[u8]) -> usize {
    encoded.windows(3).position(|window| window == b"\x61v\x01").expect("a version") + 2
}

/// A different encoding of the same value would have a different CID, so it is refused.
#[test]
fn encryption_of_values_has_one_encoding() {
    let encoded = ContentEncryption::encrypt(&key(1), b"secret", b"").unwrap().to_bytes();
    // A map of 6 entries, with its size encoded in one more byte than necessary.
    assert_eq!(encoded[0], 0xa6);
    let longer = [&[0xb8, 6], &encoded[1..]].concat();
    assert_eq!(EncryptedData::from_bytes(&longer).unwrap_err().kind(), ErrorKind::Damaged);
}

#[tokio::test]
async fn encryption_of_values_follows_a_keyset() {
    let first = keyset(EncryptionAlgorithm::AES256GCM).await;
    let sealed = ContentEncryption::encrypt(&first, b"secret", b"associated").unwrap();
    assert_eq!(sealed.key_id(), Some(first.active_key()));
    let wrong = ContentEncryption::decrypt(&key(1), &sealed, b"associated").unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::WrongKey);

    let second = first.with_new_data_key(EncryptionAlgorithm::XChaCha20Poly1305).unwrap();
    let second = Keyset::open(second.record(), &key_source(1)).await.unwrap();
    assert_eq!(ContentEncryption::decrypt(&second, &sealed, b"associated").unwrap(), b"secret");
    let moved = ContentEncryption::decrypt(&second, &sealed, b"elsewhere").unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::WrongKey);
    let newer = ContentEncryption::encrypt(&second, b"secret", b"").unwrap();
    assert_eq!(ContentEncryption::decrypt(&first, &newer, b"").unwrap_err().kind(), ErrorKind::UnknownDataKey);
    let third = second.with_data_key_destroyed(first.active_key()).unwrap();
    let gone = ContentEncryption::decrypt(&third, &sealed, b"associated").unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::DestroyedDataKey);

    let plain = ContentEncryption::encrypt(&key(1), b"secret", b"").unwrap();
    assert_eq!(ContentEncryption::decrypt(&first, &plain, b"").unwrap_err().kind(), ErrorKind::WrongKey);
}

#[test]
fn encryption_of_values_is_bounded() {
    let oversized = vec![0; MAX_OBJECT_BYTES + 1];
    let sealed = ContentEncryption::encrypt(&key(1), &oversized, b"");
    assert_eq!(sealed.unwrap_err().kind(), ErrorKind::Limit);

    // Readers refuse an oversized ciphertext, which no writer produces. The four bytes before the
    // ciphertext contain its length.
    let most = ContentEncryption::encrypt(&key(1), &oversized[1..], b"").unwrap().to_bytes();
    assert!(EncryptedData::from_bytes(&most).is_ok());
    let length = u32::try_from(MAX_OBJECT_BYTES + 16).unwrap();
    let at = most.windows(4).position(|window| window == length.to_be_bytes()).unwrap();
    let larger = [
        &most[..at],
        &(length + 1).to_be_bytes(),
        &most[at + 4..at + 4 + length as usize],
        &[0],
        &most[at + 4 + length as usize..],
    ];
    assert_eq!(EncryptedData::from_bytes(&larger.concat()).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn encryption_algorithm_names() {
    for algorithm in EncryptionAlgorithm::ALL {
        assert_eq!(algorithm.as_str().parse::<EncryptionAlgorithm>().unwrap(), algorithm);
        let json = serde_json::to_string(&algorithm).unwrap();
        assert_eq!(json, format!("\"{algorithm}\""));
        assert_eq!(serde_json::from_str::<EncryptionAlgorithm>(&json).unwrap(), algorithm);
    }
    let unknown = "AES-256-GCM".parse::<EncryptionAlgorithm>().unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::InvalidRequest);
}
