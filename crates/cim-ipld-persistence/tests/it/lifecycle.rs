use std::num::NonZeroUsize;
use std::sync::Arc;

use cim_ipld_index::{Query, SearchOptions};
use cim_ipld_persistence::{Engine, ErrorKind, IndexName, Settings};

use crate::support::{
    Store, by_hand, cid, cids, create, document, documents, encrypted, key, memory, open, search, total,
};

#[tokio::test]
async fn persistence_survives_restarts_on_every_backend() {
    for (name, store) in Store::all().await {
        let backend = store.connect().await;
        let engine = create(&backend).await;
        engine.index(&documents(0..50)).await.expect("indexed");
        engine.index(&[document(7, 1)]).await.expect("replaced");
        engine.delete(&[cid(8)]).await.expect("deleted");
        let before = answers(&engine).await;
        assert_eq!(before[0].len(), 49, "{name}");
        drop(backend);
        engine.close().await;

        let backend = store.connect().await;
        let engine = open(&backend).await;
        assert_eq!(answers(&engine).await, before, "{name}: after replaying the journal");
        engine.fold().await.expect("folded");
        assert_eq!(answers(&engine).await, before, "{name}: after folding");
        drop(backend);
        engine.close().await;

        let backend = store.connect().await;
        let engine = open(&backend).await;
        assert_eq!(answers(&engine).await, before, "{name}: from segments");
        let loaded = engine.load().await.expect("loaded");
        assert_eq!(loaded.documents, 49, "{name}");
        assert!(loaded.pages > 0, "{name}");
        let report = engine.verify().await.expect("verified");
        assert!(report.is_sound(), "{name}: {:?}", report.problems);
        assert_eq!(report.documents, 49, "{name}");
    }
}

