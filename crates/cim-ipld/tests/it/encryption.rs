use std::sync::Arc;

use cim_ipld::backend::{Backend, Bucket, Key, MemoryBackend, Precondition};
use cim_ipld::envelope::{Argon2Profile, KeySlotKind};
use cim_ipld::{
    Cid, ContentEncryption, ContentIndex, EncryptedCidWrapper, EncryptedData, EncryptionAlgorithm, EncryptionKey,
    ErrorKind, IndexPersistence, KeySource, NatsEncryption, Passphrase, Settings,
};

use crate::fixture::{
    self, ANSWER_SIZES, Place, TestResult, answers, cid, fill, index_of, process, sizes, stored, tagged, text, unranked,
};

mod documented {
    use super::*;

    #[test]
    fn nats_native_encryption() -> TestResult {
        let config =
            NatsEncryption { enabled: true, key_file: Some("/path/to/key.pem".into()), cipher: "AES256".to_string() };

        assert!(config.enabled);
        Ok(())
    }

    #[test]
    fn encrypted_cid_wrapper() -> TestResult {
        #[allow(unreachable_pub, reason = "the documented text says pub")]
        mod as_documented {
            use serde::{Deserialize, Serialize};

            use super::*;

            #[derive(Serialize, Deserialize)]
            pub struct EncryptedCidWrapper {
                /// The unencrypted CID for content retrieval
                pub cid: Cid,
                /// Encrypted metadata
                pub encrypted_metadata: EncryptedData,
                /// Additional authenticated data
                pub aad: Vec<u8>,
            }
        }

        let key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
        let sealed = EncryptedCidWrapper::seal(&key, cid("harbour"), b"title: Harbour", b"collection 7")?;
        let EncryptedCidWrapper { cid, encrypted_metadata, aad } = sealed;
        let wrapper = as_documented::EncryptedCidWrapper { cid, encrypted_metadata, aad };
        assert_eq!((wrapper.cid, wrapper.aad.as_slice()), (fixture::cid("harbour"), b"collection 7".as_slice()));

        let as_documented::EncryptedCidWrapper { cid, encrypted_metadata, aad } = wrapper;
        let wrapper = EncryptedCidWrapper { cid, encrypted_metadata, aad };
        let wrapper = EncryptedCidWrapper::from_dag_cbor(&wrapper.to_dag_cbor())?;
        assert_eq!(wrapper.open(&key)?, b"title: Harbour");
        let moved = EncryptedCidWrapper { cid: fixture::cid("storm"), ..wrapper };
        assert!(moved.open(&key).is_err());
        Ok(())
    }

    #[tokio::test]
    async fn with_encryption() -> TestResult {
        let Place::Nats(server) = Place::nats() else { unreachable!() };
        let jetstream = fixture::jetstream(&server).await;

        // Generate encryption key
        let key = ContentEncryption::generate_key(EncryptionAlgorithm::ChaCha20Poly1305);
        let kept = key.duplicate();

        // Create encrypted persistence
        let persistence = IndexPersistence::new(jetstream, Some(key), false).await?;

        // Use as normal - encryption is transparent
        let index = ContentIndex::with_persistence(Arc::new(persistence));

        fill(&index).await?;
        let found = answers(&index).await?;
        assert_eq!(sizes(&found), ANSWER_SIZES);
        let keys = index.persistence().ok_or("no persistence")?.keys()?;
        assert_eq!(keys.data_keys[0].algorithm, EncryptionAlgorithm::ChaCha20Poly1305);
        let jetstream = fixture::jetstream(&server).await;
        let restarted = index_of(IndexPersistence::new(jetstream, Some(kept), false).await?);
        assert_eq!(answers(&restarted).await?, found);
        Ok(())
    }

