//! Creating buckets, and checking existing ones.

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use cim_ipld_backend::{
    Backend, Bucket, Durability, ErrorKind, Key, KeyPrefix, MAX_BUCKET_BYTES, MAX_KEY_BYTES, Precondition, Revision,
};
use cim_ipld_nats::NatsSettings;
use futures::StreamExt;

use crate::support::{connect, connect_with, jetstream, key, log, objects, put, server, value};

/// The bucket that `nats kv add BUCKET --history 1` creates.
fn as_usual(bucket: &Bucket) -> Config {
    Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        allow_direct: true,
        num_replicas: 1,
        ..Config::default()
    }
}

#[tokio::test]
async fn a_bucket_that_others_made_is_taken_as_it_is() {
    let server = server();
    jetstream(&server).await.create_stream(as_usual(&log())).await.expect("made");
    let backend = connect(&server).await;
    backend.create(&log()).await.expect("it is there");
    put(&backend, &log(), "key", "value").await.expect("written");
    assert_eq!(value(&backend, &log(), "key").await.expect("read").as_deref(), Some("value"));
}

#[tokio::test]
async fn a_bucket_with_wrong_settings_is_refused_by_every_call_and_left_alone() {
    let bucket = log();
    let subjects = |filter: &str| vec![filter.to_owned()];
    let cases = [
        ("history", Config { max_messages_per_subject: 5, ..as_usual(&bucket) }),
        ("time to live", Config { max_age: std::time::Duration::from_secs(3600), ..as_usual(&bucket) }),
        ("discard", Config { discard: DiscardPolicy::Old, max_bytes: 1 << 20, ..as_usual(&bucket) }),
        ("discard", Config { discard: DiscardPolicy::Old, max_messages: 10, ..as_usual(&bucket) }),
        ("retention", Config { retention: RetentionPolicy::Interest, ..as_usual(&bucket) }),
        ("purging", Config { deny_purge: true, allow_rollup: false, ..as_usual(&bucket) }),
        ("duplicate window", Config { duplicate_window: std::time::Duration::from_secs(119), ..as_usual(&bucket) }),
        ("does not acknowledge", Config { no_ack: true, ..as_usual(&bucket) }),
        ("maximum value size", Config { max_message_size: 4096, ..as_usual(&bucket) }),
        ("file storage", Config { storage: StorageType::Memory, ..as_usual(&bucket) }),
        ("does not store the subjects", Config { subjects: subjects("elsewhere.>"), ..as_usual(&bucket) }),
    ];
    for (named, config) in cases {
        let server = server();
        let jetstream = jetstream(&server).await;
        let made = jetstream.create_stream(config).await.unwrap_or_else(|error| panic!("{named}: {error}"));
        let backend = connect(&server).await;
        let (name, all) = (key("key"), KeyPrefix::all());
        let refused = [
            backend.create(&bucket).await.map(drop),
            backend.get(&bucket, &name).await.map(drop),
            backend.put(&bucket, &name, "value".into(), Precondition::Any).await.map(drop),
            backend.delete(&bucket, &[name]).await,
            backend.scan(&bucket, &all, Revision::ZERO).next().await.expect("an error").map(drop),
            backend.watch(&bucket, &all, Revision::ZERO).next().await.expect("an error").map(drop),
        ];
        for outcome in refused {
            let error = outcome.expect_err(named);
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{named}: {error:?}");
            assert!(error.to_string().contains(named), "{named}: {error}");
        }
        let after = jetstream.get_stream(format!("KV_{bucket}")).await.expect("still there");
        assert_eq!(after.cached_info().config, made.cached_info().config, "{named}");
        assert_eq!(after.cached_info().state.messages, 0, "{named}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_make_a_bucket_says_why() {
    let server = server();
    let mut settings = NatsSettings::default();
    settings.replicas = 3;
    let error =
        connect_with(&server, settings).await.create(&log()).await.expect_err("one server cannot store three replicas");
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error:?}");
}

#[tokio::test]
async fn many_creators_make_one_bucket() {
    let server = server();
    let creators = (0..8).map(|_| async {
        let backend = connect(&server).await;
        backend.create(&objects()).await
    });
    for created in futures::future::join_all(creators).await {
        created.expect("created");
    }
}

/// Below each limit everything works, and above it nothing reaches the server.
#[tokio::test]
async fn names_keys_and_values_are_limited_before_they_reach_the_server() {
    let server = server();
    let backend = connect(&server).await;
    let longest = Bucket::log(&"b".repeat(MAX_BUCKET_BYTES)).expect("a name");
    backend.create(&longest).await.expect("created");
    let name = format!("a.{}", "k".repeat(MAX_KEY_BYTES - 2));
    let largest = bytes::Bytes::from(vec![7; backend.limits().max_value_bytes]);
    let revision = backend.put(&longest, &key(&name), largest.clone(), Precondition::Absent).await.expect("written");
    let entry = backend.get(&longest, &key(&name)).await.expect("read").expect("there");
    assert!(entry.value == largest && entry.revision == revision);

    for bad in ["", ".a", "a.", "a..b", "a b", "a*", "a>", "ä", "a\r\nPUB", &"k".repeat(MAX_KEY_BYTES + 1)] {
        assert_eq!(Key::new(bad).expect_err(bad).kind(), ErrorKind::InvalidName);
    }
    for bad in ["", "a.b", "a b", "a>", &"b".repeat(MAX_BUCKET_BYTES + 1)] {
        assert_eq!(Bucket::log(bad).expect_err(bad).kind(), ErrorKind::InvalidName);
    }
    let larger = bytes::Bytes::from(vec![7; backend.limits().max_value_bytes + 1]);
    let error = backend.put(&longest, &key("larger"), larger, Precondition::Any).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");
    put(&backend, &longest, "after", "all that").await.expect("the connection still works");
}

#[tokio::test]
async fn removal_leaves_nothing_behind() {
    let server = server();
    let backend = connect(&server).await;
    backend.create(&objects()).await.expect("created");
    let keys: Vec<Key> = (0..100).map(|number| key(&format!("page.{number}"))).collect();
    for key in &keys {
        backend.put(&objects(), key, "value".into(), Precondition::Absent).await.expect("written");
    }
    backend.delete(&objects(), &keys).await.expect("removed");
    let stream = jetstream(&server).await.get_stream("KV_text_index_v1").await.expect("there");
    let state = &stream.cached_info().state;
    assert_eq!((state.messages, state.bytes, state.last_sequence), (0, 0, 100), "a tombstone would be a message");
}

/// Other NATS KV clients write a marker when they remove a value: it counts as an absence.
#[tokio::test]
async fn the_marks_of_other_programs_are_absences() {
    let server = server();
    let backend = connect(&server).await;
    for bucket in [log(), objects()] {
        backend.create(&bucket).await.expect("created");
        for name in ["kept", "deleted", "purged"] {
            put(&backend, &bucket, name, "value").await.expect("written");
        }
        let store = jetstream(&server).await.get_key_value(bucket.name()).await.expect("a bucket of NATS KV");
        assert_eq!(store.get("kept").await.expect("read").expect("there"), "value");
        store.delete("deleted").await.expect("deleted");
        store.purge("purged").await.expect("purged");
        assert_eq!(value(&backend, &bucket, "kept").await.expect("read").as_deref(), Some("value"));
        for name in ["deleted", "purged"] {
            assert_eq!(value(&backend, &bucket, name).await.expect("read"), None, "{bucket}: {name}");
        }
        let scanned: Vec<_> = backend.scan(&bucket, &KeyPrefix::all(), Revision::ZERO).collect().await;
        assert_eq!(scanned.len(), 1, "{bucket}: {scanned:?}");
    }
}

#[tokio::test]
async fn what_an_acknowledgement_survives_is_said() {
    let server = server();
    assert_eq!(connect(&server).await.limits().durability, Durability::Crash);
    let mut settings = NatsSettings::default();
    settings.in_memory = true;
    let in_memory = connect_with(&server, settings).await;
    assert_eq!(in_memory.limits().durability, Durability::Process);
    let error = in_memory.expect_server_encryption().await.expect_err("there is no file to encrypt");
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    connect(&server).await.expect_server_encryption().await.expect("the settings are compatible");
}
