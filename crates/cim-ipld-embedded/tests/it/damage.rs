//! A damaged store reports an error or answers as before; it never returns other data.

use std::fs;
use std::path::{Path, PathBuf};

use cim_ipld_backend::{Backend, Bucket, Error, ErrorKind, Key, KeyPrefix, KeyedEntry, Precondition, Revision};
use cim_ipld_embedded::EmbeddedBackend;
use futures::TryStreamExt;

fn bucket() -> Bucket {
    Bucket::objects("text_index_v1").unwrap()
}

async fn everything(path: &Path) -> Result<Vec<KeyedEntry>, Error> {
    let backend = EmbeddedBackend::open_existing(path).await?;
    let read = async {
        let entries: Vec<KeyedEntry> = backend.scan(&bucket(), &KeyPrefix::all(), Revision::ZERO).try_collect().await?;
        for n in 0..20 {
            let key = Key::new(&format!("page.{n}")).unwrap();
            let missing = || Error::new(ErrorKind::Corrupt, "a page is not there");
            let entry = backend.get(&bucket(), &key).await?.ok_or_else(missing)?;
            assert!(entries.iter().any(|found| found.key == key && found.entry == entry));
        }
        Ok(entries)
    };
    let found = read.await;
    backend.close().await;
    found
}

/// Creates a store of 20 pages. `size` maps the number of a page to its size in bytes. Returns its
/// entries.
async fn create(path: &Path, size: impl Fn(usize) -> usize) -> Vec<KeyedEntry> {
    let backend = EmbeddedBackend::open(path).await.unwrap();
    backend.create(&bucket()).await.unwrap();
    for n in 0..20_u8 {
        let key = Key::new(&format!("page.{n}")).unwrap();
        let page = vec![n; size(usize::from(n))];
        backend.put(&bucket(), &key, page.into(), Precondition::Any).await.unwrap();
    }
    backend.close().await;
    everything(path).await.unwrap()
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_is_reported_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    let expected = create(&good, |n| 3000 + n).await;

    let mut told = 0;
    for file in files(&good) {
        let length = fs::metadata(&file).unwrap().len().min(100_000);
        // A few offsets in each file, including both ends.
        for part in 0..6 {
            let at = usize::try_from(length * part / 5).unwrap().saturating_sub(usize::from(part == 5));
            let damaged = folder.path().join("damaged");
            copy(&good, &damaged);
            let target = damaged.join(file.strip_prefix(&good).unwrap());
            let mut bytes = fs::read(&target).unwrap();
            let Some(byte) = bytes.get_mut(at) else { continue };
            *byte ^= 0x10;
            fs::write(&target, bytes).unwrap();
            match everything(&damaged).await {
                Ok(found) => assert!(found == expected, "{} byte {at}: the answer changed", target.display()),
                Err(error) => {
                    let kind = error.kind();
                    let right = matches!(kind, ErrorKind::Corrupt | ErrorKind::Incompatible);
                    assert!(right, "{} byte {at}: {error:?}", target.display());
                    told += 1;
                }
            }
            fs::remove_dir_all(&damaged).unwrap();
        }
    }
    assert!(told >= 10, "only {told} damaged copies were refused");
}

#[tokio::test]
async fn a_missing_file_is_reported_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    let expected = create(&good, |_| 3000).await;
    for file in files(&good) {
        let damaged = folder.path().join("damaged");
        copy(&good, &damaged);
        fs::remove_file(damaged.join(file.strip_prefix(&good).unwrap())).unwrap();
        match everything(&damaged).await {
            Ok(found) => assert!(found == expected, "without {}: the answer changed", file.display()),
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Incompatible | ErrorKind::BucketMissing),
                "without {}: {error:?}",
                file.display()
            ),
        }
        fs::remove_dir_all(&damaged).unwrap();
    }
}

/// Files that are missing, empty or foreign: each is named, nothing is changed, and the store is as
/// before once the file is back. (fjall alone would remove the keyspaces.)
#[tokio::test]
async fn missing_and_foreign_files_are_named_and_nothing_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    let expected = create(&good, |_| 100).await;
    let keyspaces = fs::read_dir(good.join("data/keyspaces")).unwrap();
    let other =
        keyspaces.map(|entry| entry.unwrap().file_name().into_string().unwrap()).find(|name| name != "0").unwrap();
    let current = format!("data/keyspaces/{other}/current");
    let table = format!("data/keyspaces/{other}/tables/7");

    type Damage<'a> = &'a dyn Fn(&Path);
    let remove = |path: &'static str| move |store: &Path| fs::remove_file(store.join(path)).unwrap();
    let cases: [(Damage<'_>, &str); 8] = [
        (&remove("data/keyspaces/0/current"), "data/keyspaces/0/current is missing"),
        (&|store| fs::remove_dir_all(store.join("data/keyspaces/0")).unwrap(), "data/keyspaces/0/current is missing"),
        (&|store| fs::write(store.join("data/keyspaces/0/current"), b"").unwrap(), "data/keyspaces/0/current is empty"),
        (
            &|store| {
                fs::remove_file(store.join(&current)).unwrap();
                fs::write(store.join(&table), b"table").unwrap();
            },
            "current is missing",
        ),
        (&|store| fs::create_dir(store.join("data/keyspaces/@eaDir")).unwrap(), "data/keyspaces/@eaDir, which is not"),
        (&|store| fs::create_dir(store.join("data/keyspaces/0/tables/@eaDir")).unwrap(), "tables/@eaDir, which is not"),
        (&|store| fs::write(store.join("data/0.conflict.jnl"), b"x").unwrap(), "data/0.conflict.jnl, which is not"),
        (&|store| fs::write(store.join("data/version"), b"").unwrap(), "data/version is empty"),
    ];
    for (number, (damage, expected_message)) in cases.into_iter().enumerate() {
        let store = folder.path().join(number.to_string());
        copy(&good, &store);
        damage(&store);
        let before = files(&store);
        for opened in [EmbeddedBackend::open_existing(&store).await, EmbeddedBackend::open(&store).await] {
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains(expected_message), "{error}");
        }
        assert_eq!(files(&store), before, "{expected_message}");
        for name in before {
            if !good.join(name.strip_prefix(&store).unwrap()).exists() {
                fs::remove_file(name).unwrap();
            }
        }
        for folder in ["data/keyspaces/@eaDir", "data/keyspaces/0/tables/@eaDir"] {
            let _ = fs::remove_dir(store.join(folder));
        }
        copy(&good, &store);
        assert_eq!(everything(&store).await.unwrap(), expected, "{expected_message}");
    }
}
