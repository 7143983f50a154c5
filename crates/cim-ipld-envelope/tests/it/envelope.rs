//! Objects: which of them open, which are refused, and with which error.

use bytes::{Bytes, BytesMut};
use cim_ipld_envelope::{
    Compression, EncryptionAlgorithm, Envelope, ErrorKind, IndexId, Keyset, OVERHEAD_BYTES, ObjectContext,
    ObjectHeader, ObjectKind, Padding, SealBuffer, SealOptions,
};

use crate::fixture::{INDEX, PAGE, content, envelope, every_envelope, key_source, keyset};

fn every_option() -> Vec<SealOptions> {
    let compression = Compression { level: 1, min_bytes: 16 };
    let multiple = Padding::Multiple(64.try_into().expect("not zero"));
    vec![
        SealOptions::default(),
        SealOptions::default().compressed(compression),
        SealOptions::default().padded(Padding::Padme),
        SealOptions::default().compressed(compression).padded(multiple),
    ]
}

#[tokio::test]
async fn encryption_round_trips_every_suite_size_and_option() {
    for envelope in every_envelope().await {
        for options in every_option() {
            for bytes in [0, 1, 15, 16, 255, 4096, 65_536, 65_537] {
                let content = content(bytes);
                let object = envelope.seal(&PAGE, &content, &options).unwrap();
                assert_eq!(envelope.open(&PAGE, &object).unwrap(), content);
                assert_eq!(envelope.open_in_place(&PAGE, BytesMut::from(&object[..])).unwrap(), content);
                assert_eq!(envelope.open_bytes(&PAGE, object.clone()).unwrap(), content, "shared memory");
                assert_eq!(envelope.open_bytes(&PAGE, object).unwrap(), content, "unique memory");
            }
        }
    }
}

#[tokio::test]
async fn encryption_seals_in_place_what_open_reads() {
    for envelope in every_envelope().await {
        let mut buffer = SealBuffer::with_capacity(3);
        buffer.extend_from_slice(b"grows beyond");
        buffer.content_mut()[0] = b'G';
        assert_eq!(format!("{buffer:?}"), "SealBuffer(12 bytes)", "content is not shown");
        let object = envelope.seal_in_place(&PAGE, buffer).unwrap();
        assert_eq!(envelope.open(&PAGE, &object).unwrap(), "Grows beyond");
    }
}

#[tokio::test]
async fn encryption_never_seals_alike_twice() {
    let envelope = envelope(EncryptionAlgorithm::AES256GCM).await;
    let seal = || envelope.seal(&PAGE, b"same", &SealOptions::default()).unwrap();
    let (first, second) = (seal(), seal());
    assert_ne!(first[16..40], second[16..40], "salt");
    assert_ne!(first[40..72], second[40..72], "commitment");
    assert_ne!(first[72..], second[72..], "ciphertext and tag");
}

#[tokio::test]
async fn encryption_hides_content_and_header_says_what_is_public() {
    let options = SealOptions::default();
    for algorithm in EncryptionAlgorithm::ALL {
        let envelope = envelope(algorithm).await;
        let object = envelope.seal(&PAGE, b"searchable secret", &options).unwrap();
        assert_eq!(object.len(), b"searchable secret".len() + OVERHEAD_BYTES);
        assert!(!object.windows(6).any(|window| window == b"secret"));

        let header = ObjectHeader::parse(&object).unwrap();
        assert_eq!(header.algorithm(), Some(algorithm));
        assert_eq!(header.kind(), ObjectKind::PAGE);
        assert_eq!(header.key_id(), envelope.keyset().map(Keyset::active_key));
        assert_eq!(Envelope::key_of(&object).unwrap(), header.key_id());
    }
}

