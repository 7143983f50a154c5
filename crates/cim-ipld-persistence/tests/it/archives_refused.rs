//! Archives that are cut off, altered or in the wrong place are refused, and leave no index behind.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cim_ipld_backend::{Backend, Bucket, Key, KeyPrefix, MemoryBackend, Precondition, Revision};
use cim_ipld_backend_testkit::{CrashMoment, Crashing};
use cim_ipld_persistence::{
    Engine, Error, ErrorKind, ExportOptions, FilePin, Import, ImportOptions, IndexName, Protection,
};
use futures::StreamExt;

use crate::archives::{assert_same, export, import, varied};
use crate::support::{by_hand, create, document, documents, key, memory, open, total, try_open};

/// Imports block by block, so that everything before a fault is stored.
async fn attempt(backend: &Arc<dyn Backend>, archive: &[u8]) -> Result<Import, Error> {
    let mut settings = by_hand();
    settings.parallel_transfers = std::num::NonZeroUsize::MIN;
    let builder = Engine::builder(Arc::clone(backend)).settings(settings);
    builder.import(archive, Some(key(1)), ImportOptions::default()).await
}

#[tokio::test]
async fn an_archive_that_is_cut_off_or_altered_is_refused() {
    let engine = create(&memory()).await;
    engine.index(&documents(0..3)).await.expect("indexed");
    let (archive, _) = export(&engine, ExportOptions::default()).await;
    for end in (0..archive.len()).step_by(97).chain([archive.len() - 1]) {
        let backend = memory();
        let error = attempt(&backend, &archive[..end]).await.expect_err("cut off");
        let expected = [ErrorKind::Damaged, ErrorKind::InvalidInput];
        assert!(expected.contains(&error.kind()), "cut at {end}: {error:?}");
        assert!(error.own_hint().is_some(), "{error:?}");
        assert!(try_open(&backend, Some(key(1))).await.is_err(), "cut at {end}");
        // The same store takes the whole archive afterwards.
        if end % 5 == 0 {
            assert_same(&import(&backend, &archive).await, &engine, "after an archive that was cut off").await;
        }
    }
    for at in (0..archive.len()).step_by(61) {
        let mut altered = archive.clone();
        altered[at] ^= 1 << (at % 8);
        let error = attempt(&memory(), &altered).await.expect_err("altered");
        let expected = [ErrorKind::Damaged, ErrorKind::InvalidInput];
        assert!(expected.contains(&error.kind()), "altered at {at}: {error:?}");
    }
    let twice = [&archive[..], &archive[..]].concat();
    assert_eq!(attempt(&memory(), &twice).await.expect_err("too long").kind(), ErrorKind::Damaged);
    assert_eq!(attempt(&memory(), b"not an archive").await.expect_err("text").kind(), ErrorKind::InvalidInput);
}

/// Returns the sections of an archive after its header.
fn sections(archive: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let (header, mut rest) = archive.split_at(1 + usize::from(archive[0]));
    let mut sections = Vec::new();
    while !rest.is_empty() {
        let (mut length, mut bytes) = (0, 0);
        while bytes == 0 || rest[bytes - 1] >= 0x80 {
            length |= usize::from(rest[bytes] & 0x7f) << (7 * bytes);
            bytes += 1;
        }
        let (section, after) = rest.split_at(bytes + length);
        sections.push(section);
        rest = after;
    }
    (header, sections)
}

#[tokio::test]
async fn blocks_that_were_moved_removed_or_taken_from_another_archive_are_refused() {
    let engine = create(&memory()).await;
    engine.index(&documents(0..3)).await.expect("indexed");
    let (one, _) = export(&engine, ExportOptions::default()).await;
    let (other, _) = export(&engine, ExportOptions::default()).await;
    let (header, parts) = sections(&one);
    let (_, others) = sections(&other);
    let assemble = |parts: &[&[u8]]| [header, &parts.concat()].concat();
    assert_eq!(assemble(&parts), one);
    for number in 0..parts.len() {
        let mut removed = parts.clone();
        removed.remove(number);
        let error = attempt(&memory(), &assemble(&removed)).await.expect_err("removed");
        assert!([ErrorKind::Damaged, ErrorKind::InvalidInput].contains(&error.kind()), "{number}: {error:?}");
        if number + 1 < parts.len() {
            let mut swapped = parts.clone();
            swapped.swap(number, number + 1);
            assert!(attempt(&memory(), &assemble(&swapped)).await.is_err(), "{number} swapped");
        }
    }
    // The directory of another archive of the same state.
    let mut mixed = parts.clone();
    mixed[2] = others[2];
    assert_eq!(attempt(&memory(), &assemble(&mixed)).await.expect_err("mixed").kind(), ErrorKind::Damaged);
}

