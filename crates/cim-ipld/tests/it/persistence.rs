use std::sync::Arc;

use cim_ipld::backend::MemoryBackend;
use cim_ipld::{
    ContentEncryption, ContentIndex, EncryptionAlgorithm, ErrorKind, FilePin, IndexName, IndexPersistence, SearchQuery,
};

use crate::fixture::{
    self, ANSWER_SIZES, Place, TestResult, answers, cid, fill, index_of, process, sizes, tagged, text, unranked,
};

mod documented {
    use super::*;

    #[tokio::test]
    async fn basic_persistence() -> TestResult {
        let Place::Nats(server) = Place::nats() else { unreachable!() };
        let jetstream = fixture::jetstream(&server).await;
        let (cid, metadata) = (cid("content"), tagged(&["first"]));

        // Create persistence service
        let persistence = IndexPersistence::new(jetstream, None, false).await?;

        // Create index with persistence
        let index = ContentIndex::with_persistence(Arc::new(persistence));

        // Index content (automatically persisted)
        index.index_document(cid, &metadata, Some("content")).await?;

        // Load from persistence on restart
        index.load_from_persistence().await?;

        let restarted = index_of(IndexPersistence::new(fixture::jetstream(&server).await, None, false).await?);
        let loaded = restarted.load_from_persistence().await?;
        assert_eq!(loaded.documents, 1);
        assert_eq!(restarted.search(&text("content")).await?, index.search(&text("content")).await?);
        assert_eq!(restarted.search(&text("content")).await?[0].cid, cid);
        Ok(())
    }
}

#[test]
fn a_restart_answers_the_same() -> TestResult {
    for place in Place::all() {
        let key = ContentEncryption::generate_key(EncryptionAlgorithm::XChaCha20Poly1305);
        let open = async || place.builder().await.encryption_key(key.duplicate()).open().await.map(index_of);
        let first = process(async {
            let created = place.builder().await.encryption_key(key.duplicate()).create().await?;
            let index = index_of(created);
            fill(&index).await?;
            answers(&index).await
        })?;
        assert_eq!(sizes(&first), ANSWER_SIZES, "{}", place.what());

        let (from_the_journal, folded) = process(async {
            let index = open().await?;
            let before = answers(&index).await?;
            index.persist().await?;
            Ok::<_, cim_ipld::Error>((before, answers(&index).await?))
        })?;
        assert_eq!(from_the_journal, first, "{}", place.what());
        assert_eq!(unranked(&folded), unranked(&first), "{}", place.what());

        let (from_pages, loaded, verified) = process(async {
            let index = open().await?;
            let answers = answers(&index).await?;
            Ok::<_, cim_ipld::Error>((answers, index.load_from_persistence().await?, index.verify().await?))
        })?;
        assert_eq!(from_pages, folded, "{}", place.what());
        assert_eq!(loaded.documents, 6, "{}", place.what());
        assert!(loaded.pages > 0 && loaded.bytes > 0, "{}: {loaded:?}", place.what());
        assert!(verified.is_sound(), "{}: {verified:?}", place.what());
        assert_eq!((verified.documents, verified.pages > 0), (6, true), "{}", place.what());
    }
    Ok(())
}

#[tokio::test]
async fn what_was_never_replaced_is_scored_alike_in_the_journal_and_in_pages() -> TestResult {
    let index = index_of(Place::memory().builder().await.create().await?);
    for (name, content) in [("one", "a quiet harbour at dawn"), ("two", "bread at dawn"), ("three", "harbour, harbour")]
    {
        index.index_document(cid(name), &tagged(&["sea", "morning"]), Some(content)).await?;
    }
    let before = answers(&index).await?;
    assert_eq!(before[0].len(), 2);
    index.persist().await?;
    assert_eq!(answers(&index).await?, before);
    Ok(())
}

