use bytes::Bytes;
use cim_ipld_backend::{KeyPrefix, Precondition, Revision};

use super::{Stage, assert_increasing, key, names, put, scanned};

pub(super) async fn a_scan_is_in_order_and_ends(stage: Stage) {
    let (backend, bucket, all) = (stage.backend(), stage.bucket().await, KeyPrefix::all());
    assert!(scanned(&*backend, &bucket, &all, Revision::ZERO).await.is_empty());

    let written = ["z", "b.2", "a", "b.1", "0"];
    for name in written {
        put(&*backend, &bucket, name, name).await;
    }
    let entries = scanned(&*backend, &bucket, &all, Revision::ZERO).await;
    assert_eq!(names(&entries), written);
    assert_increasing(&entries);
    assert!(entries.iter().all(|found| found.entry.value == found.key.as_str()));
}

pub(super) async fn a_scan_starts_after_a_revision(stage: Stage) {
    let (backend, bucket, all) = (stage.backend(), stage.bucket().await, KeyPrefix::all());
    let mut revisions = Vec::new();
    for name in ["a", "b", "c"] {
        revisions.push(put(&*backend, &bucket, name, name).await);
    }
    for (after, expected) in
        [(revisions[0], &["b", "c"][..]), (revisions[1], &["c"]), (revisions[2], &[]), (Revision::new(u64::MAX), &[])]
    {
        assert_eq!(names(&scanned(&*backend, &bucket, &all, after).await), expected, "after {after}");
    }
    backend.delete(&bucket, &[key("a")]).await.unwrap();
    assert_eq!(names(&scanned(&*backend, &bucket, &all, revisions[0]).await), ["b", "c"]);
}

pub(super) async fn a_prefix_ends_at_a_token(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    for name in ["journal", "journal.a", "journals.a", "journal.a.b", "journal-a", "other.journal.a"] {
        put(&*backend, &bucket, name, name).await;
    }
    let table = [
        ("journal", &["journal.a", "journal.a.b"][..]),
        ("journal.a", &["journal.a.b"]),
        ("journals", &["journals.a"]),
        ("other", &["other.journal.a"]),
        ("nothing", &[]),
    ];
    for (tokens, expected) in table {
        let prefix = KeyPrefix::below(tokens).unwrap();
        let entries = scanned(&*backend, &bucket, &prefix, Revision::ZERO).await;
        assert_eq!(names(&entries), expected, "below {tokens}");
    }
}

pub(super) async fn a_scan_holds_thousands_of_entries(stage: Stage) {
    const ENTRIES: usize = 2_500;
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let keys: Vec<_> = (0..ENTRIES).map(|n| key(&format!("{}.{n}", ["even", "odd"][n % 2]))).collect();
    for keys in keys.chunks(250) {
        let writes = keys.iter().map(|key| {
            backend.put(&bucket, key, Bytes::copy_from_slice(key.as_str().as_bytes()), Precondition::Absent)
        });
        futures::future::try_join_all(writes).await.unwrap();
    }
    for (prefix, expected) in [(KeyPrefix::all(), ENTRIES), (KeyPrefix::below("odd").unwrap(), ENTRIES / 2)] {
        let entries = scanned(&*backend, &bucket, &prefix, Revision::ZERO).await;
        assert_eq!(entries.len(), expected);
        assert_increasing(&entries);
        assert!(entries.iter().all(|found| found.entry.value == found.key.as_str()));
    }
}

pub(super) async fn a_scan_holds_large_values(stage: Stage) {
    const VALUES: u8 = 40;
    let (backend, bucket, size) =
        (stage.backend(), stage.bucket().await, stage.backend().limits().preferred_value_bytes);
    for n in 0..VALUES {
        let large = Bytes::from(vec![n; size]);
        backend.put(&bucket, &key(&format!("large.{n}")), large, Precondition::Any).await.unwrap();
    }
    let entries = scanned(&*backend, &bucket, &KeyPrefix::all(), Revision::ZERO).await;
    assert_eq!(entries.len(), usize::from(VALUES));
    for (n, found) in (0..VALUES).zip(&entries) {
        assert!(
            found.entry.value.len() == size && found.entry.value.iter().all(|byte| *byte == n),
            "value {n} changed"
        );
    }
}
