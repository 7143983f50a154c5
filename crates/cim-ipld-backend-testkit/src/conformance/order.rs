use cim_ipld_backend::{KeyPrefix, Revision};

use super::{Stage, key, names, put, scanned};

pub(super) async fn revisions_grow_across_keys(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let mut last = Revision::ZERO;
    for name in ["z", "a", "m.b", "m.a"] {
        let revision = put(&*backend, &bucket, name, name).await;
        assert!(revision > last, "{name} got {revision} after {last}");
        last = revision;
    }
}

pub(super) async fn overwriting_moves_a_key_to_the_end(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    for name in ["a", "b", "a"] {
        put(&*backend, &bucket, name, name).await;
    }
    assert_eq!(names(&scanned(&*backend, &bucket, &KeyPrefix::all(), Revision::ZERO).await), ["b", "a"]);
}

pub(super) async fn revisions_are_not_reused_after_deletion(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    put(&*backend, &bucket, "kept", "v").await;
    let mut last = put(&*backend, &bucket, "newest", "v").await;
    for emptied in [vec![key("newest")], vec![key("newest"), key("kept")]] {
        backend.delete(&bucket, &emptied).await.unwrap();
        let next = put(&*backend, &bucket, "newest", "v").await;
        assert!(next > last, "revision {next} is not greater than {last}, which was assigned before");
        last = next;
    }
}