    #[tokio::test]
    async fn key_rotation() -> TestResult {
        let Place::Nats(server) = Place::nats() else { unreachable!() };
        let old_key = ContentEncryption::generate_key(EncryptionAlgorithm::ChaCha20Poly1305);
        let jetstream = fixture::jetstream(&server).await;
        let persistence = Arc::new(IndexPersistence::new(jetstream, Some(old_key.duplicate()), false).await?);
        let index = ContentIndex::with_persistence(Arc::clone(&persistence));
        fill(&index).await?;
        let found = answers(&index).await?;

        // Rotate to new key
        let new_key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
        let kept = new_key.duplicate();
        persistence.rotate_encryption_key(new_key).await?;

        // A rotation folds the journal, which changes the statistics behind the scores.
        assert_eq!(unranked(&answers(&index).await?), unranked(&found));
        let rotated = answers(&index).await?;
        let refused = IndexPersistence::new(fixture::jetstream(&server).await, Some(old_key), false).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::WrongKey);
        let reopened = index_of(IndexPersistence::new(fixture::jetstream(&server).await, Some(kept), false).await?);
        assert_eq!(answers(&reopened).await?, rotated);
        Ok(())
    }
}

#[test]
fn rotation_loses_nothing_and_goes_on() -> TestResult {
    for place in Place::all() {
        let mut key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
        process(async { place.builder().await.encryption_key(key.duplicate()).create().await.map(drop) })?;
        for (turn, algorithm) in EncryptionAlgorithm::ALL.into_iter().enumerate() {
            let next = ContentEncryption::generate_key(algorithm);
            let old = std::mem::replace(&mut key, next.duplicate());
            process(async {
                let persistence = Arc::new(place.builder().await.encryption_key(old.duplicate()).open().await?);
                let index = ContentIndex::with_persistence(Arc::clone(&persistence));
                index.index_document(cid(&format!("before {turn}")), &tagged(&[]), Some("harbour")).await?;
                index.persist().await?;
                persistence.rotate_encryption_key(next).await?;
                index.index_document(cid(&format!("after {turn}")), &tagged(&[]), Some("harbour")).await
            })?;
            process(async {
                let refused = place.builder().await.encryption_key(old).open().await;
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::WrongKey, "{}", place.what());
            });
            process(async {
                let persistence = place.builder().await.encryption_key(key.duplicate()).open().await?;
                let newest = persistence.keys()?.data_keys.pop().map(|key| key.algorithm);
                assert_eq!(newest, Some(algorithm), "{}", place.what());
                let found = index_of(persistence).search(&text("harbour")).await?;
                assert_eq!(found.len(), 2 * (turn + 1), "{}", place.what());
                Ok::<_, cim_ipld::Error>(())
            })?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_plaintext_index_has_no_key_to_rotate() -> TestResult {
    let persistence = Place::memory().builder().await.create().await?;
    let key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
    assert_eq!(persistence.rotate_encryption_key(key).await.unwrap_err().kind(), ErrorKind::NotEncrypted);
    assert_eq!(persistence.keys().unwrap_err().kind(), ErrorKind::NotEncrypted);
    Ok(())
}

#[tokio::test]
async fn a_passphrase_opens_what_it_made() -> TestResult {
    let place = Place::memory();
    let passphrase = |words: &str| {
        // The lowest cost, to keep the test fast.
        let profile = Argon2Profile::new(64, 1, 1)?;
        Ok::<_, cim_ipld::envelope::Error>(KeySource::Passphrase(Passphrase::new(words)?, profile))
    };
    let made = place.builder().await.key_source(passphrase("correct horse")?).create().await?;
    assert_eq!(made.keys()?.data_keys[0].algorithm, EncryptionAlgorithm::AES256GCM);
    assert!(matches!(made.keys()?.slots[0].kind, KeySlotKind::Passphrase(_)));
    let refused = place.builder().await.key_source(passphrase("wrong horse")?).open().await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::WrongKey);
    place.builder().await.key_source(passphrase("correct horse")?).open().await?;
    Ok(())
}

/// What prevents a second process from opening the store.
enum Attempt {
    WrongKey,
    NoKey,
    KeyForPlaintext,
    NewerVersion,
    DamagedRoot,
    DamagedManifest,
}

#[tokio::test]
async fn a_refused_opening_says_why_and_changes_nothing() -> TestResult {
    let key = || EncryptionKey::from_bytes(EncryptionAlgorithm::AES256GCM, [7; 32]);
    let other = || EncryptionKey::from_bytes(EncryptionAlgorithm::AES256GCM, [8; 32]);
    for (attempt, brought, expected) in [
        (Attempt::WrongKey, Some(other()), ErrorKind::WrongKey),
        (Attempt::NoKey, None, ErrorKind::KeyRequired),
        (Attempt::KeyForPlaintext, Some(key()), ErrorKind::NotEncrypted),
        (Attempt::NewerVersion, Some(key()), ErrorKind::UnsupportedVersion),
        (Attempt::DamagedRoot, Some(key()), ErrorKind::Damaged),
        (Attempt::DamagedManifest, Some(key()), ErrorKind::Damaged),
    ] {
        let backend = Arc::new(MemoryBackend::new());
        let builder = || IndexPersistence::builder().backend(Arc::clone(&backend) as Arc<dyn Backend>);
        let made = match attempt {
            Attempt::KeyForPlaintext => builder().create().await?,
            _ => builder().encryption_key(key()).create().await?,
        };
        let index = index_of(made);
        fill(&index).await?;
        index.persist().await?;
        drop(index);
        match attempt {
            Attempt::NewerVersion => alter(&backend, "keyset", |root| root[4] += 1).await?,
            Attempt::DamagedRoot => alter(&backend, "keyset", |root| root[40] ^= 1).await?,
            Attempt::DamagedManifest => alter(&backend, "manifest", |manifest| manifest[90] ^= 1).await?,
            _ => {}
        }
        let before = stored(&*backend).await;
        assert!(!before.is_empty());
        let outcomes = match brought {
            None => [builder().open().await, builder().open_or_create().await],
            Some(key) => [
                builder().encryption_key(key.duplicate()).open().await,
                builder().encryption_key(key).open_or_create().await,
            ],
        };
        for outcome in outcomes {
            let error = outcome.expect_err("the opening was to be refused");
            assert_eq!(error.kind(), expected, "{error:?}");
            assert!(!error.hint().is_empty());
        }
        assert_eq!(stored(&*backend).await, before, "a refused opening ({expected:?}) changed the store");
    }
    Ok(())
}

/// Changes a value of the catalog without the engine.
async fn alter(backend: &MemoryBackend, key: &str, change: impl FnOnce(&mut Vec<u8>)) -> TestResult {
    let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new(key)?);
    let mut value = backend.get(&bucket, &key).await?.ok_or("nothing to alter")?.value.to_vec();
    change(&mut value);
    backend.put(&bucket, &key, value.into(), Precondition::Any).await?;
    Ok(())
}

