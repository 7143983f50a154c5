//! This version opens, verifies, searches and continues the indexes that earlier versions wrote.
//!
//! A fixture is named after the version that wrote it. The fixture of this version is written with
//! `WRITE_FIXTURE=1 cargo test -p cim-ipld-persistence --test it fixtures`. The fixture of a
//! released version is never written again.
//!
//! A fixture contains the entries of the five buckets in the order of their revisions, followed by
//! the pin. Each of them is encoded as bucket (1 byte; 5 is the pin), revision (8), length of the
//! key (2), length of the value (4), key, value, all little-endian.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim_ipld_backend::{Backend, Bucket, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_persistence::{Engine, PinStore};
use futures::TryStreamExt;

use crate::support::{by_hand, cid, document, documents, encrypted, key, memory, total};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PIN: u8 = 5;

fn buckets() -> [Bucket; 5] {
    let objects = ["text_index_v1", "tag_index_v1", "type_index_v1", "metadata_cache_v1"];
    let [text, tag, types, metadata] = objects.map(|name| Bucket::objects(name).expect("a name"));
    [text, tag, types, metadata, Bucket::log("catalog_v1").expect("a name")]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

#[derive(Clone, Debug, Default)]
struct MemoryPin(Arc<Mutex<Option<Vec<u8>>>>);

impl PinStore for MemoryPin {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().expect("unpoisoned").clone())
    }

    fn store(&self, pin: &[u8]) -> io::Result<()> {
        *self.0.lock().expect("unpoisoned") = Some(pin.to_vec());
        Ok(())
    }
}

fn append(bytes: &mut Vec<u8>, bucket: u8, revision: u64, key: &str, value: &[u8]) {
    bytes.push(bucket);
    bytes.extend(revision.to_le_bytes());
    bytes.extend(u16::try_from(key.len()).expect("short").to_le_bytes());
    bytes.extend(u32::try_from(value.len()).expect("short").to_le_bytes());
    bytes.extend(key.as_bytes());
    bytes.extend(value);
}

async fn save(backend: &Arc<dyn Backend>, pin: &MemoryPin) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, bucket) in (0..).zip(buckets()) {
        let entries = backend.scan(&bucket, &KeyPrefix::all(), Revision::ZERO);
        let mut entries: Vec<_> = entries.try_collect().await.expect("scanned");
        entries.sort_by_key(|entry| entry.entry.revision);
        for entry in entries {
            append(&mut bytes, number, entry.entry.revision.number(), entry.key.as_str(), &entry.entry.value);
        }
    }
    append(&mut bytes, PIN, 0, "", &pin.load().expect("in memory").expect("it was stored"));
    bytes
}

/// Stores every entry in an empty store under its original revision.
async fn load(mut bytes: &[u8]) -> (Arc<dyn Backend>, MemoryPin) {
    fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(length);
        *bytes = rest;
        taken
    }
    let (backend, pin, buckets) = (memory(), MemoryPin::default(), buckets());
    let filler = Key::new("filler").expect("a key");
    for bucket in &buckets {
        backend.create(bucket).await.expect("created");
    }
    let mut last = [0; 5];
    while !bytes.is_empty() {
        let number = take(&mut bytes, 1)[0];
        let revision = u64::from_le_bytes(take(&mut bytes, 8).try_into().expect("8 bytes"));
        let key_bytes = u16::from_le_bytes(take(&mut bytes, 2).try_into().expect("2 bytes"));
        let value_bytes = u32::from_le_bytes(take(&mut bytes, 4).try_into().expect("4 bytes"));
        let key = std::str::from_utf8(take(&mut bytes, key_bytes.into())).expect("text");
        let value = take(&mut bytes, value_bytes as usize);
        if number == PIN {
            pin.store(value).expect("in memory");
            continue;
        }
        let (bucket, last) = (&buckets[usize::from(number)], &mut last[usize::from(number)]);
        while *last + 1 < revision {
            let put = backend.put(bucket, &filler, "-".into(), Precondition::Any).await;
            *last = put.expect("put").number();
        }
        let put = backend.put(bucket, &Key::new(key).expect("a key"), value.to_vec().into(), Precondition::Any).await;
        *last = put.expect("put").number();
        assert_eq!(*last, revision);
        backend.delete(bucket, std::slice::from_ref(&filler)).await.expect("deleted");
    }
    (backend, pin)
}