#[tokio::test]
async fn the_key_must_fit() {
    let (encrypted, _) = export(&create(&memory()).await, ExportOptions::default()).await;
    let plain = Engine::builder(memory()).create(Protection::Plaintext).await.expect("created");
    let (plain, _) = export(&plain, ExportOptions::default()).await;
    for (archive, byte, expected) in [
        (&encrypted, Some(2), ErrorKind::WrongKey),
        (&encrypted, None, ErrorKind::KeyRequired),
        (&plain, Some(1), ErrorKind::NotEncrypted),
    ] {
        let builder = Engine::builder(memory());
        let error = builder.import(&archive[..], byte.map(key), ImportOptions::default()).await.expect_err("refused");
        assert_eq!(error.kind(), expected, "{error:?}");
    }
}

#[tokio::test]
async fn nothing_is_imported_over_anything() {
    let (archive, _) = export(&varied(&memory()).await, ExportOptions::default()).await;
    let taken = memory();
    let engine = create(&taken).await;
    engine.index(&[document(1, 0)]).await.expect("indexed");
    let error = attempt(&taken, &archive).await.expect_err("there is an index");
    assert_eq!(error.kind(), ErrorKind::IndexExists);
    assert_eq!(total(&engine, "shared").await, 1);
    assert!(engine.verify().await.expect("verified").is_sound());
    engine.fold().await.expect("folded");
    engine.close().await;

    // The remains of an index whose catalog is gone.
    let catalog = Bucket::log("catalog_v1").expect("a name");
    let keys: Vec<Key> = taken
        .scan(&catalog, &KeyPrefix::all(), Revision::ZERO)
        .map(|entry| entry.expect("scanned").key)
        .collect()
        .await;
    taken.delete(&catalog, &keys).await.expect("deleted");
    let error = attempt(&taken, &archive).await.expect_err("there are remains");
    assert_eq!(error.kind(), ErrorKind::IndexExists, "{error:?}");

    // An unfinished import of another index.
    let (other, _) = export(&create(&memory()).await, ExportOptions::default()).await;
    let begun = memory();
    attempt(&begun, &other[..other.len() - 1]).await.expect_err("cut off");
    let error = attempt(&begun, &archive).await.expect_err("another one");
    assert_eq!(error.kind(), ErrorKind::IndexExists, "{error:?}");
    // Until it is complete, there is no index, and none can be created.
    let opened = try_open(&begun, Some(key(1))).await.expect_err("not complete");
    let protection = Protection::of(Some(key(1)), None).expect("a key");
    let created = Engine::builder(Arc::clone(&begun)).create(protection).await.expect_err("not complete");
    assert_eq!((opened.kind(), created.kind()), (ErrorKind::NoIndex, ErrorKind::IndexExists), "{opened} {created}");
    for error in [opened, created] {
        assert!(error.own_hint().is_some_and(|hint| hint.contains("run the import again")), "{error:?}");
    }
    import(&begun, &other).await;
}