#[tokio::test]
async fn persistence_closes_cleanly() {
    for (name, store) in Store::all().await {
        let backend = store.connect().await;
        let engine = create(&backend).await;
        let calls: Vec<_> = (0..50)
            .map(|number| {
                let engine = engine.clone();
                tokio::spawn(async move { engine.index(&[document(number, 0)]).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let clone = engine.clone();
        engine.close().await;
        let mut written = 0;
        for call in calls {
            match call.await.expect("joined") {
                Ok(_) => written += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{name}: {error}"),
            }
        }
        assert!(written > 0, "{name}: no call was written");
        let query = Query::parse("shared").expect("a query");
        for outcome in [
            clone.index(&[document(99, 0)]).await.map(drop),
            clone.search(&query, &SearchOptions::default()).await.map(drop),
            clone.fold().await,
        ] {
            assert_eq!(outcome.expect_err("refused").kind(), ErrorKind::Closed, "{name}");
        }
        drop((clone, backend));

        let backend = store.connect().await;
        let engine = open(&backend).await;
        assert_eq!(total(&engine, "shared").await, written, "{name}");
        engine.close().await;
    }
}

async fn answers(engine: &Engine) -> Vec<Vec<cid::Cid>> {
    let mut answers = Vec::new();
    for query in ["shared", "version1", "number7 AND version1", "number8", "group1 group2", "title3", "somebody"] {
        answers.push(cids(engine, query).await);
    }
    answers
}

#[tokio::test]
async fn persistence_replaces_and_deletes_across_folds() {
    let backend = memory();
    let engine = create(&backend).await;
    for version in 0..4 {
        engine.index(&(0..20).map(|number| document(number, version)).collect::<Vec<_>>()).await.expect("indexed");
        if version % 2 == 0 {
            engine.fold().await.expect("folded");
        }
        assert_eq!(total(&engine, "shared").await, 20);
        assert_eq!(total(&engine, &format!("version{version}")).await, 20);
        assert_eq!(total(&engine, &format!("version{}", version + 1)).await, 0);
        if version > 0 {
            assert_eq!(total(&engine, &format!("version{}", version - 1)).await, 0);
        }
    }
    engine.delete(&(0..15).map(cid).collect::<Vec<_>>()).await.expect("deleted");
    assert_eq!(total(&engine, "shared").await, 5);
    engine.fold().await.expect("folded");
    assert_eq!(total(&engine, "shared").await, 5);
    drop(engine);
    let engine = open(&backend).await;
    assert_eq!(total(&engine, "shared").await, 5);
    assert!(engine.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn persistence_returns_documents_as_they_were_indexed() {
    let backend = memory();
    let engine = create(&backend).await;
    let long = "word ".repeat(600_000);
    let documents = [document(1, 0), document(2, 3).with_text(long)];
    engine.index(&documents).await.expect("a batch larger than any value of the store is one record still");
    for _ in 0..2 {
        let found = engine.documents(&[cid(2), cid(9), cid(1)]).await.expect("read");
        assert_eq!(found[0].as_ref(), Some(&documents[1]));
        assert_eq!(found[1], None);
        assert_eq!(found[2].as_ref(), Some(&documents[0]));
        engine.fold().await.expect("folded");
    }
    drop(engine);
    let engine = open(&backend).await;
    assert_eq!(engine.documents(&[cid(2)]).await.expect("read")[0].as_ref(), Some(&documents[1]));
}

#[tokio::test]
async fn persistence_folds_and_merges_automatically_within_its_budget() {
    let backend = memory();
    let mut settings = Settings::default();
    settings.memtable_budget_bytes = Some(64 << 10);
    settings.memory_budget_bytes = 5 << 20;
    let engine = Engine::create(Arc::clone(&backend), &IndexName::default(), encrypted(), settings.clone())
        .await
        .expect("created");
    let mut largest = 0;
    for batch in 0..60 {
        engine.index(&documents(batch * 50..(batch + 1) * 50)).await.expect("indexed");
        largest = largest.max(engine.stats().await.expect("counted").memtable_bytes);
    }
    let stats = engine.stats().await.expect("counted");
    assert_eq!(stats.index.documents, 3000);
    assert!(stats.segments > 0, "nothing was folded");
    assert!(largest < 4 * settings.budget().memtable_bytes(), "{largest} bytes");
    assert_eq!(total(&engine, "shared").await, 3000);
    drop(engine);
    let engine = Engine::open(backend, &IndexName::default(), Some(key(1)), settings).await.expect("opened");
    assert_eq!(total(&engine, "shared").await, 3000);
    assert!(engine.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn persistence_keeps_several_indexes_apart_in_one_store() {
    let backend = memory();
    let (first, second) = (IndexName::new("first").expect("a name"), IndexName::new("second").expect("a name"));
    let settings = crate::support::by_hand;
    let one = Engine::create(Arc::clone(&backend), &first, encrypted(), settings()).await.expect("created");
    let two = Engine::create(Arc::clone(&backend), &second, encrypted(), settings()).await.expect("created");
    one.index(&documents(0..3)).await.expect("indexed");
    two.index(&documents(3..5)).await.expect("indexed");
    assert_eq!((total(&one, "shared").await, total(&two, "shared").await), (3, 2));
}

#[tokio::test]
async fn persistence_filters_by_tag_and_type() {
    let backend = memory();
    let engine = create(&backend).await;
    engine.index(&documents(0..30)).await.expect("indexed");
    for _ in 0..2 {
        let query = Query::parse("shared").expect("a query").tag("tag0").content_type("text/plain");
        let found = engine.search(&query, &SearchOptions::default().limit(100)).await.expect("found");
        assert_eq!(found.total, 5, "numbers divisible by 2 and by 3 below 30");
        assert!(found.hits.iter().all(|hit| hit.tags == ["tag0"]));
        engine.fold().await.expect("folded");
    }
}

#[tokio::test]
async fn persistence_scores_are_the_same_before_and_after_folding() {
    let backend = memory();
    let engine = create(&backend).await;
    engine.index(&documents(0..40)).await.expect("indexed");
    let before = search(&engine, "number7 group2 shared").await;
    engine.fold().await.expect("folded");
    assert_eq!(search(&engine, "number7 group2 shared").await, before);
}

#[tokio::test]
async fn persistence_folds_a_journal_of_deletes_only() {
    let mut settings = Settings::default();
    settings.memtable_budget_bytes = Some(16 << 10);
    let engine = Engine::create(memory(), &IndexName::default(), encrypted(), settings).await.expect("created");
    let folded = async {
        while engine.stats().await.expect("counted").generation == 1 {
            engine.delete(&[cid(1)]).await.expect("deleted");
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), folded).await.expect("the journal is never folded");
}

/// The type of the setting rules out zero, which would wait forever.
#[tokio::test]
async fn one_transfer_at_a_time_is_enough() {
    let mut settings = by_hand();
    settings.parallel_transfers = NonZeroUsize::MIN;
    let engine = Engine::builder(memory()).settings(settings).create(encrypted()).await.expect("created");
    engine.index(&documents(0..20)).await.expect("indexed");
    engine.fold().await.expect("folded");
    assert_eq!(engine.load().await.expect("loaded").documents, 20);
    assert!(engine.verify().await.expect("verified").is_sound());
}
