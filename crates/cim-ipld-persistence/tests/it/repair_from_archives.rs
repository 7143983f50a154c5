//! Archives as sources of a repair: what an index has lost is put back from an export of another
//! time, key or name, and nothing that is not authentic is taken.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cim_ipld_backend::{Backend, Key};
use cim_ipld_envelope::EncryptionAlgorithm;
use cim_ipld_persistence::{
    ArchiveSource, Engine, ErrorKind, ExportOptions, ImportOptions, IndexName, Protection, RepairOptions, RepairReport,
    RepairSource, Result, StoreSource, StoredObject,
};

use crate::hand::{BUCKETS, Hand, Held, bucket, numbers};
use crate::support::{cid, document, documents, key};

async fn source(path: impl Into<PathBuf>) -> Arc<dyn RepairSource> {
    Arc::new(ArchiveSource::open(path).await.expect("an archive"))
}

async fn repair(hand: &Hand, sources: &[Arc<dyn RepairSource>]) -> Result<RepairReport> {
    Held::all().builder(hand.store()).repair(Some(key(1)), sources, RepairOptions::default()).await
}

async fn export(engine: &Engine, path: &Path) {
    engine.export_to_file(path, ExportOptions::default()).await.expect("exported");
}

/// Opens and verifies the index, and returns the numbers of its documents.
async fn sound_numbers(hand: &Hand) -> Vec<u32> {
    let engine = Held::all().open(hand.store()).await.expect("opened");
    let report = engine.verify().await.expect("verified");
    assert!(report.is_sound(), "{:?}", report.problems);
    numbers(&engine).await.expect("read")
}

async fn delete(hand: &Hand, objects: impl IntoIterator<Item = StoredObject>) {
    for object in objects {
        let key = Key::new(&object.key).expect("a key");
        hand.0.delete(&bucket(&object.bucket), &[key]).await.expect("deleted");
    }
}

async fn objects(hand: &Hand, buckets: &[&str]) -> Vec<StoredObject> {
    let mut objects = Vec::new();
    for name in buckets {
        let entries = hand.all(name).await;
        objects.extend(
            entries
                .into_iter()
                .map(|entry| StoredObject { bucket: (*name).to_owned(), key: entry.key.as_str().to_owned() }),
        );
    }
    objects
}

/// Returns the objects with whose loss documents of the index are lost.
async fn stored_pages(hand: &Hand) -> Vec<StoredObject> {
    let mut pages = Vec::new();
    for object in objects(hand, &["metadata_cache_v1"]).await {
        let fork = hand.fork();
        delete(&fork, [object.clone()]).await;
        let builder = Held::all().builder(fork.store());
        let recovery = builder.open_for_recovery(Some(key(1))).await.expect("opened");
        let report = recovery.verify().await.expect("verified");
        if report.problems.iter().any(|problem| problem.of_index && problem.documents > 0) {
            pages.push(object);
        }
    }
    pages
}

/// Makes an index whose documents 0..40 are exported to `path`. Afterwards, 0..5 are deleted, 20 is
/// replaced, 40..60 are added, and everything is merged into one segment.
async fn changed_since(path: &Path) -> Hand {
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..40)).await.expect("indexed");
    export(&engine, path).await;
    engine.delete(&(0..5).map(cid).collect::<Vec<_>>()).await.expect("deleted");
    engine.index(&[document(20, 1)]).await.expect("indexed");
    for number in 40..60 {
        engine.index(&[document(number, 0)]).await.expect("indexed");
        engine.fold().await.expect("folded");
        engine.merge().await.expect("merged");
    }
    engine.close().await;
    hand
}

#[tokio::test]
async fn every_object_is_put_back_from_an_archive() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index.car");
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..40)).await.expect("indexed");
    engine.create_snapshot("one").await.expect("snapshot");
    engine.delete(&[cid(3)]).await.expect("deleted");
    for number in 40..60 {
        engine.index(&[document(number, 0)]).await.expect("indexed");
        engine.fold().await.expect("folded");
    }
    export(&engine, &path).await;
    engine.close().await;
    let whole = sound_numbers(&hand).await;
    delete(&hand, objects(&hand, &BUCKETS).await).await;
    let report = repair(&hand, &[source(&path).await]).await.expect("repaired");
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.returned_documents, 0, "{report:?}");
    assert_eq!(sound_numbers(&hand).await, whole);
    let engine = Held::all().open(hand.store()).await.expect("opened");
    engine.restore_snapshot("one").await.expect("restored");
    assert_eq!(numbers(&engine).await.expect("read"), Vec::from_iter(0..40));
}

#[tokio::test]
async fn documents_are_put_back_from_an_archive_with_other_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("yesterday.car");
    let hand = changed_since(&path).await;
    let pages = stored_pages(&hand).await;
    assert!(!pages.is_empty());
    delete(&hand, pages).await;
    let report = repair(&hand, &[source(&path).await]).await.expect("repaired");
    assert_eq!((report.returned_documents, report.lost_unknown_documents), (35, 0), "{report:?}");
    let lost: BTreeSet<_> = report.lost_documents.iter().copied().collect();
    assert_eq!(lost, (40..60).map(cid).collect(), "{report:?}");
    assert_eq!(sound_numbers(&hand).await, Vec::from_iter(5..40), "deleted documents stay deleted");
    let engine = Held::all().open(hand.store()).await.expect("opened");
    let found = engine.documents(&[cid(20)]).await.expect("read");
    assert_eq!(found, [Some(document(20, 0))], "the newest version that is left");
    assert_eq!(crate::support::total(&engine, "number20").await, 1);
}

