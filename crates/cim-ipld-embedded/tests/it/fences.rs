//! A fenced write is checked exactly, even among other writes in its batch.

use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, Precondition};
use cim_ipld_embedded::EmbeddedBackend;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_write_wants_absence_whatever_was_there_before() {
    let folder = tempfile::tempdir().unwrap();
    let backend = EmbeddedBackend::open(folder.path()).await.unwrap();
    let (bucket, root, key) = (Bucket::log("b").unwrap(), Key::new("root").unwrap(), Key::new("key").unwrap());
    backend.create(&bucket).await.unwrap();
    let revision = backend.put(&bucket, &root, "root".into(), Precondition::Any).await.unwrap();
    let fenced = Precondition::AbsentWhile { key: root, revision };
    backend.put(&bucket, &key, "unfenced".into(), Precondition::Any).await.unwrap();
    let refused = backend.put(&bucket, &key, "fenced".into(), fenced.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    backend.delete(&bucket, std::slice::from_ref(&key)).await.unwrap();
    backend.put(&bucket, &key, "fenced".into(), fenced).await.unwrap();
    backend.close().await;
}

/// Writes queued during a sync form one batch, within which the fence changes.
#[tokio::test]
async fn a_fence_that_moves_within_a_batch_holds_back_what_comes_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let backend = EmbeddedBackend::open(folder.path()).await.unwrap();
    let (bucket, root) = (Bucket::log("b").unwrap(), Key::new("root").unwrap());
    backend.create(&bucket).await.unwrap();
    let mut revision = backend.put(&bucket, &root, "root".into(), Precondition::Any).await.unwrap();
    for round in 0..20 {
        let fenced = Precondition::AbsentWhile { key: root.clone(), revision };
        let names: Vec<Key> = (0..4).map(|n| Key::new(&format!("round{round}.{n}")).unwrap()).collect();
        let (before, swapped, after, last) = tokio::join!(
            backend.put(&bucket, &names[0], "v".into(), fenced.clone()),
            backend.put(&bucket, &root, "root".into(), Precondition::Unchanged(revision)),
            backend.put(&bucket, &names[1], "v".into(), fenced.clone()),
            backend.put(&bucket, &names[2], "v".into(), fenced),
        );
        assert!(before.is_ok(), "{before:?}");
        revision = swapped.unwrap();
        for late in [after, last] {
            assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);
        }
    }
    backend.close().await;
}
