//! Key files, passphrases, algorithms, rotation.

use serde_json::json;

use crate::program::{cim, done, json, names, refused, succeeded};
use crate::store::{Store, Stored};

#[test]
fn keys_are_generated_once() {
    let store = Store::folder();
    for (algorithm, extra) in [
        ("aes-256-gcm", vec![]),
        ("chacha20-poly1305", vec!["--algorithm", "chacha20-poly1305"]),
        ("xchacha20-poly1305", vec!["--algorithm", "xchacha20-poly1305"]),
    ] {
        let file = store.file(algorithm).display().to_string();
        let output = done([["key", "generate", &file].as_slice(), &extra].concat());
        let content = std::fs::read_to_string(&file).expect("the key file is there");
        let secret = content.trim_end().rsplit(':').next().expect("the key's digits");
        assert!(content.contains(algorithm), "the file names its algorithm");
        assert!(output.contains(algorithm) && !output.contains(secret), "{output}");
        let refusal = refused(["key", "generate", &file]);
        assert_eq!(refusal.status, 6);
        assert_eq!(std::fs::read_to_string(&file).expect("the key file is there"), content, "a key was overwritten");
    }
}

#[test]
fn the_algorithm_is_the_keys_own_unless_said() {
    for (key_algorithm, options, expected) in [
        ("aes-256-gcm", vec![], "aes-256-gcm"),
        ("xchacha20-poly1305", vec![], "xchacha20-poly1305"),
        ("aes-256-gcm", vec!["--algorithm", "chacha20-poly1305"], "chacha20-poly1305"),
    ] {
        let store = Store::folder();
        let key = store.file("key").display().to_string();
        done(["key", "generate", &key, "--algorithm", key_algorithm]);
        let at = store.name();
        let output = done([["init", &at, "--key-file", &key].as_slice(), &options].concat());
        assert_eq!(output, format!("created {at}, encrypted with {expected}\n"));
        assert_eq!(json(["stats", &at, "--key-file", &key, "--json"])["algorithm"], json!(expected));
    }
}

#[test]
fn a_passphrase_opens_what_it_made() {
    let store = Store::folder();
    let (right, wrong) = (private(&store, "right", "open sesame\n"), private(&store, "wrong", "open barley\n"));
    done(["init", &store.name(), "--passphrase-file", &right]);
    let lines = store.write("one.jsonl", "{\"title\":\"cave\"}");
    done(["index", &store.name(), &lines, "--passphrase-file", &right]);
    let stats = json(["stats", &store.name(), "--passphrase-file", &right, "--json"]);
    assert_eq!((&stats["documents"], &stats["algorithm"]), (&json!(1), &json!("aes-256-gcm")));
    let refusal = refused(["stats", &store.name(), "--passphrase-file", &wrong]);
    assert!(refusal.status == 7 && refusal.error.contains("wrong key"), "{refusal:?}");
    let keys = json(["key", "list", &store.name(), "--passphrase-file", &right, "--json"]);
    assert_eq!(keys["slots"][0]["kind"], json!("passphrase"));
}

#[test]
fn the_environment_names_key_files() {
    let store = Store::folder();
    let key = store.key("key");
    let run = |arguments: &[&str], variable: &str, file: &str| {
        succeeded(&cim(arguments).env(variable, file).output().expect("the program starts"))
    };
    run(&["init", &store.name()], "CIM_KEY_FILE", &key);
    run(&["stats", &store.name()], "CIM_KEY_FILE", &key);
    let phrase = private(&store, "phrase", "open sesame");
    let rotate = ["key", "rotate", &store.name(), "--new-passphrase-file", &phrase];
    run(&rotate, "CIM_KEY_FILE", &key);
    run(&["stats", &store.name()], "CIM_PASSPHRASE_FILE", &phrase);
    // An option takes precedence over the environment.
    let output = cim(["stats", &store.name(), "--passphrase-file", &phrase]).env("CIM_KEY_FILE", &key).output();
    succeeded(&output.expect("the program starts"));
}

#[cfg(unix)]
#[test]
fn files_that_others_can_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::folder();
    let key = store.key("key");
    let phrase = private(&store, "phrase", "open sesame");
    for (option, file) in [("--key-file", &key), ("--passphrase-file", &phrase)] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o640)).expect("the mode is set");
        let refusal = refused(["init", &store.name(), option, file]);
        assert_eq!(refusal.status, 7);
        assert!(refusal.error.contains("640") && refusal.hint.contains("chmod 600"), "{refusal:?}");
    }
    assert!(!store.data_folder().exists());
}

#[test]
fn files_that_hold_no_key_are_refused() {
    let store = Store::folder();
    let absent = store.file("absent").display().to_string();
    for (option, file, error) in [
        ("--key-file", private(&store, "noise", "0123456789"), "not a key file"),
        ("--key-file", private(&store, "nothing", ""), "not a key file"),
        ("--passphrase-file", private(&store, "silence", "\n"), "empty"),
        ("--key-file", absent.clone(), "absent"),
        ("--passphrase-file", absent, "absent"),
    ] {
        let refusal = refused(["init", &store.name(), option, &file]);
        assert_eq!(refusal.status, 7);
        assert!(refusal.error.contains(error) && refusal.error.contains(&file), "{refusal:?}");
    }
    assert!(!store.data_folder().exists());
}

