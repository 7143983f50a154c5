use cim_ipld_backend::{KeyPrefix, Revision};

use super::{Stage, key, put, scanned, value};

pub(super) async fn acknowledged_state_survives_reopening(stage: Stage) {
    let (backend, bucket, all) = (stage.backend(), stage.bucket().await, KeyPrefix::all());
    for n in 0..100 {
        put(&*backend, &bucket, &format!("n{n}"), &format!("value {n}")).await;
    }
    backend.delete(&bucket, &[key("n0"), key("n99")]).await.unwrap();
    let before = scanned(&*backend, &bucket, &all, Revision::ZERO).await;
    assert_eq!(before.len(), 98);
    drop(backend);

    let Some(reopened) = stage.reopen().await else { return };
    assert_eq!(scanned(&*reopened, &bucket, &all, Revision::ZERO).await, before);
    assert!(value(&*reopened, &bucket, "n99").await.is_none());
    assert_eq!(value(&*reopened, &bucket, "n50").await.unwrap(), "value 50");
}

pub(super) async fn revisions_grow_across_reopening(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    put(&*backend, &bucket, "kept", "v").await;
    let last = put(&*backend, &bucket, "newest", "v").await;
    backend.delete(&bucket, &[key("newest")]).await.unwrap();
    drop(backend);

    let Some(reopened) = stage.reopen().await else { return };
    let next = put(&*reopened, &bucket, "next", "v").await;
    assert!(next > last, "revision {next}, assigned after reopening, is not greater than {last}");
}
