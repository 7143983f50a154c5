use bytes::Bytes;
use cim_ipld_backend::{ErrorKind, KeyPrefix, Precondition, Revision};

use super::{Stage, assert_kind, key, names, put, scanned, value};

pub(super) async fn a_value_reads_back_as_written(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    assert!(backend.get(&bucket, &key("key")).await.unwrap().is_none());

    let every_byte: Bytes = (0..=255).collect();
    let revision = backend.put(&bucket, &key("key"), every_byte.clone(), Precondition::Any).await.unwrap();
    let entry = backend.get(&bucket, &key("key")).await.unwrap().unwrap();
    assert_eq!((entry.value, entry.revision), (every_byte, revision));
    assert!(revision > Revision::ZERO);
}

pub(super) async fn values_of_every_allowed_size_are_kept(stage: Stage) {
    let (backend, bucket, limits) = (stage.backend(), stage.bucket().await, stage.backend().limits());
    assert!(limits.preferred_value_bytes <= limits.max_value_bytes);
    assert!(limits.max_value_bytes >= 64 << 10, "the maximum value size is too small for a page");

    for size in [0, 1, 4096, limits.preferred_value_bytes, limits.max_value_bytes] {
        let (name, bytes) = (format!("size.{size}"), pattern(size));
        backend.put(&bucket, &key(&name), bytes.clone(), Precondition::Any).await.unwrap();
        let found = value(&*backend, &bucket, &name).await;
        assert!(found.is_some_and(|found| found == bytes), "a value of {size} bytes changed");
        let entries = scanned(&*backend, &bucket, &KeyPrefix::below("size").unwrap(), Revision::ZERO).await;
        assert!(entries.iter().any(|entry| entry.entry.value == bytes), "a scan changed a value of {size} bytes");
    }
}

pub(super) async fn a_value_over_the_limit_is_too_large(stage: Stage) {
    let (backend, bucket, limits) = (stage.backend(), stage.bucket().await, stage.backend().limits());
    let refused = backend.put(&bucket, &key("large"), pattern(limits.max_value_bytes + 1), Precondition::Any).await;
    assert_kind(refused, ErrorKind::TooLarge);
    assert!(value(&*backend, &bucket, "large").await.is_none());
    put(&*backend, &bucket, "large", "a smaller one").await;
}

pub(super) async fn an_acknowledged_value_is_read_at_once(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    for n in 0..64 {
        let name = format!("n{n}");
        put(&*backend, &bucket, &name, &name).await;
        assert_eq!(value(&*backend, &bucket, &name).await.unwrap(), name);
    }
}

pub(super) async fn the_newest_value_is_read(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    for text in ["first", "", "third"] {
        let revision = put(&*backend, &bucket, "key", text).await;
        let entry = backend.get(&bucket, &key("key")).await.unwrap().unwrap();
        assert_eq!((entry.value, entry.revision), (Bytes::from(text), revision));
    }
    assert_eq!(names(&scanned(&*backend, &bucket, &KeyPrefix::all(), Revision::ZERO).await), ["key"]);
}

/// Returns bytes whose period is not a power of two, so that a moved or truncated page is detected.
fn pattern(size: usize) -> Bytes {
    (0..size).map(|at| (at % 251) as u8).collect()
}
