//! Each problem with a store or a key is reported as a separate kind of error, and a failed opening
//! changes nothing.

use std::sync::Arc;

use bytes::Bytes;
use cim_ipld_backend::{Backend, Bucket, Key, KeyPrefix, KeyedEntry, MemoryBackend, Precondition, Revision};
use cim_ipld_index::{Document, Query, SearchOptions};
use cim_ipld_persistence::{Engine, ErrorKind, IndexName, Protection};
use futures::StreamExt;

use crate::support::{by_hand, cid, create, document, documents, encrypted, key, memory, open, total, try_open};

const BUCKETS: [&str; 5] = ["catalog_v1", "text_index_v1", "tag_index_v1", "type_index_v1", "metadata_cache_v1"];

fn bucket(name: &str) -> Bucket {
    if name.starts_with("catalog") { Bucket::log(name) } else { Bucket::objects(name) }.expect("a name")
}

async fn contents(backend: &Arc<dyn Backend>) -> Vec<(Bucket, KeyedEntry)> {
    let mut contents = Vec::new();
    for bucket in BUCKETS.map(bucket) {
        let mut entries = backend.scan(&bucket, &KeyPrefix::all(), Revision::ZERO);
        while let Some(entry) = entries.next().await {
            contents.push((bucket.clone(), entry.expect("scanned")));
        }
    }
    contents
}

#[tokio::test]
async fn encryption_distinguishes_the_errors_of_wrong_keys() {
    let sealed = memory();
    drop(create(&sealed).await);
    let plain = memory();
    drop(
        Engine::create(Arc::clone(&plain), &IndexName::default(), Protection::Plaintext, by_hand())
            .await
            .expect("created"),
    );
    let empty = memory();
    let cases = [
        (&sealed, Some(key(9)), ErrorKind::WrongKey),
        (&sealed, None, ErrorKind::KeyRequired),
        (&plain, Some(key(1)), ErrorKind::NotEncrypted),
        (&empty, Some(key(1)), ErrorKind::NoIndex),
        (&empty, None, ErrorKind::NoIndex),
    ];
    for (backend, key, expected) in cases {
        let before = if Arc::ptr_eq(backend, &empty) { Vec::new() } else { contents(backend).await };
        let error = try_open(backend, key).await.expect_err("refused");
        assert_eq!(error.kind(), expected, "{error}");
        assert!(!error.hint().is_empty());
        if !Arc::ptr_eq(backend, &empty) {
            assert_eq!(contents(backend).await, before, "{expected:?} changed the store");
        }
    }
    let again = Engine::create(Arc::clone(&sealed), &IndexName::default(), encrypted(), by_hand()).await;
    assert_eq!(again.expect_err("refused").kind(), ErrorKind::IndexExists);
}

/// Returns a store with pages, deletes, a snapshot and a journal.
async fn populated() -> MemoryBackend {
    let memory = MemoryBackend::new();
    let backend: Arc<dyn Backend> = Arc::new(memory.clone());
    let engine = create(&backend).await;
    engine.index(&documents(0..30)).await.expect("indexed");
    engine.create_snapshot("one").await.expect("snapshot");
    engine.index(&documents(20..40)).await.expect("indexed");
    engine.fold().await.expect("folded");
    engine.index(&[document(1, 1), document(50, 0)]).await.expect("indexed");
    engine.index(&[document(2, 1)]).await.expect("indexed");
    memory
}

/// Opens the index and reads everything. Returns the problems and the documents found.
async fn use_all(backend: &Arc<dyn Backend>) -> Result<(Vec<String>, Vec<Document>), cim_ipld_persistence::Error> {
    let engine = try_open(backend, Some(key(1))).await?;
    let mut problems: Vec<String> = engine.verify().await?.problems.iter().map(ToString::to_string).collect();
    let query = Query::parse("shared").expect("a query").tag("tag0").content_type("text/plain");
    if let Err(error) = engine.search(&query, &SearchOptions::default()).await {
        problems.push(error.to_string());
    }
    let documents = match engine.documents(&(0..60).map(cid).collect::<Vec<_>>()).await {
        Ok(documents) => documents.into_iter().flatten().collect(),
        Err(error) => {
            problems.push(error.to_string());
            Vec::new()
        }
    };
    Ok((problems, documents))
}

