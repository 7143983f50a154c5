use cim_ipld_backend::{Bucket, KeyPrefix, Precondition, Revision};
use cim_ipld_envelope::{DataKeyState, EncryptionAlgorithm};
use cim_ipld_persistence::{Engine, ErrorKind, IndexName, Protection};
use futures::StreamExt;

use crate::support::{Store, by_hand, cid, create, document, documents, key, memory, total, try_open};

#[tokio::test]
async fn encryption_keys_rotate_without_loss_on_every_backend() {
    for (name, store) in Store::all().await {
        let backend = store.connect().await;
        let engine = create(&backend).await;
        engine.index(&documents(0..10)).await.expect("indexed");
        engine.fold().await.expect("folded");
        engine.index(&documents(10..12)).await.expect("indexed");
        engine.create_snapshot("before").await.expect("snapshot");
        for (byte, algorithm) in [
            (2, EncryptionAlgorithm::ChaCha20Poly1305),
            (3, EncryptionAlgorithm::XChaCha20Poly1305),
            (4, EncryptionAlgorithm::AES256GCM),
        ] {
            engine.rotate_key(&key(byte), algorithm).await.expect("rotated");
            assert_eq!(engine.algorithm(), Some(algorithm), "{name}");
            engine.index(&[document(100 + u32::from(byte), 0)]).await.expect("indexed");
        }
        let keys = engine.keys().expect("listed");
        assert_eq!((keys.slots.len(), keys.data_keys.len()), (1, 4), "{name}");
        let active = keys.data_keys.iter().filter(|key| key.state == DataKeyState::Active).count();
        assert_eq!(active, 1, "{name}");
        drop(backend);
        engine.close().await;

        let backend = store.connect().await;
        for old in 1..4 {
            let error = try_open(&backend, Some(key(old))).await.expect_err("an old key");
            assert_eq!(error.kind(), ErrorKind::WrongKey, "{name}: key {old}");
        }
        let engine = try_open(&backend, Some(key(4))).await.expect("opened");
        assert_eq!(total(&engine, "shared").await, 15, "{name}");
        engine.restore_snapshot("before").await.expect("restored");
        assert_eq!(total(&engine, "shared").await, 12, "{name}: what the first key sealed is readable");
        assert!(engine.verify().await.expect("verified").is_sound(), "{name}");
    }
}

#[tokio::test]
async fn encryption_keys_of_a_plaintext_index_cannot_be_rotated() {
    let engine =
        Engine::create(memory(), &IndexName::default(), Protection::Plaintext, by_hand()).await.expect("created");
    engine.index(&documents(0..3)).await.expect("indexed");
    let error = engine.rotate_key(&key(2), EncryptionAlgorithm::AES256GCM).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::NotEncrypted);
    assert_eq!(engine.keys().expect_err("refused").kind(), ErrorKind::NotEncrypted);
    assert_eq!(engine.algorithm(), None);
    assert_eq!(total(&engine, "shared").await, 3);
}

/// A keyset holds 1,024 data keys. When it is almost full, those under which nothing is sealed make
/// room.
#[tokio::test]
async fn encryption_keys_rotate_without_end() {
    let backend = memory();
    let engine = create(&backend).await;
    let rotate = async |number: u32| {
        let key = key(u8::try_from(number % 2).expect("a byte"));
        engine.rotate_key(&key, EncryptionAlgorithm::AES256GCM).await
    };
    for number in 0..1100 {
        match number {
            // Nothing is left of these documents, so neither is of their data keys.
            10 => drop(engine.index(&documents(1000..1010)).await.expect("indexed")),
            20 => drop(engine.delete(&(1000..1010).map(cid).collect::<Vec<_>>()).await.expect("deleted")),
            30 => drop(engine.index(&documents(0..10)).await.expect("indexed")),
            40 => drop(engine.create_snapshot("old").await.expect("snapshot")),
            50 => drop(engine.index(&documents(5..15)).await.expect("indexed")),
            _ => {}
        }
        rotate(number).await.unwrap_or_else(|error| panic!("rotation {number}: {error}"));
    }
    let keys = engine.keys().expect("listed").data_keys;
    assert!((256..600).contains(&keys.len()), "{} data keys", keys.len());
    assert!(keys[0].since_generation < 100, "a data key of the old documents is kept: {:?}", keys[0]);
    engine.close().await;

    let engine = try_open(&backend, Some(key(1))).await.expect("opened");
    assert!(engine.verify().await.expect("verified").is_sound());
    assert_eq!(total(&engine, "shared").await, 15);
    engine.restore_snapshot("old").await.expect("restored");
    assert_eq!(total(&engine, "shared").await, 10);
}

/// If an object cannot be opened, its data key is unknown, so no data key is removed, and rotation
/// stops when the keyset is full.
#[tokio::test]
async fn encryption_keys_of_damaged_objects_are_not_removed() {
    let backend = memory();
    let engine = create(&backend).await;
    engine.index(&documents(0..10)).await.expect("indexed");
    engine.fold().await.expect("folded");
    let text = Bucket::objects("text_index_v1").expect("a bucket");
    let page = backend.scan(&text, &KeyPrefix::all(), Revision::ZERO).next().await.expect("a page").expect("read");
    backend.delete(&text, std::slice::from_ref(&page.key)).await.expect("removed");
    for number in 0..1023 {
        let key = key(u8::try_from(number % 2).expect("a byte"));
        engine.rotate_key(&key, EncryptionAlgorithm::AES256GCM).await.expect("rotated");
    }
    let error = engine.rotate_key(&key(2), EncryptionAlgorithm::AES256GCM).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert_eq!(engine.keys().expect("listed").data_keys.len(), 1024);

    backend.put(&text, &page.key, page.entry.value, Precondition::Absent).await.expect("put back");
    engine.rotate_key(&key(2), EncryptionAlgorithm::AES256GCM).await.expect("rotated");
    assert_eq!(total(&engine, "shared").await, 10);
}