/// Creates an index with a segment, deletes, a snapshot, more than 16 generations of manifests and
/// a tail. Its process does not end cleanly.
async fn written() -> Vec<u8> {
    let (backend, pin) = (memory(), MemoryPin::default());
    let builder = Engine::builder(Arc::clone(&backend)).settings(by_hand()).pin(Arc::new(pin.clone()));
    let engine = builder.create(encrypted()).await.expect("created");
    engine.index(&documents(0..40)).await.expect("indexed");
    engine.create_snapshot("forty").await.expect("made");
    engine.delete(&[cid(1), cid(2)]).await.expect("deleted");
    engine.index(&documents(40..50)).await.expect("indexed");
    engine.fold().await.expect("folded");
    for number in 0..8 {
        let name = format!("passing {number}");
        engine.create_snapshot(&name).await.expect("made");
        engine.delete_snapshot(&name).await.expect("deleted");
    }
    assert_eq!(engine.stats().await.expect("counted").generation, 20);
    engine.index(&[document(3, 1), document(50, 0)]).await.expect("indexed");
    engine.delete(&[cid(4)]).await.expect("deleted");
    // The pin is stored once a second.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    save(&backend, &pin).await
}

async fn check(bytes: &[u8]) {
    let (backend, pin) = load(bytes).await;
    let pinned = pin.load().expect("in memory");
    let builder = || Engine::builder(Arc::clone(&backend)).settings(by_hand()).pin(Arc::new(pin.clone()));
    let engine = builder().open(Some(key(1))).await.expect("opened");
    assert_eq!(total(&engine, "shared").await, 48);
    assert_eq!(total(&engine, "number3 version1").await, 1);
    assert_eq!((total(&engine, "tag:tag1").await, total(&engine, "number4").await), (15, 0));
    let stats = engine.stats().await.expect("counted");
    assert_eq!((stats.generation, stats.applied.number(), stats.segments), (20, 5, 2));
    let report = engine.verify().await.expect("verified");
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!((report.records, report.snapshots, report.documents, report.ignored.total()), (2, 1, 48, 0));

    // A separate record closes the writer that did not end cleanly.
    assert_eq!(engine.index(&[document(51, 0)]).await.expect("indexed").number(), 7);
    engine.fold().await.expect("folded");
    engine.restore_snapshot("forty").await.expect("restored");
    assert_eq!(total(&engine, "shared").await, 40);
    assert!(engine.verify().await.expect("verified").is_sound());
    engine.close().await;

    // The pin is now newer than the fixture.
    assert_ne!(pin.load().expect("in memory"), pinned);
    let (backend, _) = load(bytes).await;
    let older = Engine::builder(backend).settings(by_hand()).pin(Arc::new(pin)).open(Some(key(1))).await;
    assert_eq!(older.expect_err("older").kind(), cim_ipld_persistence::ErrorKind::Rollback);
}

#[tokio::test]
async fn fixtures_of_every_version_are_opened_and_continued() {
    let own = folder().join(format!("{VERSION}.index"));
    if std::env::var_os("WRITE_FIXTURE").is_some() {
        fs::create_dir_all(folder()).expect("a folder");
        fs::write(&own, written().await).expect("written");
    }
    let mut paths: Vec<_> =
        fs::read_dir(folder()).expect("fixtures").map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    assert!(paths.contains(&own), "there is no fixture of version {VERSION}");
    for path in paths {
        check(&fs::read(&path).expect("a fixture")).await;
    }
}
