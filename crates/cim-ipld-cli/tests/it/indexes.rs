//! `cim ls` and `cim drop`: the indexes of a store, and the removal of one of them.

use serde_json::{Value, json};

use crate::program::{done, json as run_json, refused};
use crate::store::{Store, files_below};

fn with_document(store: &Store, at: &str, key: &str) {
    done(["init", at, "--key-file", key]);
    done(["index", at, &store.write("one.jsonl", "{\"title\":\"Harbour\"}"), "--key-file", key]);
}

fn stores(listed: &Value) -> Vec<&str> {
    listed["indexes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|index| index["store"].as_str().expect("a store"))
        .collect()
}

#[test]
fn a_server_holds_several_indexes_and_loses_only_the_dropped_one() {
    let store = Store::nats();
    let (at, key) = (store.name(), store.key("key"));
    let named = ["harbour", "harbour_two"].map(|name| format!("{at}/{name}"));
    assert_eq!(done(["ls", &at]), "");
    for at in [&at, &named[0], &named[1]] {
        with_document(&store, at, &key);
    }
    assert_eq!(done(["ls", &at]), format!("{at}\n{}\n{}\n", named[0], named[1]));
    let listed = run_json(["ls", &at, "--json"]);
    assert_eq!(stores(&listed), [&at, &named[0], &named[1]]);
    assert_eq!(listed["indexes"][1], json!({ "name": "harbour", "store": named[0], "complete": true }));
    assert_eq!(refused(["ls", &named[0]]).status, 2);

    let refusal = refused(["drop", &named[0]]);
    assert_eq!(refusal.status, 2, "{refusal:?}");
    assert!(refusal.error.contains(&format!("{}: 5 buckets, and its pin", named[0])), "{refusal:?}");
    assert!(refusal.hint.contains("--yes"), "{refusal:?}");
    assert_eq!(run_json(["search", &named[0], "", "--json", "--key-file", &key])["total"], 1);

    let dropped = run_json(["drop", &named[0], "--yes", "--json"]);
    assert_eq!((dropped["buckets"].as_array().map(Vec::len), &dropped["pin"]), (Some(5), &json!(true)), "{dropped}");
    assert_eq!(stores(&run_json(["ls", &at, "--json"])), [&at, &named[1]]);
    assert_eq!(refused(["drop", &named[0], "--yes"]).status, 5);
    assert_eq!(refused(["search", &named[0], "", "--key-file", &key]).status, 5);
    for at in [&at, &named[1]] {
        done(["verify", at, "--key-file", &key]);
        assert_eq!(run_json(["search", at, "", "--json", "--key-file", &key])["total"], 1);
    }
    // The pin of the dropped index does not stand in the way of a new one.
    with_document(&store, &named[0], &key);
}

#[test]
fn a_folder_is_removed_with_its_index() {
    let store = Store::folder();
    let (at, key) = (store.name(), store.key("key"));
    for command in [&["ls", at.as_str()][..], &["drop", &at, "--yes"]] {
        assert_eq!(refused(command).status, 5, "{command:?}");
    }
    with_document(&store, &at, &key);
    assert_eq!(done(["ls", &at]), format!("{at}\n"));
    let before = store.contents();
    assert_eq!(refused(["drop", &at]).status, 2);
    assert_eq!(store.contents(), before);
    let line = done(["drop", &at, "--yes"]);
    assert!(line.starts_with(&format!("removed {at}: 5 buckets, and its pin ")), "{line}");
    assert!(!store.data_folder().exists(), "{:?}", files_below(&store.data_folder()));
    assert!(std::path::Path::new(&key).exists(), "the key is kept");
    with_document(&store, &at, &key);

    // A folder with files of someone else is not touched.
    let other = Store::folder();
    other.write("store/notes.txt", "notes");
    assert_eq!(refused(["drop", &other.name(), "--yes"]).status, 14);
    assert!(other.file("store/notes.txt").exists());
}

#[test]
fn a_damaged_index_is_listed_and_dropped() {
    let store = Store::nats();
    let (at, key) = (store.name(), store.key("key"));
    with_document(&store, &at, &key);
    for stored in store.contents().iter().filter(|stored| stored.bucket == "catalog_v1") {
        store.delete(stored);
    }
    assert_eq!(done(["ls", &at]), format!("{at}\n"));
    done(["drop", &at, "--yes"]);
    assert_eq!(done(["ls", &at]), "");
}
