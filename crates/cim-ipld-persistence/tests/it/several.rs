use std::sync::Arc;

use cim_ipld_persistence::ErrorKind;

use crate::support::{Store, cid, cids, create, document, documents, open, total};

#[tokio::test]
async fn persistence_shows_each_process_the_writes_of_the_others() {
    for (name, store) in Store::all().await {
        let backend = store.connect().await;
        let writer = create(&backend).await;
        // Only one process can open the embedded store, so the engines share its backend. With the
        // other stores, each engine has its own connection.
        let elsewhere = if name == "embedded" { Arc::clone(&backend) } else { store.connect().await };
        let reader = open(&elsewhere).await;
        let mut last = writer.index(&documents(0..10)).await.expect("indexed");
        for number in 0..10 {
            last = if number % 2 == 0 {
                writer.index(&[document(number, 1)]).await.expect("indexed")
            } else {
                reader.delete(&[cid(number)]).await.expect("deleted")
            };
        }
        for engine in [&writer, &reader] {
            engine.wait_for(last).await.expect("followed");
        }
        assert_eq!(cids(&writer, "shared").await, cids(&reader, "shared").await, "{name}");
        assert_eq!(total(&reader, "version1").await, 5, "{name}");
    }
}

#[tokio::test]
async fn persistence_follows_folds_merges_and_restores_of_another_process() {
    let backend = crate::support::memory();
    let one = create(&backend).await;
    let two = open(&backend).await;
    for round in 0..12u32 {
        let (writer, folder) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let revision = writer.index(&documents(round * 5..round * 5 + 8)).await.expect("indexed");
        folder.wait_for(revision).await.expect("followed");
        folder.fold().await.expect("folded");
        let last = writer.index(&[document(round, 9)]).await.expect("indexed");
        folder.wait_for(last).await.expect("followed");
        assert_eq!(cids(&one, "shared").await, cids(&two, "shared").await, "round {round}");
    }
    one.create_snapshot("kept").await.expect("snapshot");
    let before = cids(&one, "shared").await;
    let revision = two.delete(&(0..30).map(cid).collect::<Vec<_>>()).await.expect("deleted");
    one.wait_for(revision).await.expect("followed");
    assert!(total(&one, "shared").await < before.len() as u64);
    one.restore_snapshot("kept").await.expect("restored");
    let revision = one.index(&[document(1000, 0)]).await.expect("indexed");
    two.wait_for(revision).await.expect("followed");
    one.delete(&[cid(1000)]).await.expect("deleted");
    assert_eq!(cids(&one, "shared").await, before);
    assert!(two.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn persistence_lets_concurrent_callers_share_records() {
    let backend = crate::support::memory();
    let engine = create(&backend).await;
    let calls = (0..200).map(|number| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.index(&[document(number, 0)]).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("joined").expect("indexed");
    }
    assert_eq!(total(&engine, "shared").await, 200);
    drop(engine);
    let engine = open(&backend).await;
    assert_eq!(total(&engine, "shared").await, 200);
}

#[tokio::test]
async fn persistence_reports_that_another_process_changed_the_key() {
    let backend = crate::support::memory();
    let one = create(&backend).await;
    let two = open(&backend).await;
    one.rotate_key(&crate::support::key(2), cim_ipld_envelope::EncryptionAlgorithm::ChaCha20Poly1305)
        .await
        .expect("rotated");
    let revision = one.index(&documents(0..3)).await.expect("indexed");
    let error = two.wait_for(revision).await.expect_err("the record is under a key that this process does not have");
    assert_eq!(error.kind(), ErrorKind::KeyRotated, "{error}");
}
