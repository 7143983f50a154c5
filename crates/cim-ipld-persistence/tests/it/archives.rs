//! Archives: what is exported is imported, into any store.

use std::process::Command;
use std::sync::Arc;

use cim_ipld_backend::{Backend, MemoryBackend};
use cim_ipld_persistence::{Engine, ErrorKind, ExportOptions, ExportReport, ImportOptions, IndexName};

use crate::support::{
    Store, by_hand, cid, cids, create, document, documents, encrypted, key, memory, open, search, total,
};

pub(crate) async fn export(engine: &Engine, options: ExportOptions) -> (Vec<u8>, ExportReport) {
    let mut archive = Vec::new();
    let report = engine.export(&mut archive, options).await.expect("exported");
    assert_eq!(report.bytes, archive.len() as u64);
    (archive, report)
}

pub(crate) async fn import(backend: &Arc<dyn Backend>, archive: &[u8]) -> Engine {
    let builder = Engine::builder(Arc::clone(backend)).settings(by_hand());
    builder.import(archive, Some(key(1)), ImportOptions::default()).await.expect("imported").engine
}

/// Creates an index with two segments, deletes, a snapshot and a journal tail.
pub(crate) async fn varied(backend: &Arc<dyn Backend>) -> Engine {
    let engine = create(backend).await;
    engine.index(&documents(0..40)).await.expect("indexed");
    engine.create_snapshot("first").await.expect("snapshot");
    engine.delete(&(0..10).map(cid).collect::<Vec<_>>()).await.expect("deleted");
    engine.index(&[document(20, 1), document(50, 0)]).await.expect("indexed");
    engine.fold().await.expect("folded");
    engine.index(&[document(60, 0)]).await.expect("indexed");
    engine
}