#[test]
fn rotation_changes_what_opens_the_index_and_loses_nothing() {
    for store in Store::each() {
        let at = store.name();
        let old = store.init_with_key();
        let lines = store.write("one.jsonl", "{\"title\":\"before\"}");
        done(["index", &at, &lines, "--key-file", &old]);

        let new = store.file("new").display().to_string();
        done(["key", "generate", &new, "--algorithm", "chacha20-poly1305"]);
        done(["key", "rotate", &at, "--key-file", &old, "--new-key-file", &new]);
        let refusal = refused(["stats", &at, "--key-file", &old]);
        assert!(refusal.status == 7 && refusal.error.contains("wrong key"), "{refusal:?}");

        let lines = store.write("two.jsonl", "{\"title\":\"after\"}");
        done(["index", &at, &lines, "--key-file", &new]);
        assert_eq!(json(["search", &at, "before after", "--json", "--key-file", &new])["total"], json!(2));
        done(["verify", &at, "--key-file", &new]);

        let keys = json(["key", "list", &at, "--json", "--key-file", &new]);
        assert_eq!(names(&keys), ["data_keys", "slots"]);
        assert_eq!(names(&keys["slots"][0]), ["algorithm", "id", "kind"]);
        assert_eq!(names(&keys["data_keys"][0]), ["algorithm", "id", "rotation_due", "state"]);
        let slots = keys["slots"].as_array().expect("slots");
        assert_eq!(
            (slots.len(), &slots[0]["kind"], &slots[0]["algorithm"]),
            (1, &json!("key"), &json!("chacha20-poly1305"))
        );
        let mut states: Vec<_> =
            keys["data_keys"].as_array().expect("keys").iter().map(|key| (&key["state"], &key["algorithm"])).collect();
        states.sort_by_key(|(state, _)| state.as_str());
        assert_eq!(
            states,
            [(&json!("active"), &json!("chacha20-poly1305")), (&json!("decrypt-only"), &json!("aes-256-gcm"))]
        );
        let text = done(["key", "list", &at, "--key-file", &new]);
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}

/// A power failure after the new keyset was stored, but before the old data key was retired.
#[test]
fn an_interrupted_rotation_is_finished() {
    for store in Store::each() {
        let at = store.name();
        let old = store.init_with_key();
        let lines = store.write("one.jsonl", "{\"title\":\"before\"}");
        done(["index", &at, &lines, "--key-file", &old]);
        let before = store.contents();
        let new = store.key("new");
        let output = done(["key", "rotate", &at, "--key-file", &old, "--finish"]);
        assert_eq!(output, "there is no rotation to finish\n");
        done(["key", "rotate", &at, "--key-file", &old, "--new-key-file", &new]);
        // The last record begins the epoch of the new data key, and the manifest covers it.
        let is_manifest = |stored: &&Stored| stored.bucket == "catalog_v1" && stored.key == "manifest";
        let manifest = before.iter().find(is_manifest).expect("it was there");
        let after = store.contents();
        let is_record = |stored: &&Stored| stored.bucket == "catalog_v1" && stored.key.starts_with("journal");
        store.delete(after.iter().filter(is_record).max_by_key(|stored| stored.revision).expect("a record"));
        store.replace(manifest, manifest.value.clone());

        let options = ["--key-file", &new, "--no-pin"];
        let stats = json([["stats", &at, "--json"].as_slice(), &options].concat());
        assert_eq!((&stats["documents"], &stats["rotation_unfinished"]), (&json!(1), &json!(true)), "{stats}");
        let report = done([["verify", &at].as_slice(), &options].concat());
        assert!(report.contains("cim key rotate --finish"), "{report}");
        let output = done([["key", "rotate", &at, "--finish"].as_slice(), &options].concat());
        assert!(output.contains("finished"), "{output}");
        let report = json([["verify", &at, "--json"].as_slice(), &options].concat());
        assert_eq!((&report["documents"], &report["rotation_unfinished"]), (&json!(1), &json!(false)), "{report}");
    }
}

#[test]
fn a_plaintext_index_has_no_keys() {
    let store = Store::folder();
    done(["init", &store.name(), "--plaintext"]);
    let key = store.key("key");
    for arguments in
        [vec!["key", "list"], vec!["key", "rotate", "--new-key-file", &key], vec!["key", "rotate", "--finish"]]
    {
        let output = cim(arguments).arg(store.name()).output().expect("the program starts");
        let refusal = crate::program::refusal(&output);
        assert!(refusal.status == 7 && refusal.error.contains("not encrypted"), "{refusal:?}");
    }
}

/// A file that only its owner can read.
pub(crate) fn private(store: &Store, name: &str, content: &str) -> String {
    let path = store.write(name, content);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("the mode is set");
    }
    path
}
