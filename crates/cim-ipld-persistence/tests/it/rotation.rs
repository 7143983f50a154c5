use cim_ipld_envelope::{DataKeyState, EncryptionAlgorithm};
use cim_ipld_persistence::{Engine, ErrorKind, IndexName, Protection};

use crate::support::{Store, by_hand, create, document, documents, key, memory, total, try_open};

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