/// Every bit of an object is authenticated.
#[tokio::test]
async fn encryption_finds_every_flipped_bit() {
    for envelope in every_envelope().await {
        for options in every_option() {
            let object = envelope.seal(&PAGE, &content(40), &options).unwrap();
            for bit in 0..object.len() * 8 {
                let mut flipped = BytesMut::from(&object[..]);
                flipped[bit / 8] ^= 1 << (bit % 8);
                let kind = envelope.open(&PAGE, &flipped).unwrap_err().kind();
                let expected: &[ErrorKind] = match bit / 8 {
                    4 => &[ErrorKind::Damaged, ErrorKind::UnsupportedVersion { found: flipped[4], supported: 1 }],
                    5 => &[ErrorKind::Damaged, ErrorKind::NotEncrypted, ErrorKind::Encrypted],
                    8..16 => &[ErrorKind::Damaged, ErrorKind::UnknownDataKey],
                    _ => &[ErrorKind::Damaged],
                };
                assert!(expected.contains(&kind), "bit {bit}: {kind:?}");
                let in_place = envelope.open_in_place(&PAGE, flipped).unwrap_err().kind();
                assert_eq!(in_place, kind);
            }
        }
    }
}

#[tokio::test]
async fn encryption_finds_truncated_extended_and_empty_objects() {
    for envelope in every_envelope().await {
        let object = envelope.seal(&PAGE, &content(40), &SealOptions::default()).unwrap();
        for bytes in 0..object.len() {
            assert_eq!(envelope.open(&PAGE, &object[..bytes]).unwrap_err().kind(), ErrorKind::Damaged, "{bytes} bytes");
        }
        for extra in [&[0][..], &[0; 16], &object] {
            let extended = [&object[..], extra].concat();
            assert_eq!(envelope.open(&PAGE, &extended).unwrap_err().kind(), ErrorKind::Damaged);
        }
    }
}

/// An object opens only at its own location, not under another bucket, kind, name or generation.
#[tokio::test]
async fn encryption_binds_every_part_of_the_place() {
    let places = [
        PAGE,
        ObjectContext { bucket: "tag_index_v1", ..PAGE },
        ObjectContext { kind: ObjectKind::MANIFEST, ..PAGE },
        ObjectContext { kind: ObjectKind(200), ..PAGE },
        ObjectContext { name: "k5yxiyvqcnb3k7on6xdc64bjhbvgg4de", ..PAGE },
        ObjectContext { name: "", ..PAGE },
        ObjectContext { generation: 4, ..PAGE },
        ObjectContext { generation: 3 << 32, ..PAGE },
        // The same characters, split differently.
        ObjectContext { bucket: "text_index_v1k", name: "5yxiyvqcnb3k7on6xdc64bjhbvgg4dd", ..PAGE },
    ];
    for envelope in every_envelope().await {
        for here in &places {
            let object = envelope.seal(here, b"content", &SealOptions::default()).unwrap();
            for there in &places {
                let opened = envelope.open(there, &object).map_err(|error| error.kind());
                let expected = if here == there { Ok(Bytes::from_static(b"content")) } else { Err(ErrorKind::Damaged) };
                assert_eq!(opened, expected, "from {here:?} to {there:?}");
            }
        }
    }
}

/// Every bit of the context is authenticated.
#[tokio::test]
async fn encryption_finds_every_flipped_bit_of_the_context() {
    for envelope in every_envelope().await {
        let here = ObjectContext { bucket: "AAAA", name: "BBBB", ..PAGE };
        let object = envelope.seal(&here, b"content", &SealOptions::default()).unwrap();
        let refused = |there: &ObjectContext<'_>| {
            assert_eq!(envelope.open(there, &object).unwrap_err().kind(), ErrorKind::Damaged, "{there:?}");
        };
        for bit in 0..64 {
            refused(&ObjectContext { generation: here.generation ^ 1 << bit, ..here });
        }
        for bit in 0..8 {
            refused(&ObjectContext { kind: ObjectKind(here.kind.0 ^ 1 << bit), ..here });
        }
        // Flips seven bits per character, so that the text remains valid.
        for (at, bit) in (0..4).flat_map(|at| (0..7).map(move |bit| (at, bit))) {
            let flip = |text: &str| {
                let mut flipped = text.as_bytes().to_vec();
                flipped[at] ^= 1 << bit;
                String::from_utf8(flipped).unwrap()
            };
            refused(&ObjectContext { bucket: &flip(here.bucket), ..here });
            refused(&ObjectContext { name: &flip(here.name), ..here });
        }
    }
}