#[tokio::test]
async fn deleted_documents_are_put_back_only_if_nothing_tells_which_ones_are_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("yesterday.car");
    let hand = changed_since(&path).await;
    delete(&hand, objects(&hand, &BUCKETS[1..]).await).await;
    let report = repair(&hand, &[source(&path).await]).await.expect("repaired");
    assert_eq!((report.returned_documents, report.lost_deletions), (40, 40), "{report:?}");
    assert_eq!((report.lost_unknown_documents, report.lost_documents.len()), (55, 0), "{report:?}");
    assert_eq!(sound_numbers(&hand).await, Vec::from_iter(0..40));
}

#[tokio::test]
async fn the_newest_source_has_precedence_and_snapshots_and_journals_are_sources_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first.car"), folder.path().join("second.car"));
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..10)).await.expect("indexed");
    export(&engine, &first).await;
    engine.index(&[document(1, 1), document(2, 1), document(3, 1), document(4, 1)]).await.expect("indexed");
    export(&engine, &second).await;
    engine.index(&[document(2, 2), document(3, 2), document(4, 2)]).await.expect("indexed");
    let copy: Arc<dyn RepairSource> = Arc::new(StoreSource::new(hand.fork().store()));
    engine.index(&[document(3, 3), document(4, 3)]).await.expect("indexed");
    engine.create_snapshot("one").await.expect("snapshot");
    for number in 10..20 {
        engine.index(&[document(number, 0), document(4, 4 + number)]).await.expect("indexed");
        engine.fold().await.expect("folded");
        engine.merge().await.expect("merged");
    }
    engine.close().await;
    let pages = stored_pages(&hand).await;
    let lost_with = async |sources: &[Arc<dyn RepairSource>]| {
        let hand = hand.fork();
        delete(&hand, pages.clone()).await;
        // Whatever the snapshot shares with the index is lost with it, too.
        let report = repair(&hand, sources).await.expect("repaired");
        sound_numbers(&hand).await;
        let engine = Held::all().open(hand.store()).await.expect("opened");
        let found = engine.documents(&(0..5).map(cid).collect::<Vec<_>>()).await.expect("read");
        (report, found)
    };
    let versions = |versions: [u32; 5]| (0..).zip(versions).map(|(n, v)| Some(document(n, v))).collect::<Vec<_>>();
    let archives = [source(&first).await, source(&second).await];
    let (report, found) = lost_with(&[]).await;
    assert_eq!(found, versions([0, 1, 2, 3, 3]), "from the snapshot: {report:?}");
    let (report, found) = lost_with(&archives).await;
    assert_eq!(found, versions([0, 1, 2, 3, 3]), "the snapshot is newer: {report:?}");

    let engine = Held::all().open(hand.store()).await.expect("opened");
    engine.delete_snapshot("one").await.expect("deleted");
    engine.close().await;
    let (report, found) = lost_with(&[]).await;
    assert_eq!(found, [None, None, None, None, None], "{report:?}");
    let (report, found) = lost_with(&archives).await;
    assert_eq!(found, versions([0, 1, 1, 1, 1]), "{report:?}");
    let (report, found) = lost_with(&[archives, [Arc::clone(&copy), copy]].concat()).await;
    assert_eq!(found, versions([0, 1, 2, 2, 2]), "from the journal of the copy: {report:?}");
}