/// Compares all answers, with their scores.
pub(crate) async fn assert_same(one: &Engine, other: &Engine, what: &str) {
    for query in
        ["shared", "number20", "version1", "group3 AND number13", "\"shared words\"", "tag:tag1", "somebody", ""]
    {
        let (one, other) = (search(one, query).await, search(other, query).await);
        assert_eq!(one.hits, other.hits, "{what}: {query:?}");
        assert_eq!(one.total, other.total, "{what}: {query:?}");
    }
    let cids: Vec<_> = (0..70).map(cid).collect();
    let (found, expected) = (one.documents(&cids).await, other.documents(&cids).await);
    assert_eq!(found.expect("read"), expected.expect("read"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_round_trip_between_all_stores() {
    for (from, source) in Store::all().await {
        let backend = source.connect().await;
        let engine = varied(&backend).await;
        let (archive, report) = export(&engine, ExportOptions::default()).await;
        assert_eq!((report.documents, report.snapshots, report.reused_blocks), (32, 1, 0), "{from}");
        assert_eq!(engine.snapshots().await.expect("listed").len(), 1, "{from}: the export leaves no snapshot");
        for (to, store) in Store::all().await {
            let what = format!("{from} to {to}");
            let backend = store.connect().await;
            let copy = import(&backend, &archive).await;
            assert_same(&copy, &engine, &what).await;
            copy.index(&[document(61, 0)]).await.expect("indexed");
            assert_eq!(total(&copy, "shared").await, 33, "{what}");
            let report = copy.verify().await.expect("verified");
            assert!(report.is_sound(), "{what}: {:?}", report.problems);
            copy.close().await;
            drop(backend);
            let backend = store.connect().await;
            let copy = open(&backend).await;
            assert_eq!(total(&copy, "shared").await, 33, "{what}: after a restart");
            copy.restore_snapshot("first").await.expect("restored");
            assert_eq!(total(&copy, "shared").await, 40, "{what}: the snapshot");
            copy.merge().await.expect("merged");
            assert!(copy.verify().await.expect("verified").is_sound(), "{what}");
        }
        assert_eq!(total(&engine, "shared").await, 32, "{from}");
        assert!(engine.verify().await.expect("verified").is_sound(), "{from}");
    }
}

#[tokio::test]
async fn an_archive_of_an_empty_or_plaintext_index_is_imported_too() {
    let plain = Engine::builder(memory()).create(cim_ipld_persistence::Protection::Plaintext).await.expect("created");
    for documents in [0, 3] {
        plain.index(&crate::support::documents(0..documents)).await.expect("indexed");
        let (archive, _) = export(&plain, ExportOptions::default()).await;
        let builder = Engine::builder(memory());
        let copy = builder.import(&archive[..], None, ImportOptions::default()).await.expect("imported").engine;
        assert_same(&copy, &plain, "plaintext").await;
        assert!(copy.verify().await.expect("verified").is_sound());
        let (again, _) = export(&copy, ExportOptions::default()).await;
        let builder = Engine::builder(memory());
        let second = builder.import(&again[..], None, ImportOptions::default()).await.expect("imported").engine;
        assert_same(&second, &plain, "a copy of a copy").await;
    }
}

#[tokio::test]
async fn an_archive_can_be_imported_under_another_name() {
    let backend = memory();
    let engine = varied(&backend).await;
    let (archive, _) = export(&engine, ExportOptions::default()).await;
    // Next to the original, in the same store.
    let name = IndexName::new("copy").expect("a name");
    let builder = || Engine::builder(Arc::clone(&backend)).name(name.clone()).settings(by_hand());
    let import = builder().import(&archive[..], Some(key(1)), ImportOptions::default()).await.expect("imported");
    assert_same(&import.engine, &engine, "another name").await;
    import.engine.index(&[document(65, 0)]).await.expect("indexed");
    import.engine.close().await;
    let copy = builder().open(Some(key(1))).await.expect("opened");
    assert_eq!((total(&copy, "shared").await, total(&engine, "shared").await), (33, 32));
    assert!(copy.verify().await.expect("verified").is_sound());
    assert!(engine.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn a_snapshot_is_exported_without_what_came_later() {
    let engine = varied(&memory()).await;
    let (archive, report) = export(&engine, ExportOptions::default().snapshot("first")).await;
    assert_eq!((report.documents, report.snapshots), (40, 0));
    let copy = import(&memory(), &archive).await;
    assert_eq!(total(&copy, "shared").await, 40);
    assert_eq!(total(&copy, "version1").await, 0);
    assert!(copy.snapshots().await.expect("listed").is_empty());
    assert!(copy.verify().await.expect("verified").is_sound());
    let missing = engine.export(Vec::new(), ExportOptions::default().snapshot("second")).await;
    assert_eq!(missing.expect_err("refused").kind(), ErrorKind::SnapshotMissing);
}

#[tokio::test]
async fn a_later_archive_holds_only_what_an_earlier_one_lacks() {
    let engine = create(&memory()).await;
    for number in 0..20 {
        engine.index(&documents(number * 100..number * 100 + 100)).await.expect("indexed");
    }
    let (first, whole) = export(&engine, ExportOptions::default()).await;
    engine.index(&documents(2000..2020)).await.expect("indexed");
    let since = ExportOptions::default().since(std::io::Cursor::new(first.clone()));
    let (second, report) = export(&engine, since).await;
    assert!(report.bytes * 10 < whole.bytes, "{report:?} after {whole:?}");
    assert!(report.reused_blocks > 0 && report.reused_blocks <= whole.blocks);
    let (complete, _) = export(&engine, ExportOptions::default()).await;
    let mut options = ExportOptions::default().since(std::io::Cursor::new(first.clone()));
    options = options.since(std::io::Cursor::new(second.clone()));
    let (third, _) = export(&engine, options).await;

    let attempt = async |archive: &[u8], earlier: &[&[u8]]| {
        let backend = memory();
        let mut options = ImportOptions::default();
        for earlier in earlier {
            options = options.since(std::io::Cursor::new(earlier.to_vec()));
        }
        let builder = Engine::builder(backend).settings(by_hand());
        builder.import(archive, Some(key(1)), options).await.map(|import| import.engine)
    };
    for (archive, earlier) in [(&second, vec![&first[..]]), (&third, vec![&first, &second])] {
        let copy = attempt(archive, &earlier).await.expect("imported");
        assert_same(&copy, &engine, "with the earlier archives").await;
        assert!(copy.verify().await.expect("verified").is_sound());
    }
    let lost = attempt(&second, &[]).await.expect_err("incomplete");
    assert_eq!(lost.kind(), ErrorKind::Lost);
    assert!(lost.to_string().contains(&whole.root.to_string()), "{lost}");
    assert_eq!(attempt(&second, &[&complete]).await.expect_err("not that one").kind(), ErrorKind::InvalidInput);
    let other = create(&memory()).await;
    let (foreign, _) = export(&other, ExportOptions::default()).await;
    assert_eq!(attempt(&second, &[&foreign]).await.expect_err("foreign").kind(), ErrorKind::InvalidInput);
    let since = ExportOptions::default().since(std::io::Cursor::new(foreign));
    assert_eq!(engine.export(Vec::new(), since).await.expect_err("foreign").kind(), ErrorKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_consistent_while_others_write_fold_and_merge() {
    let backend = memory();
    let engine = varied(&backend).await;
    let writer = open(&backend).await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let acknowledged = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = Arc::clone(&acknowledged);
    let writing = tokio::spawn(async move {
        // Few enough that one search can return them all.
        for number in 0..900 {
            if stopped.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
            writer.index(&[document(1000 + number, 0)]).await.expect("indexed");
            count.store(number + 1, std::sync::atomic::Ordering::SeqCst);
            if number % 3 == 0 {
                writer.fold().await.expect("folded");
                writer.merge().await.expect("merged");
            }
        }
        writer
    });
    for _ in 0..10 {
        let before = acknowledged.load(std::sync::atomic::Ordering::SeqCst);
        let (archive, report) = export(&engine, ExportOptions::default()).await;
        let copy = import(&memory(), &archive).await;
        let found = cids(&copy, "shared").await;
        assert_eq!(found.len() as u64, report.documents);
        for number in 0..before {
            assert!(found.contains(&cid(1000 + number)), "{number} of {before} acknowledged before the export");
        }
        // Without a gap: a prefix of what was written.
        let written = u32::try_from(found.len() - 32).expect("few");
        assert!((0..written).all(|number| found.contains(&cid(1000 + number))));
        assert!(copy.verify().await.expect("verified").is_sound());
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let writer = writing.await.expect("the writer goes on");
    assert_eq!(writer.snapshots().await.expect("listed").len(), 1);
    assert!(writer.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn a_copy_goes_through_no_file() {
    let engine = varied(&memory()).await;
    let target = MemoryBackend::new();
    let builder = || Engine::builder(Arc::new(target.clone())).settings(by_hand());
    let copy = engine.copy_to(builder(), Some(key(1)), ExportOptions::default()).await.expect("copied");
    assert_eq!(copy.export.blocks, copy.import.blocks);
    assert_same(&copy.engine, &engine, "a copy").await;
    copy.engine.close().await;
    let again = engine.copy_to(builder(), Some(key(1)), ExportOptions::default()).await;
    assert_eq!(again.expect_err("refused").kind(), ErrorKind::IndexExists);
    let missing = engine.copy_to(Engine::builder(memory()), Some(key(1)), ExportOptions::default().snapshot("x")).await;
    assert_eq!(missing.expect_err("refused").kind(), ErrorKind::SnapshotMissing);
    let wrong = engine.copy_to(Engine::builder(memory()), Some(key(2)), ExportOptions::default()).await;
    assert_eq!(wrong.expect_err("refused").kind(), ErrorKind::WrongKey);
    assert_eq!(engine.snapshots().await.expect("listed").len(), 1, "no export leaves a snapshot");
}

#[tokio::test]
async fn an_archive_opens_with_the_keys_that_were_valid_at_its_export() {
    let engine = varied(&memory()).await;
    let (old, _) = export(&engine, ExportOptions::default()).await;
    engine.rotate_key(&key(2), cim_ipld_envelope::EncryptionAlgorithm::ChaCha20Poly1305).await.expect("rotated");
    engine.index(&[document(66, 0)]).await.expect("indexed");
    let since = ExportOptions::default().since(std::io::Cursor::new(old.clone()));
    let (new, _) = export(&engine, since).await;
    for (archive, own, other) in [(&old, 1, 2), (&new, 2, 1)] {
        let attempt = async |byte| {
            let options = ImportOptions::default().since(std::io::Cursor::new(old.clone()));
            let options = if byte == 2 && own == 2 { options } else { ImportOptions::default() };
            Engine::builder(memory()).import(&archive[..], Some(key(byte)), options).await
        };
        let import = attempt(own).await.expect("imported");
        assert_eq!(total(&import.engine, "shared").await, if own == 1 { 32 } else { 33 });
        assert_eq!(attempt(other).await.expect_err("refused").kind(), ErrorKind::WrongKey);
    }
}

/// The script needs nothing but the standard library of Python.
#[tokio::test]
async fn an_independent_reader_checks_every_block() {
    let engine = varied(&memory()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index.car");
    let report = engine.export_to_file(&path, ExportOptions::default()).await.expect("exported");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reader/check_archive.py");
    let check = |path: &std::path::Path| {
        let output = Command::new("python3").arg(script).arg(path).output().expect("python3 starts");
        (output.status.success(), String::from_utf8(output.stdout).expect("UTF-8"))
    };
    let (is_sound, said) = check(&path);
    assert!(is_sound, "{said}");
    let is_object =
        |line: &&str| !line.starts_with("sound") && !line.ends_with(" export") && !line.ends_with(" record");
    assert_eq!(said.lines().filter(is_object).count() as u64, report.blocks, "{said}");
    assert!(said.lines().nth(1).is_some_and(|line| line.starts_with(&report.root.to_string())), "{said}");
    let sound = std::fs::read(&path).expect("read");
    for at in (100..sound.len()).step_by(sound.len() / 20) {
        let mut flipped = sound.clone();
        flipped[at] ^= 0x10;
        let path = folder.path().join("flipped.car");
        std::fs::write(&path, flipped).expect("written");
        assert!(!check(&path).0, "flipped at {at}");
    }
}

#[tokio::test]
async fn nothing_of_the_documents_is_readable_in_an_archive() {
    let engine = Engine::builder(memory()).create(encrypted()).await.expect("created");
    engine.index(&documents(0..5)).await.expect("indexed");
    engine.create_snapshot("secretly named").await.expect("snapshot");
    let (archive, _) = export(&engine, ExportOptions::default()).await;
    for word in ["shared", "title1", "somebody", "tag1", "text/html", "secretly"] {
        assert!(!archive.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
    }
    let cid = cid(1).to_bytes();
    assert!(!archive.windows(cid.len()).any(|window| window == cid));
}