#[test]
fn a_backup_comes_back() -> TestResult {
    for place in Place::all() {
        process(async {
            let index = index_of(place.builder().await.create().await?);
            fill(&index).await?;
            let before = answers(&index).await?;
            let backup = index.backup("monday").await?;
            assert_eq!((backup.name.as_str(), backup.documents), ("monday", 6), "{}", place.what());
            assert_eq!(index.backup("monday").await.unwrap_err().kind(), ErrorKind::SnapshotExists);
            // Creating a backup folds the journal first.
            let folded = answers(&index).await?;
            assert_eq!(unranked(&folded), unranked(&before), "{}", place.what());

            index.remove(&cid("harbour")).await?;
            index.index_document(cid("later"), &tagged(&["sea"]), Some("a harbour of later days")).await?;
            assert_ne!(unranked(&answers(&index).await?), unranked(&before), "{}", place.what());
            index.backup("tuesday").await?;
            let names: Vec<String> = index.list_backups().await?.into_iter().map(|backup| backup.name).collect();
            assert_eq!(names, ["monday", "tuesday"], "{}", place.what());

            index.restore_backup("monday").await?;
            assert_eq!(answers(&index).await?, folded, "{}", place.what());
            index.delete_backup("monday").await?;
            assert_eq!(answers(&index).await?, folded, "{}", place.what());
            for outcome in [index.restore_backup("monday").await.map(drop), index.delete_backup("monday").await] {
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::SnapshotMissing, "{}", place.what());
            }
            assert_eq!(index.list_backups().await?.len(), 1, "{}", place.what());
            assert!(index.verify().await?.is_sound(), "{}", place.what());
            Ok::<_, cim_ipld::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn many_entries_become_durable_together() -> TestResult {
    for place in Place::all() {
        let documents: Vec<_> = (0..500)
            .map(|number| tagged(&["many"]).to_document(cid(&format!("number {number}")), Some("one of many")))
            .collect::<Result<_, _>>()?;
        process(async { index_of(place.builder().await.create().await?).index_all(&documents).await })?;
        let found = process(async {
            let index = index_of(place.builder().await.open().await?);
            let query = SearchQuery { tags: vec!["many".into()], limit: Some(1), ..SearchQuery::default() };
            index.find(&query.to_query()?, &query.to_options()).await
        })?;
        assert_eq!((found.total, found.hits.len()), (500, 1), "{}", place.what());
    }
    Ok(())
}

#[test]
fn an_index_is_made_once_and_opened_where_it_is() -> TestResult {
    for place in Place::all() {
        process(async {
            let opened = place.builder().await.open().await;
            assert_eq!(opened.unwrap_err().kind(), ErrorKind::NoIndex, "{}", place.what());
            if let Place::Folder(folder) = &place {
                assert!(!folder.path().join("store").exists(), "opening made a folder");
            }
        });
        process(async { place.builder().await.create().await.map(drop) })?;
        process(async {
            let created = place.builder().await.create().await;
            assert_eq!(created.unwrap_err().kind(), ErrorKind::IndexExists, "{}", place.what());
        });
        process(async { place.builder().await.open_or_create().await.map(drop) })?;
    }
    Ok(())
}

#[tokio::test]
async fn names_keep_indexes_apart() -> TestResult {
    let place = Place::memory();
    let (photos, notes) = (IndexName::new("photos")?, IndexName::new("notes")?);
    let photos = index_of(place.builder().await.name(photos).open_or_create().await?);
    let notes = index_of(place.builder().await.name(notes).open_or_create().await?);
    photos.index_document(cid("one"), &tagged(&[]), Some("harbour")).await?;
    assert_eq!(photos.search(&text("harbour")).await?.len(), 1);
    assert_eq!(notes.search(&text("harbour")).await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_folder_has_one_process_at_a_time() -> TestResult {
    let place = Place::folder();
    let first = index_of(place.builder().await.create().await?);
    for outcome in [place.builder().await.open().await, place.builder().await.open_or_create().await] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Locked);
    }
    first.index_document(cid("one"), &tagged(&[]), Some("harbour")).await?;
    assert_eq!(first.search(&text("harbour")).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_builder_refuses_what_makes_no_sense() {
    let without_store = IndexPersistence::builder().open_or_create().await;
    assert_eq!(without_store.unwrap_err().kind(), ErrorKind::InvalidInput);
    let backend = Arc::new(MemoryBackend::new());
    let builder = IndexPersistence::builder().backend(backend).algorithm(EncryptionAlgorithm::AES256GCM);
    assert_eq!(builder.create().await.unwrap_err().kind(), ErrorKind::InvalidInput, "an algorithm without a key");
}

#[tokio::test]
async fn a_pin_refuses_what_it_does_not_know_until_that_is_accepted() -> TestResult {
    let folder = tempfile::tempdir()?;
    let pin = folder.path().join("pins/index.pin");
    let key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
    let (one, other) = (Place::memory(), Place::memory());
    for place in [&one, &other] {
        let made = place.builder().await.encryption_key(key.duplicate()).pin(&pin).create().await?;
        let engine = made.engine().clone();
        fill(&index_of(made)).await?;
        // If the engine continued to run, it would store the pin of its own index again.
        engine.close().await;
    }
    // The pin belongs to the index created last. Both builder methods set the same pin.
    let pinned = async |place: &Place| {
        place.builder().await.encryption_key(key.duplicate()).pin_store(Arc::new(FilePin::new(&pin)))
    };
    pinned(&other).await.open().await?;
    for refused in [pinned(&one).await.open().await, pinned(&one).await.open_or_create().await] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Rollback);
    }
    one.builder().await.encryption_key(key.duplicate()).open().await?;
    let accepted = index_of(pinned(&one).await.accept_store().open().await?);
    assert_eq!(sizes(&answers(&accepted).await?), ANSWER_SIZES);
    pinned(&one).await.open().await?;
    assert_eq!(pinned(&other).await.open().await.unwrap_err().kind(), ErrorKind::Rollback);
    Ok(())
}
