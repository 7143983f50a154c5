use cim_ipld_backend::{Key, Precondition, Revision};

use super::{Stage, key, put, scanned_after_removal, value, watched_after_removal};

pub(super) async fn deleted_keys_are_gone_everywhere(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    for name in ["a", "b", "c"] {
        put(&*backend, &bucket, name, name).await;
    }
    backend.delete(&bucket, &[key("a"), key("c")]).await.unwrap();

    assert!(value(&*backend, &bucket, "a").await.is_none());
    scanned_after_removal(&*backend, &bucket, &["b"]).await;
    watched_after_removal(&*backend, &bucket, &["b"]).await;
}

pub(super) async fn deleting_again_or_nothing_is_no_error(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    backend.delete(&bucket, &[]).await.unwrap();
    backend.delete(&bucket, &[key("never.written")]).await.unwrap();
    put(&*backend, &bucket, "once", "v").await;
    for _ in 0..3 {
        backend.delete(&bucket, &[key("once"), key("once")]).await.unwrap();
    }
    assert!(value(&*backend, &bucket, "once").await.is_none());
}

pub(super) async fn only_the_named_keys_go(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let kept = ["a.b", "a.b.c", "aa", "A", "b.a", "a-b", "a/b", "a_b", "a=b"];
    put(&*backend, &bucket, "a", "goes").await;
    for name in kept {
        put(&*backend, &bucket, name, name).await;
    }
    backend.delete(&bucket, &[key("a")]).await.unwrap();
    scanned_after_removal(&*backend, &bucket, &kept).await;
}

pub(super) async fn many_keys_go_in_one_call(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let keys: Vec<Key> = (0..300).map(|n| key(&format!("page.{n}"))).collect();
    let writes = keys.iter().map(|key| backend.put(&bucket, key, "v".into(), Precondition::Any));
    futures::future::try_join_all(writes).await.unwrap();
    let kept = put(&*backend, &bucket, "kept", "v").await;

    backend.delete(&bucket, &keys).await.unwrap();
    let left = scanned_after_removal(&*backend, &bucket, &["kept"]).await;
    assert_eq!(left[0].entry.revision, kept);
}

pub(super) async fn a_deleted_key_can_be_written_again(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let mut last = Revision::ZERO;
    for round in 0..5 {
        let text = format!("round {round}");
        let written = backend.put(&bucket, &key("key"), text.clone().into(), Precondition::Absent).await.unwrap();
        assert!(written > last);
        assert_eq!(value(&*backend, &bucket, "key").await.unwrap(), text);
        backend.delete(&bucket, &[key("key")]).await.unwrap();
        assert!(value(&*backend, &bucket, "key").await.is_none());
        last = written;
    }
}
