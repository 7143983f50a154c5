use cim_ipld_persistence::ErrorKind;

use crate::support::{Store, cid, create, document, documents, open, total};

#[tokio::test]
async fn persistence_backs_up_and_restores_on_every_backend() {
    for (name, store) in Store::all().await {
        let backend = store.connect().await;
        let engine = create(&backend).await;
        engine.index(&documents(0..20)).await.expect("indexed");
        let made = engine.create_snapshot("before").await.expect("snapshot");
        assert_eq!((made.documents, made.name.as_str()), (20, "before"), "{name}");
        engine.delete(&(0..20).map(cid).collect::<Vec<_>>()).await.expect("deleted");
        engine.index(&[document(100, 0)]).await.expect("indexed");
        engine.fold().await.expect("folded");
        assert_eq!(total(&engine, "shared").await, 1, "{name}");

        engine.restore_snapshot("before").await.expect("restored");
        assert_eq!(total(&engine, "shared").await, 20, "{name}");
        engine.index(&[document(101, 0)]).await.expect("indexed");
        drop(backend);
        engine.close().await;
        let backend = store.connect().await;
        let engine = open(&backend).await;
        assert_eq!(total(&engine, "shared").await, 21, "{name}: after a restart");
        assert_eq!(engine.snapshots().await.expect("listed").len(), 1, "{name}");
        engine.delete_snapshot("before").await.expect("deleted");
        assert_eq!(engine.snapshots().await.expect("listed"), [], "{name}");
        assert_eq!(total(&engine, "shared").await, 21, "{name}: the index does not need its snapshots");
        assert!(engine.verify().await.expect("verified").is_sound(), "{name}");
    }
}

#[tokio::test]
async fn persistence_names_what_is_wrong_with_a_snapshot() {
    let backend = crate::support::memory();
    let engine = create(&backend).await;
    engine.index(&documents(0..3)).await.expect("indexed");
    engine.create_snapshot("one").await.expect("snapshot");
    let cases = [
        (engine.create_snapshot("one").await.map(drop), ErrorKind::SnapshotExists),
        (engine.create_snapshot("").await.map(drop), ErrorKind::InvalidInput),
        (engine.create_snapshot(&"x".repeat(300)).await.map(drop), ErrorKind::InvalidInput),
        (engine.restore_snapshot("two").await.map(drop), ErrorKind::SnapshotMissing),
        (engine.delete_snapshot("two").await, ErrorKind::SnapshotMissing),
    ];
    for (result, expected) in cases {
        assert_eq!(result.expect_err("refused").kind(), expected);
    }
    assert_eq!(total(&engine, "shared").await, 3);
}

#[tokio::test]
async fn persistence_deletes_a_snapshot_whose_record_is_lost() {
    use cim_ipld_backend::{Bucket, KeyPrefix, Revision};
    use futures::TryStreamExt;
    let backend = crate::support::memory();
    let engine = create(&backend).await;
    engine.index(&documents(0..3)).await.expect("indexed");
    engine.create_snapshot("one").await.expect("snapshot");
    let catalog = Bucket::log("catalog_v1").expect("a name");
    let records = backend.scan(&catalog, &KeyPrefix::below("snapshot").expect("a prefix"), Revision::ZERO);
    let records: Vec<_> = records.map_ok(|entry| entry.key).try_collect().await.expect("scanned");
    backend.delete(&catalog, &records).await.expect("lost");
    assert_eq!(engine.snapshots().await.expect_err("lost").kind(), ErrorKind::Lost);
    assert_eq!(engine.restore_snapshot("one").await.expect_err("lost").kind(), ErrorKind::Lost);
    assert!(!engine.verify().await.expect("verified").is_sound());
    engine.delete_snapshot("one").await.expect("deleted");
    assert_eq!(engine.snapshots().await.expect("listed"), []);
    assert!(engine.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn persistence_frees_what_only_a_deleted_snapshot_named() {
    let backend = cim_ipld_backend::MemoryBackend::new();
    let shared: std::sync::Arc<dyn cim_ipld_backend::Backend> = std::sync::Arc::new(backend);
    let engine = create(&shared).await;
    engine.index(&documents(0..10)).await.expect("indexed");
    engine.create_snapshot("old").await.expect("snapshot");
    engine.create_snapshot("empty later").await.expect("snapshot");
    engine.delete(&(0..10).map(cid).collect::<Vec<_>>()).await.expect("deleted");
    engine.fold().await.expect("folded");
    engine.merge().await.expect("merged");
    let kept = objects(&shared).await;
    engine.delete_snapshot("old").await.expect("deleted");
    assert_eq!(objects(&shared).await, kept, "another snapshot names the same pages");
    engine.delete_snapshot("empty later").await.expect("deleted");
    assert_eq!(objects(&shared).await, 1, "only the window of the order remains");
}

async fn objects(backend: &std::sync::Arc<dyn cim_ipld_backend::Backend>) -> usize {
    use futures::StreamExt;
    let mut objects = 0;
    for bucket in ["text_index_v1", "tag_index_v1", "type_index_v1", "metadata_cache_v1"] {
        let bucket = cim_ipld_backend::Bucket::objects(bucket).expect("a name");
        let all = cim_ipld_backend::KeyPrefix::all();
        objects += backend.scan(&bucket, &all, cim_ipld_backend::Revision::ZERO).count().await;
    }
    objects
}
