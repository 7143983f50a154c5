//! The disk space of removed values is reclaimed, and processes that write little leave few files
//! behind.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bytes::Bytes;
use cim_ipld_backend::{Backend, Bucket, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_embedded::EmbeddedBackend;
use futures::TryStreamExt;

fn disk_bytes(path: &Path) -> u64 {
    let sizes = fs::read_dir(path).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let about = entry.metadata().unwrap();
        if about.is_dir() { disk_bytes(&entry.path()) } else { about.blocks() * 512 }
    });
    sizes.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn most_of_the_room_comes_back() {
    const PAGES: u64 = 200;
    const PAGE_BYTES: u64 = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let backend = EmbeddedBackend::open(folder.path()).await.unwrap();
    let bucket = Bucket::objects("text_index_v1").unwrap();
    backend.create(&bucket).await.unwrap();
    let key = |n: u64| Key::new(&format!("page.{n}")).unwrap();
    for n in 0..PAGES {
        let page = Bytes::from(vec![n as u8; PAGE_BYTES as usize]);
        backend.put(&bucket, &key(n), page, Precondition::Any).await.unwrap();
    }
    backend.close().await;
    let full = disk_bytes(folder.path());
    assert!((PAGES * PAGE_BYTES..PAGES * PAGE_BYTES * 3 / 2).contains(&full), "{full} bytes on disk");

    let backend = EmbeddedBackend::open(folder.path()).await.unwrap();
    let removed: Vec<Key> = (0..PAGES - 10).map(key).collect();
    backend.delete(&bucket, &removed).await.unwrap();
    backend.close().await;
    let left = disk_bytes(folder.path());
    // The ten remaining pages, and the tolerated waste.
    assert!(left < 90 * PAGE_BYTES, "{left} of {full} bytes are still taken");

    let backend = EmbeddedBackend::open(folder.path()).await.unwrap();
    let entries: Vec<_> = backend.scan(&bucket, &KeyPrefix::all(), Revision::ZERO).try_collect().await.unwrap();
    let kept: Vec<Key> = entries.iter().map(|found| found.key.clone()).collect();
    assert_eq!(kept, (PAGES - 10..PAGES).map(key).collect::<Vec<_>>());
}

fn files(path: &Path) -> usize {
    let counts = fs::read_dir(path).unwrap().map(|entry| {
        let entry = entry.unwrap();
        if entry.metadata().unwrap().is_dir() { files(&entry.path()) } else { 1 }
    });
    counts.sum()
}

/// Opens, writes and closes once per record, as a short-lived program does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_short_lives_leave_few_files() {
    const LIVES: u64 = 120;
    /// 9 tables for each of two keyspaces, and the other files of fjall.
    const MOST_FILES: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::log("catalog_v1").unwrap();
    let key = |n: u64| Key::new(&format!("record.{n:03}")).unwrap();
    let mut most = 0;
    for n in 0..LIVES {
        let backend = EmbeddedBackend::open(folder.path()).await.unwrap();
        backend.create(&bucket).await.unwrap();
        backend.put(&bucket, &key(n), Bytes::from(n.to_le_bytes().to_vec()), Precondition::Absent).await.unwrap();
        backend.close().await;
        most = most.max(files(folder.path()));
    }
    assert!(most <= MOST_FILES, "{most} files");
    let backend = EmbeddedBackend::open(folder.path()).await.unwrap();
    let found: Vec<_> = backend.scan(&bucket, &KeyPrefix::all(), Revision::ZERO).try_collect().await.unwrap();
    let kept: Vec<Key> = found.iter().map(|found| found.key.clone()).collect();
    assert_eq!(kept, (0..LIVES).map(key).collect::<Vec<_>>());
}

fn journal_bytes(path: &Path) -> u64 {
    let files = fs::read_dir(path.join("data")).unwrap().map(|entry| entry.unwrap());
    let journals = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "jnl"));
    journals.map(|file| file.metadata().unwrap().blocks() * 512).sum()
}

/// The journal is not read again once its records are in tables, and all data remains after it was
/// emptied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_is_short_after_every_life() {
    const LIVES: u64 = 24;
    const VALUE_BYTES: usize = 40 << 10;
    const MOST_BYTES: u64 = 256 << 10;
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::log("catalog_v1").unwrap();
    let key = |n: u64| Key::new(&format!("record.{n:03}")).unwrap();
    let newest = Key::new("newest").unwrap();
    let value = |n: u64| Bytes::from(vec![u8::try_from(n).unwrap(); VALUE_BYTES]);
    let (mut last, mut emptied, mut before) = (Revision::ZERO, 0, 0);
    for n in 0..LIVES {
        let backend = EmbeddedBackend::open(folder.path()).await.unwrap();
        backend.create(&bucket).await.unwrap();
        for earlier in 0..n {
            let found = backend.get(&bucket, &key(earlier)).await.unwrap();
            assert_eq!(found.map(|found| found.value), Some(value(earlier)), "{earlier} in life {n}");
        }
        let found = backend.get(&bucket, &newest).await.unwrap();
        assert_eq!(found.map(|found| found.value), n.checked_sub(1).map(value), "in life {n}");
        for (key, precondition) in [(&key(n), Precondition::Absent), (&newest, Precondition::Any)] {
            let revision = backend.put(&bucket, key, value(n), precondition).await.unwrap();
            assert!(revision > last, "{revision} after {last} in life {n}");
            last = revision;
        }
        backend.close().await;
        let bytes = journal_bytes(folder.path());
        assert!(bytes <= MOST_BYTES, "{bytes} bytes of journal after life {n}");
        emptied += u64::from(bytes < before);
        before = bytes;
    }
    assert!(emptied >= 3, "the journal was emptied {emptied} times");
}

/// A crash while the journal is emptied leaves part of it, all of which is in tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_emptied_in_part_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::log("catalog_v1").unwrap();
    let key = Key::new("key").unwrap();
    let mut last = Revision::ZERO;
    for n in 0..8_u64 {
        let backend = EmbeddedBackend::open(folder.path()).await.unwrap();
        backend.create(&bucket).await.unwrap();
        last = backend.put(&bucket, &key, n.to_le_bytes().to_vec().into(), Precondition::Any).await.unwrap();
        backend.close().await;
        // The sync of the emptied file may or may not have completed.
        for entry in fs::read_dir(folder.path().join("data")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "jnl") {
                let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len(file.metadata().unwrap().len() / (n % 3 + 1)).unwrap();
            }
        }
        let backend = EmbeddedBackend::open_existing(folder.path()).await.unwrap();
        let found = backend.get(&bucket, &key).await.unwrap().unwrap();
        assert_eq!((found.revision, found.value), (last, n.to_le_bytes().to_vec().into()));
        backend.close().await;
    }
    assert_eq!(last, Revision::new(8));
}
