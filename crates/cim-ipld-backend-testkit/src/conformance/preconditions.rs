use cim_ipld_backend::{ErrorKind, KeyPrefix, Precondition, Revision};

use super::{Stage, assert_kind, catch_up, key, next_entry, put};

/// The state of the key at the time of the write.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    OneValue,
    ASecondValue,
    ADeletedValue,
}

/// The precondition of the write, in terms of earlier writes.
#[derive(Clone, Copy, Debug)]
enum Condition {
    Any,
    Absent,
    First,
    Second,
    Zero,
    Future,
}

pub(super) async fn preconditions_decide_as_the_table_says(stage: Stage) {
    use Before::{ADeletedValue, ASecondValue, Nothing, OneValue};
    use Condition::{Absent, Any, First, Future, Second, Zero};
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let other = put(&*backend, &bucket, "other", "moves the bucket's revision away from the key's").await;

    let table = [
        (Nothing, Any, true),
        (Nothing, Absent, true),
        (Nothing, Zero, false),
        (Nothing, Future, false),
        (OneValue, Any, true),
        (OneValue, Absent, false),
        (OneValue, First, true),
        (OneValue, Zero, false),
        (OneValue, Future, false),
        (ASecondValue, Any, true),
        (ASecondValue, Absent, false),
        (ASecondValue, First, false),
        (ASecondValue, Second, true),
        (ADeletedValue, Any, true),
        (ADeletedValue, Absent, true),
        (ADeletedValue, First, false),
        (ADeletedValue, Zero, false),
    ];
    for (row, (before, condition, holds)) in table.into_iter().enumerate() {
        let name = format!("row.{row}");
        let (mut first, mut second) = (Revision::ZERO, Revision::ZERO);
        if !matches!(before, Nothing) {
            first = put(&*backend, &bucket, &name, "first").await;
        }
        if matches!(before, ASecondValue) {
            second = put(&*backend, &bucket, &name, "second").await;
        }
        if matches!(before, ADeletedValue) {
            backend.delete(&bucket, &[key(&name)]).await.unwrap();
        }
        let precondition = match condition {
            Any => Precondition::Any,
            Absent => Precondition::Absent,
            First => Precondition::Unchanged(first),
            Second => Precondition::Unchanged(second),
            Zero => Precondition::Unchanged(Revision::ZERO),
            Future => Precondition::Unchanged(Revision::new(other.number() + 1_000_000)),
        };
        match backend.put(&bucket, &key(&name), "written".into(), precondition).await {
            Ok(revision) => {
                assert!(holds, "{before:?} with {condition:?} was written");
                assert!(revision > first.max(second));
            }
            Err(error) => {
                assert!(!holds, "{before:?} with {condition:?} was refused: {error:?}");
                assert_eq!(error.kind(), ErrorKind::Conflict, "{before:?} with {condition:?}: {error:?}");
            }
        }
    }
}

pub(super) async fn a_refused_write_changes_nothing(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let kept = put(&*backend, &bucket, "key", "kept").await;
    let mut watch = backend.watch(&bucket, &KeyPrefix::all(), kept);
    assert!(catch_up(&mut watch).await.is_empty());

    for precondition in [Precondition::Absent, Precondition::Unchanged(Revision::new(kept.number() + 7))] {
        let refused = backend.put(&bucket, &key("key"), "refused".into(), precondition).await;
        assert_kind(refused, ErrorKind::Conflict);
        let entry = backend.get(&bucket, &key("key")).await.unwrap().unwrap();
        assert_eq!((&*entry.value, entry.revision), (&b"kept"[..], kept));
    }
    put(&*backend, &bucket, "sentinel", "v").await;
    assert_eq!(next_entry(&mut watch).await.key.as_str(), "sentinel", "a refused write was delivered to a watcher");
}
