//! Which folders are opened, created, refused, and left unchanged.

use std::fs;
use std::path::Path;

use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, Precondition};
use cim_ipld_embedded::{EmbeddedBackend, FORMAT_VERSION};

fn bucket() -> Bucket {
    Bucket::log("catalog_v1").unwrap()
}

/// Creates a store with one value and closes it.
pub(crate) async fn small_store(path: &Path) {
    let backend = EmbeddedBackend::open(path).await.unwrap();
    backend.create(&bucket()).await.unwrap();
    backend.put(&bucket(), &Key::new("key").unwrap(), "value".into(), Precondition::Any).await.unwrap();
    backend.close().await;
}

/// Every file below `path` with its bytes.
fn contents(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() {
            found.extend(contents(&entry));
        } else {
            found.push((entry.display().to_string(), fs::read(&entry).unwrap()));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_store_is_made_only_where_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/with/parents");
    assert_eq!(EmbeddedBackend::open_existing(&path).await.unwrap_err().kind(), ErrorKind::BucketMissing);
    assert!(!path.exists());
    small_store(&path).await;
    EmbeddedBackend::open_existing(&path).await.unwrap().close().await;

    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter.txt"), "not a store").unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    for path in [&other, &file] {
        assert_eq!(EmbeddedBackend::open(path).await.unwrap_err().kind(), ErrorKind::Incompatible);
    }
    assert_eq!(contents(&other).len(), 1, "a folder that contains something else was written to");
}

#[cfg(unix)]
#[tokio::test]
async fn the_folder_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    small_store(&path).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = EmbeddedBackend::open(folder.path()).await.unwrap();
    let again = first.clone();
    first.close().await;
    assert_eq!(EmbeddedBackend::open(folder.path()).await.unwrap_err().kind(), ErrorKind::Locked);
    again.close().await;
    EmbeddedBackend::open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn an_open_stream_keeps_the_store_open() {
    let folder = tempfile::tempdir().unwrap();
    let backend = EmbeddedBackend::open(folder.path()).await.unwrap();
    backend.create(&bucket()).await.unwrap();
    let watch = backend.watch(&bucket(), &cim_ipld_backend::KeyPrefix::all(), Default::default());
    backend.close().await;
    assert_eq!(EmbeddedBackend::open(folder.path()).await.unwrap_err().kind(), ErrorKind::Locked);
    drop(watch);
    EmbeddedBackend::open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn other_formats_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    small_store(folder.path()).await;
    let format = folder.path().join("FORMAT");
    let good = fs::read(&format).unwrap();
    let newer = format!("cim-ipld-embedded {}\n", FORMAT_VERSION + 1);
    for (bytes, kind) in [
        (newer.as_bytes(), ErrorKind::Incompatible),
        (b"cim-ipld-embedded 0\n", ErrorKind::Incompatible),
        (b"cim-ipld-embedded \n", ErrorKind::Corrupt),
        (b"", ErrorKind::Corrupt),
        (b"\xff\xfe\x00", ErrorKind::Corrupt),
    ] {
        fs::write(&format, bytes).unwrap();
        let before = contents(folder.path());
        assert_eq!(EmbeddedBackend::open(folder.path()).await.unwrap_err().kind(), kind, "{bytes:?}");
        assert_eq!(EmbeddedBackend::open_existing(folder.path()).await.unwrap_err().kind(), kind, "{bytes:?}");
        assert!(contents(folder.path()) == before, "a refused store was changed");
    }
    fs::remove_file(&format).unwrap();
    assert_eq!(EmbeddedBackend::open(folder.path()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    fs::write(&format, good).unwrap();
    let backend = EmbeddedBackend::open_existing(folder.path()).await.unwrap();
    assert!(backend.get(&bucket(), &Key::new("key").unwrap()).await.unwrap().is_some());
}

/// The root of a new volume is not quite empty.
#[tokio::test]
async fn a_store_is_created_beside_files_of_the_system() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    fs::write(folder.path().join(".DS_Store"), b"x").unwrap();
    small_store(folder.path()).await;
    assert!(EmbeddedBackend::open_existing(folder.path()).await.is_ok());
    fs::write(folder.path().join("notes.txt"), b"x").unwrap();
    fs::remove_file(folder.path().join("FORMAT")).unwrap();
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    assert_eq!(EmbeddedBackend::open(folder.path()).await.unwrap_err().kind(), ErrorKind::Incompatible);
}
