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