#[tokio::test]
async fn the_store_holds_no_word_that_was_indexed() -> TestResult {
    const SECRETS: [&str; 5] = ["Wintergarten", "Rosenquist", "cartographer", "confidential", "application/x-ledger"];
    let mut settings = Settings::default();
    settings.compression_level = None;
    for (key, expected) in [(Some(EncryptionKey::generate(EncryptionAlgorithm::AES256GCM)), false), (None, true)] {
        let backend = Arc::new(MemoryBackend::new());
        let builder =
            IndexPersistence::builder().backend(Arc::clone(&backend) as Arc<dyn Backend>).settings(settings.clone());
        let builder = match key {
            Some(key) => builder.encryption_key(key),
            None => builder,
        };
        let index = index_of(builder.create().await?);
        let mut metadata = tagged(&["confidential"]);
        metadata.title = Some("Wintergarten".into());
        metadata.author = Some("Rosenquist".into());
        metadata.content_type = Some("application/x-ledger".into());
        index.index_document(cid("secret"), &metadata, Some("notes of the cartographer")).await?;
        let from_the_journal = stored(&*backend).await;
        index.persist().await?;
        index.backup("Wintergarten").await?;
        let entries = [from_the_journal, stored(&*backend).await].concat();
        for secret in SECRETS {
            let secret = secret.as_bytes();
            let found = entries.iter().any(|entry| {
                let names = entry.key.as_str().as_bytes();
                [names, &entry.entry.value]
                    .iter()
                    .any(|bytes| bytes.windows(secret.len()).any(|window| window == secret))
            });
            // Without encryption, the same search finds them, so the search itself works.
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(secret));
        }
    }
    Ok(())
}
