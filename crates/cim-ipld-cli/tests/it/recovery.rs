//! A damaged index is verified, restored and repaired by the program.

use serde_json::{Value, json};

use crate::program::{cim, done, json as run_json, refusal};
use crate::store::{Store, Stored};

/// Makes an index with a snapshot of one document, and another document in a later segment. Returns
/// the key and the objects of the later segment.
fn with_snapshot(store: &Store) -> (String, Vec<Stored>) {
    let key = store.init_with_key();
    let at = store.name();
    let index = |name: &str, text: &str| {
        let file = store.write(name, text);
        done(["index", &at, &file, "--key-file", &key]);
    };
    index("one.jsonl", "{\"title\":\"Harbour\"}");
    done(["snapshot", "create", &at, "good", "--key-file", &key]);
    let before: Vec<(String, String)> =
        store.contents().into_iter().map(|stored| (stored.bucket, stored.key)).collect();
    index("two.jsonl", "{\"title\":\"Storm\"}");
    done(["snapshot", "create", &at, "later", "--key-file", &key]);
    let is_new = |stored: &Stored| !before.contains(&(stored.bucket.clone(), stored.key.clone()));
    let later = store.contents().into_iter().filter(|stored| stored.bucket != "catalog_v1" && is_new(stored));
    (key, later.collect())
}

#[test]
fn an_intact_snapshot_is_restored_although_the_index_does_not_open() {
    for store in Store::each() {
        let (key, later) = with_snapshot(&store);
        later.iter().for_each(|stored| store.delete(stored));
        let at = store.name();
        let output = cim(["snapshot", "list", &at, "--key-file", &key, "--json"]).output().expect("it starts");
        assert!(output.status.success());
        let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(list["snapshots"].as_array().map(Vec::len), Some(2), "{list}");
        let output = cim(["verify", &at, "--key-file", &key, "--json"]).output().expect("it starts");
        assert_eq!(refusal(&output).status, 15);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["problems"][0]["of_index"], true, "{report}");
        assert_eq!(report["problems"][0]["snapshots"], json!(["later"]), "{report}");
        let output = cim(["snapshot", "restore", &at, "good", "--key-file", &key]).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(run_json(["search", &at, "", "--json", "--key-file", &key])["total"], 1);
    }
}

#[test]
fn a_command_that_does_not_open_a_damaged_index_says_what_to_do() {
    let store = Store::folder();
    let (key, later) = with_snapshot(&store);
    let at = store.name();
    later.iter().filter(|stored| stored.bucket == "metadata_cache_v1").for_each(|stored| store.delete(stored));
    for command in [&["stats", at.as_str()][..], &["search", &at, "storm"], &["gc", &at]] {
        let output = cim([command, &["--key-file", &key]].concat()).output().expect("it starts");
        let refusal = refusal(&output);
        assert_eq!(refusal.status, 9, "{refusal:?}");
        assert!(refusal.error.contains("bucket metadata_cache_v1"), "{refusal:?}");
        assert!(refusal.hint.contains("cim verify") && refusal.hint.contains("cim repair"), "{refusal:?}");
    }
}

#[test]
fn a_lost_page_is_rebuilt_and_the_replaced_ones_are_collected() {
    for store in Store::each() {
        let (key, later) = with_snapshot(&store);
        let page = later.iter().find(|stored| stored.bucket == "text_index_v1").expect("a text page");
        store.delete(page);
        let at = store.name();
        let output = cim(["verify", &at, "--key-file", &key]).output().expect("it starts");
        assert_eq!(refusal(&output).status, 9);
        let before = store.contents();
        let planned = run_json(["repair", &at, "--key-file", &key, "--dry-run", "--json"]);
        assert_eq!((&planned["complete"], &planned["rebuilt_segments"]), (&json!(true), &json!(1)), "{planned}");
        assert_eq!(store.contents(), before, "a dry run changed the store");
        done(["repair", &at, "--key-file", &key]);
        assert_eq!(run_json(["search", &at, "storm", "--json", "--key-file", &key])["total"], 1);
        let report = run_json(["verify", &at, "--key-file", &key, "--json"]);
        assert!(report["unnamed"]["objects"].as_u64().is_some_and(|objects| objects > 0), "{report}");
        let collected = run_json(["gc", &at, "--key-file", &key, "--grace", "0", "--json"]);
        assert_eq!(collected["removed"], report["unnamed"], "{collected}");
        let report = run_json(["verify", &at, "--key-file", &key, "--json"]);
        assert_eq!(report["unnamed"]["objects"], 0, "{report}");
        assert_eq!(done(["repair", &at, "--key-file", &key]), "nothing to repair\n");
    }
}

#[test]
fn everything_is_put_back_from_a_copy_of_the_folder() {
    let store = Store::folder();
    let (key, _) = with_snapshot(&store);
    let at = store.name();
    let copy = store.file("copy");
    let copied = std::process::Command::new("cp").arg("-a").args([store.data_folder(), copy.clone()]).status();
    assert!(copied.expect("cp runs").success());
    let contents = store.contents();
    for stored in contents.iter().step_by(2).chain(contents.iter().filter(|stored| stored.key == "keyset")) {
        store.delete(stored);
    }
    let output = cim(["verify", &at, "--key-file", &key]).output().expect("it starts");
    assert_eq!(refusal(&output).status, 16);
    let from = format!("file:{}", copy.display());
    let report = run_json(["repair", &at, "--key-file", &key, "--from", &from, "--json"]);
    assert_eq!(report["complete"], true, "{report}");
    done(["verify", &at, "--key-file", &key]);
    assert_eq!(run_json(["search", &at, "", "--json", "--key-file", &key])["total"], 2);
}

#[test]
fn a_repair_says_which_documents_are_lost() {
    let store = Store::folder();
    let (key, later) = with_snapshot(&store);
    later.iter().for_each(|stored| store.delete(stored));
    let at = store.name();
    let output = cim(["repair", &at, "--key-file", &key, "--json"]).output().expect("it starts");
    assert_eq!(refusal(&output).status, 15);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["lost_unknown_documents"], 1, "{report}");
    assert_eq!(report["incomplete_snapshots"], json!(["later"]), "{report}");
    done(["verify", &at, "--key-file", &key]);
    assert_eq!(run_json(["search", &at, "", "--json", "--key-file", &key])["total"], 1);
}