#[tokio::test]
async fn persistence_reports_every_planted_loss_and_every_flipped_bit() {
    let whole: Arc<dyn Backend> = Arc::new(populated().await);
    let (problems, answers) = use_all(&whole).await.expect("sound");
    assert_eq!(problems, Vec::<String>::new());
    let objects = contents(&whole).await;
    assert!(objects.len() > 20);
    for (bucket, KeyedEntry { key, entry }) in objects {
        for flip in [None, Some(entry.value.len() / 2), Some(entry.value.len() - 1), Some(9)] {
            let spoiled = copy_with(&whole, |of, name, value| match flip {
                Some(at) if (of, name) == (&bucket, &key) => flipped(&value, at),
                _ => value,
            })
            .await;
            if flip.is_none() {
                spoiled.delete(&bucket, std::slice::from_ref(&key)).await.expect("deleted");
            }
            let what = format!("{bucket}/{key} of {} bytes, {flip:?}", entry.value.len());
            match use_all(&spoiled).await {
                Ok((problems, _)) if flip.is_none() && is_last_record(&whole, &key).await => {
                    assert_eq!(problems, Vec::<String>::new(), "{what}: only its writer can know of the last record");
                }
                // Folded records stay in the journal until the next fold, but nothing needs them.
                Ok((problems, found)) if is_folded_record(&whole, &key, entry.revision).await => {
                    assert_eq!((problems, found), (Vec::new(), answers.clone()), "{what}");
                }
                Ok((problems, _)) => assert!(!problems.is_empty(), "{what}: not reported"),
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Damaged
                            | ErrorKind::Lost
                            | ErrorKind::Forked
                            | ErrorKind::Rollback
                            | ErrorKind::NoIndex
                            | ErrorKind::UnsupportedVersion
                            | ErrorKind::NotEncrypted
                            | ErrorKind::WrongKey
                            | ErrorKind::KeyRotated
                    ),
                    "{what}: {error:?}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn persistence_trims_folded_records_even_if_they_are_damaged() {
    let whole: Arc<dyn Backend> = Arc::new(populated().await);
    let mut folded = Vec::new();
    for (_, KeyedEntry { key, entry }) in contents(&whole).await {
        if is_folded_record(&whole, &key, entry.revision).await {
            folded.push(key);
        }
    }
    assert!(!folded.is_empty());
    let spoiled =
        copy_with(&whole, |_, key, value| if folded.contains(key) { flipped(&value, 40) } else { value }).await;
    open(&spoiled).await.fold().await.expect("folded");
    for key in folded {
        assert_eq!(spoiled.get(&bucket("catalog_v1"), &key).await.expect("read"), None);
    }
}

async fn is_folded_record(backend: &Arc<dyn Backend>, key: &Key, revision: Revision) -> bool {
    let manifest = backend.get(&bucket("catalog_v1"), &Key::new("manifest").expect("a key")).await.expect("read");
    // The last manifest of the store is that of a fold, during which nothing was written.
    key.as_str().starts_with("journal.") && revision < manifest.expect("there").revision
}

async fn is_last_record(backend: &Arc<dyn Backend>, key: &Key) -> bool {
    let journal = KeyPrefix::below("journal").expect("a prefix");
    let records: Vec<_> = backend.scan(&bucket("catalog_v1"), &journal, Revision::ZERO).collect().await;
    records.last().is_some_and(|last| last.as_ref().expect("scanned").key == *key)
}

fn flipped(value: &Bytes, at: usize) -> Bytes {
    let mut bytes = value.to_vec();
    bytes[at] ^= 0x40;
    bytes.into()
}

/// Copies a store entry by entry, in the same order and under the same revisions, with the values
/// returned by `change`.
async fn copy_with(whole: &Arc<dyn Backend>, change: impl Fn(&Bucket, &Key, Bytes) -> Bytes) -> Arc<dyn Backend> {
    let copy: Arc<dyn Backend> = memory();
    for bucket in BUCKETS.map(bucket) {
        copy.create(&bucket).await.expect("created");
    }
    let mut last = std::collections::HashMap::new();
    for (bucket, KeyedEntry { key, entry }) in contents(whole).await {
        let value = change(&bucket, &key, entry.value);
        let last = last.entry(bucket.name().to_owned()).or_insert(Revision::ZERO);
        pad(&copy, &bucket, *last, entry.revision).await;
        *last = copy.put(&bucket, &key, value, Precondition::Any).await.expect("put");
        assert_eq!(*last, entry.revision);
    }
    copy
}

/// Uses up the revisions between two entries, which were trimmed in the original, so that the
/// entries of the copy have the same revisions.
async fn pad(backend: &Arc<dyn Backend>, bucket: &Bucket, last: Revision, next: Revision) {
    let padding = Key::new("padding").expect("a key");
    for _ in last.number() + 1..next.number() {
        backend.put(bucket, &padding, Bytes::new(), Precondition::Any).await.expect("put");
        backend.delete(bucket, std::slice::from_ref(&padding)).await.expect("deleted");
    }
}

#[tokio::test(start_paused = true)]
async fn persistence_ignores_and_repairs_an_older_manifest_that_is_stored_again() {
    let memory = MemoryBackend::new();
    let backend: Arc<dyn Backend> = Arc::new(memory.clone());
    let engine = create(&backend).await;
    engine.index(&documents(0..3)).await.expect("indexed");
    let catalog = bucket("catalog_v1");
    let manifest = Key::new("manifest").expect("a key");
    let old = backend.get(&catalog, &manifest).await.expect("read").expect("there");
    engine.fold().await.expect("folded");
    let newest = backend.get(&catalog, &manifest).await.expect("read").expect("there");
    backend.put(&catalog, &manifest, old.value, Precondition::Any).await.expect("put");
    engine.index(&[document(7, 0)]).await.expect("indexed");
    assert_eq!(engine.stats().await.expect("counted").ignored.replayed, 1);
    assert_eq!(total(&engine, "shared").await, 4);
    // The process that knows the newest manifest restores it.
    while backend.get(&catalog, &manifest).await.expect("read").expect("there").value != newest.value {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(total(&open(&backend).await, "shared").await, 4);
    engine.fold().await.expect("folded");
    assert!(engine.verify().await.expect("verified").is_sound());
}

#[tokio::test]
async fn persistence_refuses_documents_over_the_limits_and_writes_none_of_the_batch() {
    let backend = memory();
    let engine = create(&backend).await;
    let bad = document(2, 0).with_tag("x".repeat(100_000));
    let error = engine.index(&[document(1, 0), bad]).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(total(&engine, "shared").await, 0);
    engine.index(&[]).await.expect("nothing is indexed");
    assert_eq!(total(&open(&backend).await, "shared").await, 0);
}