/// Even if two stores share their keys, the index id separates their objects.
#[test]
fn encryption_keeps_indexes_apart_in_plaintext_stores() {
    for bit in 0..128 {
        let mut other = *INDEX.as_bytes();
        other[bit / 8] ^= 1 << (bit % 8);
        let object = Envelope::plaintext(INDEX).seal(&PAGE, b"content", &SealOptions::default()).unwrap();
        let opened = Envelope::plaintext(IndexId::from_bytes(other)).open(&PAGE, &object);
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[tokio::test]
async fn encryption_refuses_objects_of_another_store() {
    for algorithm in EncryptionAlgorithm::ALL {
        let (one, other) = (envelope(algorithm).await, envelope(algorithm).await);
        let object = one.seal(&PAGE, b"content", &SealOptions::default()).unwrap();
        assert_eq!(other.open(&PAGE, &object).unwrap_err().kind(), ErrorKind::UnknownDataKey);

        // Putting the key id of the other store into the header does not help.
        let mut claimed = object.to_vec();
        claimed[8..16].copy_from_slice(other.keyset().unwrap().active_key().as_bytes());
        assert_eq!(other.open(&PAGE, &claimed).unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[tokio::test]
async fn encryption_refuses_downgrades() {
    let sealed = envelope(EncryptionAlgorithm::AES256GCM).await;
    let object = sealed.seal(&PAGE, b"content", &SealOptions::default()).unwrap();
    let with_byte = |at: usize, value: u8| {
        let mut changed = object.to_vec();
        changed[at] = value;
        sealed.open(&PAGE, &changed).unwrap_err().kind()
    };
    assert_eq!(with_byte(5, 0), ErrorKind::Damaged, "plaintext suite over a sealed object");
    assert_eq!(with_byte(5, 2), ErrorKind::Damaged, "another suite");
    assert_eq!(with_byte(5, 3), ErrorKind::Damaged, "another suite");
    assert_eq!(with_byte(5, 4), ErrorKind::Damaged, "no suite");
    assert_eq!(with_byte(4, 0), ErrorKind::Damaged, "version 0");
    assert_eq!(with_byte(4, 2), ErrorKind::UnsupportedVersion { found: 2, supported: 1 });
    assert_eq!(with_byte(6, 4), ErrorKind::Damaged, "an unknown flag");
    let newer = ObjectHeader::parse(b"CIMO\x02 short").unwrap_err().kind();
    assert_eq!(newer, ErrorKind::UnsupportedVersion { found: 2, supported: 1 }, "of any size");
}

/// An intact plaintext object of the same index is refused by its encrypted store, and vice versa.
#[tokio::test]
async fn encryption_keeps_plaintext_and_encrypted_apart() {
    let plaintext = Envelope::plaintext(INDEX);
    let encrypted = envelope(EncryptionAlgorithm::ChaCha20Poly1305).await;
    let options = SealOptions::default();
    let clear = plaintext.seal(&PAGE, b"content", &options).unwrap();
    let sealed = encrypted.seal(&PAGE, b"content", &options).unwrap();
    let replaced = encrypted.open(&PAGE, &clear).unwrap_err();
    assert_eq!(replaced.kind(), ErrorKind::Damaged);
    assert!(replaced.to_string().contains("was replaced or mixed up"), "{replaced}");
    assert_eq!(plaintext.open(&PAGE, &sealed).unwrap_err().kind(), ErrorKind::Encrypted);
}

#[tokio::test]
async fn encryption_reseals_between_keys_places_and_modes() {
    let old = keyset(EncryptionAlgorithm::AES256GCM).await;
    let new = Envelope::encrypted(old.with_new_data_key(EncryptionAlgorithm::XChaCha20Poly1305).unwrap());
    let old = Envelope::encrypted(old);
    let plaintext = Envelope::plaintext(INDEX);
    let there = ObjectContext { name: "elsewhere", ..PAGE };
    for options in every_option() {
        let content = content(3000);
        let object = old.seal(&PAGE, &content, &options).unwrap();
        assert!(!old.is_stale(&object).unwrap() && new.is_stale(&object).unwrap());

        let resealed = new.reseal(&there, &new, &PAGE, &object).unwrap();
        assert!(!new.is_stale(&resealed).unwrap());
        assert_eq!(resealed.len(), object.len(), "compression and padding stay as they are");
        assert_eq!(new.open(&there, &resealed).unwrap(), content);

        let clear = plaintext.reseal(&PAGE, &new, &there, &resealed).unwrap();
        assert_eq!(plaintext.open(&PAGE, &clear).unwrap(), content);
        assert!(new.is_stale(&clear).unwrap());
        let sealed = new.reseal(&PAGE, &plaintext, &PAGE, &clear).unwrap();
        assert_eq!(new.open(&PAGE, &sealed).unwrap(), content);

        let misplaced = new.reseal(&PAGE, &new, &there, &object);
        assert_eq!(misplaced.unwrap_err().kind(), ErrorKind::Damaged);
    }
}

/// Sealing and opening from many threads gives the same results as from one thread.
#[tokio::test]
async fn encryption_is_safe_from_many_threads() {
    let envelope = envelope(EncryptionAlgorithm::AES256GCM).await;
    let objects: Vec<Bytes> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let envelope = &envelope;
                scope.spawn(move || {
                    let name = number.to_string();
                    let place = ObjectContext { bucket: ["a", "b"][number % 2], name: &name, ..PAGE };
                    let seal = || envelope.seal(&place, name.as_bytes(), &SealOptions::default()).unwrap();
                    (1..50).for_each(|_| drop(seal()));
                    seal()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (number, object) in objects.iter().enumerate() {
        let name = number.to_string();
        let place = ObjectContext { bucket: ["a", "b"][number % 2], name: &name, ..PAGE };
        assert_eq!(envelope.open(&place, object).unwrap(), name);
    }
    assert_eq!(envelope.keyset().unwrap().keys()[0].usage.seals, 400);
}

/// An attacker who replaces the root record with a plaintext record wants the user to omit the key.
/// No hint may advise that.
#[tokio::test]
async fn encryption_never_advises_the_downgrade() {
    let keyset = keyset(EncryptionAlgorithm::AES256GCM).await;
    let forged = Envelope::plaintext(INDEX).root_record();
    let key = key_source(1);
    let errors = [
        Envelope::open_root(&forged, Some(&key)).await.unwrap_err(),
        Keyset::open(&forged, &key).await.unwrap_err(),
        keyset.reopen(&forged).unwrap_err(),
    ];
    for error in errors {
        let hint = error.hint();
        assert!(!hint.contains("without a key"), "{hint}");
        assert!(hint.contains("restore a backup"), "{hint}");
    }
}

#[tokio::test]
async fn encryption_root_record_tells_the_stores_apart() {
    let encrypted = Envelope::encrypted(keyset(EncryptionAlgorithm::AES256GCM).await);
    let plaintext = Envelope::plaintext(INDEX);
    let (key, wrong) = (key_source(1), key_source(2));
    let kind = async |record: Bytes, source| Envelope::open_root(&record, source).await.err().map(|error| error.kind());

    assert_eq!(kind(encrypted.root_record(), Some(&key)).await, None);
    assert_eq!(kind(encrypted.root_record(), Some(&wrong)).await, Some(ErrorKind::WrongKey));
    assert_eq!(kind(encrypted.root_record(), None).await, Some(ErrorKind::MissingKey));
    assert_eq!(kind(plaintext.root_record(), None).await, None);
    assert_eq!(kind(plaintext.root_record(), Some(&key)).await, Some(ErrorKind::NotEncrypted));

    for record in [encrypted.root_record(), plaintext.root_record()] {
        let mut newer = record.to_vec();
        newer[4] = 9;
        let expected = ErrorKind::UnsupportedVersion { found: 9, supported: 1 };
        assert_eq!(kind(newer.into(), Some(&key)).await, Some(expected));
        let short = Bytes::from_static(b"CIMR\x09 a newer record");
        assert_eq!(kind(short, Some(&key)).await, Some(expected), "of any size");
    }
}
