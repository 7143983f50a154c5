use cim_ipld_backend::{Bucket, BucketKind, ErrorKind, Key, KeyPrefix, MAX_BUCKET_BYTES, MAX_KEY_BYTES, Revision};
use futures::StreamExt;

use super::{Stage, assert_kind, catch_up, key, names, next_entry, put, scanned, value};

pub(super) async fn creating_twice_keeps_what_is_there(stage: Stage) {
    let (backend, bucket) = (stage.backend(), stage.bucket().await);
    let first = put(&*backend, &bucket, "kept", "value").await;
    backend.create(&bucket).await.unwrap();
    assert_eq!(value(&*backend, &bucket, "kept").await.unwrap(), "value");
    assert!(put(&*backend, &bucket, "next", "value").await > first);
}

pub(super) async fn a_missing_bucket_is_an_error_everywhere(stage: Stage) {
    let (backend, bucket, any) = (stage.backend(), stage.named("_never_created"), KeyPrefix::all());
    let (name, missing) = (key("key"), ErrorKind::BucketMissing);
    assert_kind(backend.get(&bucket, &name).await, missing);
    assert_kind(backend.put(&bucket, &name, "v".into(), cim_ipld_backend::Precondition::Any).await, missing);
    assert_kind(backend.delete(&bucket, std::slice::from_ref(&name)).await, missing);

    let mut scan = backend.scan(&bucket, &any, Revision::ZERO);
    assert_kind(scan.next().await.expect("a scan of a missing bucket returns an error"), missing);
    assert!(scan.next().await.is_none(), "a scan ends after an error");

    let mut watch = backend.watch(&bucket, &any, Revision::ZERO);
    assert_kind(watch.next().await.expect("a watch of a missing bucket returns an error"), missing);
    assert!(watch.next().await.is_none(), "a watch ends after an error");
}

pub(super) async fn buckets_do_not_share_keys_or_watchers(stage: Stage) {
    let (backend, one, other) = (stage.backend(), stage.bucket().await, stage.named("_other"));
    backend.create(&other).await.unwrap();
    let mut watch = backend.watch(&one, &KeyPrefix::all(), Revision::ZERO);
    assert!(catch_up(&mut watch).await.is_empty());

    put(&*backend, &other, "same", "theirs").await;
    assert!(value(&*backend, &one, "same").await.is_none());
    put(&*backend, &one, "same", "ours").await;
    assert_eq!(next_entry(&mut watch).await.entry.value, "ours");

    backend.delete(&one, &[key("same")]).await.unwrap();
    assert_eq!(value(&*backend, &other, "same").await.unwrap(), "theirs");
}

pub(super) async fn the_longest_names_work(stage: Stage) {
    let backend = stage.backend();
    let padded = format!("{:x<MAX_BUCKET_BYTES$}", stage.named("_").name());
    let bucket = match stage.kind {
        BucketKind::Objects => Bucket::objects(&padded),
        _ => Bucket::log(&padded),
    }
    .unwrap();
    backend.create(&bucket).await.unwrap();

    let long = format!("a.-/_=.{}", "z".repeat(MAX_KEY_BYTES - 7));
    assert_eq!(Key::new(&long).unwrap().as_str().len(), MAX_KEY_BYTES);
    put(&*backend, &bucket, &long, "value").await;
    assert_eq!(value(&*backend, &bucket, &long).await.unwrap(), "value");

    let prefix = KeyPrefix::below("a.-/_=").unwrap();
    assert_eq!(names(&scanned(&*backend, &bucket, &prefix, Revision::ZERO).await), [long.as_str()]);
    backend.delete(&bucket, &[key(&long)]).await.unwrap();
    assert!(value(&*backend, &bucket, &long).await.is_none());
}