#[tokio::test]
async fn an_object_that_the_target_holds_otherwise_is_not_replaced() {
    let engine = create(&memory()).await;
    engine.index(&documents(0..3)).await.expect("indexed");
    let (archive, _) = export(&engine, ExportOptions::default()).await;
    let backend = memory();
    attempt(&backend, &archive[..archive.len() - 1]).await.expect_err("cut off");
    let text = Bucket::objects("text_index_v1").expect("a name");
    let entry = backend.scan(&text, &KeyPrefix::all(), Revision::ZERO).next().await.expect("one").expect("scanned");
    backend.put(&text, &entry.key, "junk".into(), Precondition::Any).await.expect("overwritten");
    assert_eq!(attempt(&backend, &archive).await.expect_err("damaged").kind(), ErrorKind::Damaged);
    backend.delete(&text, &[entry.key]).await.expect("deleted");
    assert_same(&import(&backend, &archive).await, &engine, "after the junk was removed").await;
}

#[tokio::test(start_paused = true)]
async fn an_import_that_is_killed_anywhere_is_continued() {
    let engine = varied(&memory()).await;
    let (archive, report) = export(&engine, ExportOptions::default()).await;
    for moment in CrashMoment::ALL {
        let mut finished = false;
        for operation in 0.. {
            let crashing = Crashing::new();
            crashing.crash_at(operation, moment);
            let backend: Arc<dyn Backend> = Arc::new(crashing.clone());
            let imported = attempt(&backend, &archive).await;
            if imported.is_ok() && !crashing.has_crashed() {
                finished = true;
                break;
            }
            let left: Arc<dyn Backend> = Arc::new(crashing.reopen());
            let exists = Engine::exists(&*left, &IndexName::default()).await.unwrap_or(false);
            match attempt(&left, &archive).await {
                Ok(Import { engine: copy, report: resumed, .. }) => {
                    assert!(
                        resumed.blocks + resumed.present_blocks == report.blocks || exists,
                        "{operation} {moment:?}"
                    );
                    copy.close().await;
                }
                // It was complete, and the marker was gone.
                Err(error) => {
                    assert!(exists && error.kind() == ErrorKind::IndexExists, "{operation} {moment:?} {error}")
                }
            }
            let copy = open(&left).await;
            assert_eq!(total(&copy, "shared").await, 32, "{operation} {moment:?}");
            assert_eq!(copy.snapshots().await.expect("listed").len(), 1, "{operation} {moment:?}");
            let report = copy.verify().await.expect("verified");
            assert!(report.is_sound(), "{operation} {moment:?}: {:?}", report.problems);
            let catalog = Bucket::log("catalog_v1").expect("a name");
            let marker = left.get(&catalog, &Key::new("import").expect("a key")).await.expect("read");
            assert!(marker.is_none() || exists, "{operation} {moment:?}: the marker is left");
        }
        assert!(finished);
    }
}

#[tokio::test]
async fn a_copy_that_was_cut_off_is_continued_from_a_later_state() {
    let engine = varied(&memory()).await;
    let (archive, _) = export(&engine, ExportOptions::default()).await;
    let backend = memory();
    attempt(&backend, &archive[..archive.len() * 2 / 3]).await.expect_err("cut off");
    engine.index(&[document(67, 0)]).await.expect("indexed");
    let builder = Engine::builder(Arc::clone(&backend)).settings(by_hand());
    let copy = engine.copy_to(builder, Some(key(1)), ExportOptions::default()).await.expect("copied");
    assert!(copy.import.present_blocks > 0);
    assert_same(&copy.engine, &engine, "continued").await;
}