#[tokio::test]
async fn an_archive_from_before_a_rotation_opens_with_the_keys_of_the_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let (before, copied) = (folder.path().join("before.car"), folder.path().join("copied.car"));
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..40)).await.expect("indexed");
    export(&engine, &before).await;
    let builder = Held::all().builder(Hand::default().store());
    let copy = builder.import_file(&before, Some(key(1)), ImportOptions::default()).await.expect("imported").engine;
    export(&copy, &copied).await;
    engine.rotate_key(&key(2), EncryptionAlgorithm::ChaCha20Poly1305).await.expect("rotated");
    engine.close().await;
    delete(&hand, objects(&hand, &BUCKETS[1..]).await).await;

    let builder = || Held::all().builder(hand.store());
    let repair = async |path: &PathBuf| {
        let sources = [source(path).await];
        builder().repair(Some(key(2)), &sources, RepairOptions::default()).await
    };
    // A copy has a data key of its own, which only its own key opens.
    assert_eq!(repair(&copied).await.expect_err("refused").kind(), ErrorKind::InvalidInput);
    let report = repair(&before).await.expect("repaired");
    assert!(report.restored_objects > 5, "{report:?}");
    let engine = builder().open(Some(key(2))).await.expect("opened");
    assert_eq!(numbers(&engine).await.expect("read"), Vec::from_iter(0..40));
    assert!(engine.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn the_archive_of_a_copy_is_a_source_under_any_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index.car");
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..40)).await.expect("indexed");
    export(&engine, &path).await;
    engine.close().await;
    delete(&hand, objects(&hand, &BUCKETS[1..]).await).await;
    for name in [IndexName::default(), IndexName::new("copy").expect("a name")] {
        let (hand, what) = (hand.fork(), format!("{name:?}"));
        let builder = Held::all().builder(Hand::default().store()).name(name);
        let import = builder.import_file(&path, Some(key(1)), ImportOptions::default()).await.expect("imported").engine;
        import.index(&[document(20, 7)]).await.expect("indexed");
        let copied = folder.path().join(format!("{what}.car"));
        export(&import, &copied).await;
        let report = repair(&hand, &[source(&copied).await]).await.expect("repaired");
        assert!(report.restored_objects > 5 && report.lost_unknown_documents == 0, "{what}: {report:?}");
        assert_eq!(sound_numbers(&hand).await, Vec::from_iter(0..40), "{what}");
        let engine = Held::all().open(hand.store()).await.expect("opened");
        let found = engine.documents(&[cid(20)]).await.expect("read");
        assert_eq!(found, [Some(document(20, 0))], "{what}: what the index has is not replaced");
    }
}

#[tokio::test]
async fn archives_complete_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first.car"), folder.path().join("second.car"));
    let hand = Hand::default();
    let engine = Held::all().create(hand.store()).await.expect("created");
    engine.index(&documents(0..40)).await.expect("indexed");
    export(&engine, &first).await;
    engine.index(&[document(40, 0)]).await.expect("indexed");
    engine.export_to_file(&second, ExportOptions::default().since_file(&first)).await.expect("exported");
    for number in 41..60 {
        engine.index(&[document(number, 0)]).await.expect("indexed");
        engine.fold().await.expect("folded");
        engine.merge().await.expect("merged");
    }
    engine.close().await;
    let pages = stored_pages(&hand).await;
    for (paths, expected) in [(vec![&first], 40), (vec![&second], 1), (vec![&second, &first], 41)] {
        let hand = hand.fork();
        delete(&hand, pages.clone()).await;
        let mut sources = Vec::new();
        for path in paths {
            sources.push(source(path).await);
        }
        let report = repair(&hand, &sources).await.expect("repaired");
        assert_eq!(report.returned_documents, expected, "{report:?}");
        assert_eq!(sound_numbers(&hand).await.len() as u64, expected);
    }
}

#[tokio::test]
async fn a_damaged_archive_gives_what_is_left_of_it_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("yesterday.car");
    let hand = changed_since(&path).await;
    delete(&hand, stored_pages(&hand).await).await;
    let sound = std::fs::read(&path).expect("read");
    let mut returned = BTreeSet::new();
    for at in (0..sound.len()).step_by(sound.len() / 40) {
        for is_cut in [false, true] {
            let mut damaged = sound.clone();
            damaged[at] ^= 4;
            if is_cut {
                damaged.truncate(at);
            }
            let path = folder.path().join("damaged.car");
            std::fs::write(&path, damaged).expect("written");
            let hand = hand.fork();
            let repaired = match ArchiveSource::open(&path).await {
                Ok(source) => repair(&hand, &[Arc::new(source)]).await,
                Err(error) => Err(error),
            };
            match repaired {
                Ok(report) => {
                    returned.insert(report.returned_documents);
                    let engine = Held::all().open(hand.store()).await.expect("opened");
                    assert!(engine.verify().await.expect("verified").is_sound(), "{at}");
                    for number in numbers(&engine).await.expect("read") {
                        let found = engine.documents(&[cid(number)]).await.expect("read");
                        assert_eq!(found, [Some(document(number, 0))], "{at}");
                    }
                }
                Err(error) => {
                    let kinds = [ErrorKind::InvalidInput, ErrorKind::Damaged, ErrorKind::WrongKey];
                    assert!(kinds.contains(&error.kind()), "{at}: {error:?}");
                }
            }
        }
    }
    assert_eq!((returned.first(), returned.last()), (Some(&0), Some(&35)));
}

#[tokio::test]
async fn an_archive_of_another_index_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.car");
    let other = Held::all().create(Hand::default().store()).await.expect("created");
    export(&other, &path).await;
    let plain = folder.path().join("plain.car");
    let engine = Engine::builder(Hand::default().store()).create(Protection::Plaintext).await.expect("created");
    export(&engine, &plain).await;
    let hand = changed_since(&folder.path().join("own.car")).await;
    delete(&hand, stored_pages(&hand).await).await;
    let before = objects(&hand, &BUCKETS).await;
    for path in [path, plain] {
        let error = repair(&hand, &[source(&path).await]).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    assert_eq!(objects(&hand, &BUCKETS).await, before);
    let text = folder.path().join("text.car");
    std::fs::write(&text, "no archive").expect("written");
    for path in [&text, &folder.path().join("none.car"), folder.path()] {
        let error = ArchiveSource::open(path).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}: {error}");
    }
}
