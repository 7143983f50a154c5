//! Behaviour of the memory backend beyond the contract.

use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, MemoryBackend, Precondition};

#[tokio::test]
async fn a_fork_goes_its_own_way() {
    let backend = MemoryBackend::new();
    let (bucket, key) = (Bucket::log("b").unwrap(), Key::new("key").unwrap());
    backend.create(&bucket).await.unwrap();
    let first = backend.put(&bucket, &key, "before".into(), Precondition::Any).await.unwrap();

    let fork = backend.fork();
    backend.delete(&bucket, std::slice::from_ref(&key)).await.unwrap();
    let second = fork.put(&bucket, &key, "after".into(), Precondition::Unchanged(first)).await.unwrap();
    assert!(second > first);
    assert!(backend.get(&bucket, &key).await.unwrap().is_none());
    assert_eq!(fork.get(&bucket, &key).await.unwrap().unwrap().value, "after");
}

#[tokio::test]
async fn a_bucket_is_its_name_whatever_its_kind() {
    let (backend, key) = (MemoryBackend::new(), Key::new("key").unwrap());
    backend.create(&Bucket::log("b").unwrap()).await.unwrap();
    backend.put(&Bucket::objects("b").unwrap(), &key, "v".into(), Precondition::Any).await.unwrap();
    assert!(backend.get(&Bucket::log("b").unwrap(), &key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_fenced_write_wants_absence_whatever_was_there_before() {
    let (backend, bucket, key) = (MemoryBackend::new(), Bucket::log("b").unwrap(), Key::new("key").unwrap());
    backend.create(&bucket).await.unwrap();
    let root = Key::new("root").unwrap();
    let revision = backend.put(&bucket, &root, "root".into(), Precondition::Any).await.unwrap();
    let fenced = Precondition::AbsentWhile { key: root, revision };
    backend.put(&bucket, &key, "unfenced".into(), Precondition::Any).await.unwrap();
    let refused = backend.put(&bucket, &key, "fenced".into(), fenced.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    backend.delete(&bucket, std::slice::from_ref(&key)).await.unwrap();
    backend.put(&bucket, &key, "fenced".into(), fenced).await.unwrap();
}

#[tokio::test]
async fn a_refused_write_names_the_key_and_the_revisions() {
    let (backend, bucket) = (MemoryBackend::new(), Bucket::log("b").unwrap());
    backend.create(&bucket).await.unwrap();
    let (root, key, other) = (Key::new("root").unwrap(), Key::new("key").unwrap(), Key::new("other").unwrap());
    let first = backend.put(&bucket, &root, "root".into(), Precondition::Any).await.unwrap();
    backend.put(&bucket, &root, "root".into(), Precondition::Any).await.unwrap();
    backend.put(&bucket, &key, "value".into(), Precondition::Any).await.unwrap();
    let fenced_on = |fence: &Key| Precondition::AbsentWhile { key: fence.clone(), revision: first };
    for (written, precondition, message) in [
        (&key, Precondition::Absent, "key key already has a value (r3)"),
        (&key, fenced_on(&root), "key key already has a value (r3)"),
        (&key, Precondition::Unchanged(first), "key key has r3, but the write expected r1"),
        (&other, Precondition::Unchanged(first), "key other has no value, but the write expected r1"),
        (&other, fenced_on(&root), "the fence key root has r2, but the write expected r1"),
        (&other, fenced_on(&other), "the fence key other has no value, but the write expected r1"),
    ] {
        let refused = backend.put(&bucket, written, "new".into(), precondition).await.unwrap_err();
        assert_eq!((refused.kind(), refused.to_string().as_str()), (ErrorKind::Conflict, message));
    }
}