#[tokio::test]
async fn a_copy_and_its_original_are_never_taken_for_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let pin = Arc::new(FilePin::new(folder.path().join("one.pin")));
    let original: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let with_pin = |backend: &Arc<dyn Backend>| {
        Engine::builder(Arc::clone(backend)).settings(by_hand()).pin(Arc::clone(&pin) as Arc<_>)
    };
    let engine = with_pin(&original).create(crate::support::encrypted()).await.expect("created");
    engine.index(&documents(0..5)).await.expect("indexed");
    engine.close().await;
    // The export is done by a process without the pin, so the pin does not become newer than the
    // archive.
    let exporter = open(&original).await;
    let (archive, _) = export(&exporter, ExportOptions::default()).await;
    let copy = memory();
    import(&copy, &archive).await.close().await;

    // The copy continues the pinned history, so the pin accepts it instead of the original.
    let saved = std::fs::read(pin.path()).expect("read");
    with_pin(&copy).open(Some(key(1))).await.expect("a descendant").close().await;
    let error = with_pin(&original).open(Some(key(1))).await.expect_err("the copy has a newer root");
    assert!([ErrorKind::Rollback, ErrorKind::Forked].contains(&error.kind()), "{error:?}");

    // Once the original has been written to, its pin refuses the copy, even after the copy has been
    // written to as well.
    std::fs::write(pin.path(), saved).expect("written");
    let engine = with_pin(&original).open(Some(key(1))).await.expect("opened");
    engine.index(&[document(10, 0)]).await.expect("indexed");
    for _ in 0..3 {
        engine.create_snapshot("x").await.expect("snapshot");
        engine.delete_snapshot("x").await.expect("deleted");
    }
    engine.close().await;
    let saved = std::fs::read(pin.path()).expect("read");
    let other = open(&copy).await;
    for round in 0..10 {
        let error = with_pin(&copy).open(Some(key(1))).await.expect_err("not the pinned history");
        assert!([ErrorKind::Rollback, ErrorKind::Forked].contains(&error.kind()), "{round}: {error:?}");
        other.index(&[document(20 + round, 0)]).await.expect("indexed");
        other.fold().await.expect("folded");
    }
    assert_eq!(std::fs::read(pin.path()).expect("read"), saved);
    assert_eq!((total(&other, "shared").await, total(&open(&original).await, "shared").await), (15, 6));
}

#[tokio::test]
async fn records_and_manifests_of_the_original_change_nothing_in_the_copy() {
    let original = memory();
    let engine = varied(&original).await;
    let (archive, _) = export(&engine, ExportOptions::default()).await;
    let backend = memory();
    let copy = import(&backend, &archive).await;
    // Written directly after the export, over a state that the copy has as well.
    engine.index(&[document(68, 0)]).await.expect("indexed");
    let catalog = Bucket::log("catalog_v1").expect("a name");
    let journal = KeyPrefix::below("journal").expect("a prefix");
    let mut records = original.scan(&catalog, &journal, Revision::ZERO);
    let mut replayed = 0;
    while let Some(entry) = records.next().await {
        let entry = entry.expect("scanned");
        backend.put(&catalog, &entry.key, entry.entry.value, Precondition::Any).await.expect("put");
        replayed += 1;
    }
    assert!(replayed > 0);
    copy.index(&[document(69, 0)]).await.expect("indexed");
    for engine in [&copy, &open(&backend).await] {
        assert_eq!(total(engine, "number68").await, 0);
        assert_eq!(total(engine, "shared").await, 33);
        assert!(engine.verify().await.expect("verified").is_sound());
    }
}

/// A writer that fails after some bytes.
struct FullDisk(usize);

impl tokio::io::AsyncWrite for FullDisk {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Poll::Ready(if taken == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(taken) })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn an_export_to_a_full_disk_is_an_error_and_leaves_nothing() {
    let engine = varied(&memory()).await;
    for bytes in [0, 50, 500, 5000] {
        let error = engine.export(FullDisk(bytes), ExportOptions::default()).await.expect_err("full");
        assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
        assert!(error.hint().contains("room"), "{error:?}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (there, none) = (folder.path().join("a.car"), folder.path().join("none/a.car"));
    engine.export_to_file(&there, ExportOptions::default()).await.expect("exported");
    let written = std::fs::read(&there).expect("read");
    for (path, expected) in [(&there, ErrorKind::FileExists), (&none, ErrorKind::InvalidInput)] {
        let error = engine.export_to_file(path, ExportOptions::default()).await.expect_err("refused");
        assert_eq!(error.kind(), expected, "{error:?}");
    }
    let snapshot = ExportOptions::default().snapshot("none");
    engine.export_to_file(folder.path().join("b.car"), snapshot).await.expect_err("refused");
    assert_eq!(std::fs::read(&there).expect("read"), written);
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1, "no part is left");
    let missing = Engine::builder(memory()).import_file(&none, Some(key(1)), ImportOptions::default()).await;
    assert_eq!(missing.expect_err("refused").kind(), ErrorKind::InvalidInput);
}
