//! Pins: a store that was rolled back is refused until it is accepted explicitly.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::program::{cim, done, json, names, refused, succeeded};
use crate::store::{Store, files_below};

fn add(store: &Store, key: &str, title: &str, options: &[&str]) {
    let lines = store.write(&format!("{title}.jsonl"), format!("{{\"title\":\"{title}\"}}\n"));
    done([["index", &store.name(), &lines, "--key-file", key].as_slice(), options].concat());
}

fn documents(store: &Store, key: &str, options: &[&str]) -> Value {
    let stats = json([["stats", &store.name(), "--json", "--key-file", key].as_slice(), options].concat());
    stats["documents"].clone()
}

/// Restores earlier files of the store.
fn put_back(store: &Store, files: &[(PathBuf, Vec<u8>)]) {
    let folder = store.data_folder();
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
    for (path, content) in files {
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder is made");
        std::fs::write(path, content).expect("the file is written");
    }
}

fn shown(store: &Store, key: &str, options: &[&str]) -> Value {
    json([["pin", "show", &store.name(), "--json", "--key-file", key].as_slice(), options].concat())
}

#[test]
fn an_older_copy_of_a_folder_is_refused_until_it_is_accepted() {
    for folds in [false, true] {
        let store = Store::folder();
        let key = store.init_with_key();
        add(&store, &key, "harbour", &[]);
        let older = files_below(&store.data_folder());
        add(&store, &key, "storm", &[]);
        if folds {
            done(["snapshot", "create", &store.name(), "s", "--key-file", &key]);
        }
        let known = shown(&store, &key, &[]);
        put_back(&store, &older);
        for command in ["stats", "verify"] {
            let refusal = refused([command, &store.name(), "--key-file", &key]);
            assert_eq!(refusal.status, 10);
            assert!(refusal.error.starts_with(&format!("{}: ", store.name())), "{refusal:?}");
            assert!(refusal.hint.contains("older state") && refusal.hint.contains("cim pin accept"), "{refusal:?}");
        }
        // The pin is unchanged, and the store can be read without it.
        assert_eq!(shown(&store, &key, &[]), known);
        assert_eq!(documents(&store, &key, &["--no-pin"]), json!(1));
        let refusal = refused(["stats", &store.name(), "--key-file", &key]);
        assert_eq!(refusal.status, 10, "a look without the pin accepted the store");

        let output = done(["pin", "accept", &store.name(), "--key-file", &key]);
        assert!(output.starts_with(&format!("accepted {} ", store.name())), "{output}");
        assert_eq!(documents(&store, &key, &[]), json!(1));
        add(&store, &key, "bakery", &[]);
        assert_eq!(documents(&store, &key, &[]), json!(2));
        done(["verify", &store.name(), "--key-file", &key]);
        // The accepted store was pinned, so the same old copy is refused again.
        put_back(&store, &older);
        let refusal = refused(["stats", &store.name(), "--key-file", &key]);
        assert!(refusal.status == 10 && refusal.hint.contains("cim pin accept"), "{refusal:?}");
    }
}

#[test]
fn a_pin_is_shown() {
    for store in Store::each() {
        let key = store.init_with_key();
        let first = shown(&store, &key, &[]);
        assert_eq!(names(&first), ["file", "generation", "keyset_generation", "position"]);
        assert_eq!((&first["generation"], &first["position"]), (&json!(1), &json!(0)), "{first}");
        add(&store, &key, "harbour", &[]);
        done(["snapshot", "create", &store.name(), "s", "--key-file", &key]);
        let new = store.key("new");
        done(["key", "rotate", &store.name(), "--key-file", &key, "--new-key-file", &new]);
        let second = shown(&store, &new, &[]);
        for field in ["generation", "position", "keyset_generation"] {
            assert!(second[field].as_u64() > first[field].as_u64(), "{field}: {first} {second}");
        }
        let stats = json(["stats", &store.name(), "--key-file", &new, "--json"]);
        assert_eq!((&stats["generation"], &stats["position"]), (&second["generation"], &second["position"]));
        let text = done(["pin", "show", &store.name(), "--key-file", &new]);
        let file = first["file"].as_str().expect("a path");
        assert!(Path::new(file).is_file() && text.contains(file) && second["file"] == *file, "{text}");
        let refusal = refused(["pin", "show", &store.name()]);
        assert!(refusal.status == 7 && refusal.error.contains("encrypted"), "{refusal:?}");
    }
}

#[test]
fn a_pin_is_kept_in_the_file_that_is_named() {
    let store = Store::folder();
    let key = store.key("key");
    let pin = store.file("pins/mine.pin").display().to_string();
    let here = ["--pin", &pin];
    // The option may precede the command.
    succeeded(
        &cim([here.as_slice(), &["init", &store.name(), "--key-file", &key]].concat()).output().expect("it starts"),
    );
    assert!(Path::new(&pin).is_file());
    add(&store, &key, "harbour", &here);
    let older = files_below(&store.data_folder());
    add(&store, &key, "storm", &here);
    assert_eq!(shown(&store, &key, &here)["file"], json!(pin));
    put_back(&store, &older);
    // There is no pin for this store in the default folder.
    assert_eq!(documents(&store, &key, &[]), json!(1));
    let refusal = refused([["stats", &store.name(), "--key-file", &key].as_slice(), &here].concat());
    assert!(refusal.status == 10 && refusal.hint.contains("cim pin accept"), "{refusal:?}");
    done([["pin", "accept", &store.name(), "--key-file", &key].as_slice(), &here].concat());
    assert_eq!(documents(&store, &key, &here), json!(1));
}

#[test]
fn a_pin_is_forgotten_without_a_key() {
    let store = Store::folder();
    let key = store.init_with_key();
    add(&store, &key, "harbour", &[]);
    let older = files_below(&store.data_folder());
    add(&store, &key, "storm", &[]);
    let file = shown(&store, &key, &[])["file"].as_str().expect("a path").to_owned();
    put_back(&store, &older);
    refused(["stats", &store.name(), "--key-file", &key]);
    let output = done(["pin", "forget", &store.name()]);
    assert!(output.contains(&file) && !Path::new(&file).exists(), "{output}");
    let absent = shown(&store, &key, &[]);
    assert_eq!(absent, json!({"generation": null, "position": null, "keyset_generation": null, "file": file}));
    assert!(done(["pin", "show", &store.name(), "--key-file", &key]).starts_with("no pin"));
    let refusal = refused(["pin", "forget", &store.name()]);
    assert!(refusal.status == 4 && refusal.error.contains("has no pin"), "{refusal:?}");
    assert_eq!(documents(&store, &key, &[]), json!(1));
    assert!(Path::new(&file).is_file(), "a pin is kept from then on");
}

#[test]
fn no_pin_is_kept_where_none_is_wanted_or_can_be() {
    let store = Store::folder();
    let home = store.file("home");
    std::fs::create_dir(&home).expect("the folder is made");
    let key = store.key("key");
    let run = |arguments: &[&str], home: Option<&Path>| {
        let mut command = cim(arguments);
        command.env_remove("XDG_STATE_HOME").env_remove("HOME");
        if let Some(home) = home {
            command.env("HOME", home);
        }
        command.output().expect("the program starts")
    };
    let at = store.name();
    succeeded(&run(&["init", &at, "--key-file", &key, "--no-pin"], Some(&home)));
    assert_eq!(files_below(&home), []);
    let homeless = run(&["stats", &at, "--key-file", &key, "-v"], None);
    assert_eq!(homeless.status.code(), Some(0));
    let note = "note: no pin is stored: neither XDG_STATE_HOME nor HOME is set\n";
    assert_eq!(String::from_utf8_lossy(&homeless.stderr), note);
    succeeded(&run(&["stats", &at, "--key-file", &key], None));
    let refusal = crate::program::refusal(&run(&["pin", "forget", &at], None));
    assert!(refusal.status == 2 && refusal.hint.contains("--pin FILE"), "{refusal:?}");
    succeeded(&run(&["stats", &at, "--key-file", &key], Some(&home)));
    let mut files = files_below(&home);
    // The lock file of the pin is not a pin.
    files.retain(|(file, _)| file.extension().is_none_or(|extension| extension != "lock"));
    let [(file, _)] = &files[..] else { panic!("one pin: {files:?}") };
    assert_eq!(file.parent(), Some(home.join(".local/state/cim").as_path()));
}

#[test]
fn an_unusable_pin_is_reported() {
    let store = Store::folder();
    let key = store.init_with_key();
    add(&store, &key, "harbour", &[]);
    let folder = store.file(".").display().to_string();
    let refusal = refused(["stats", &store.name(), "--key-file", &key, "--pin", &folder]);
    assert!(refusal.status == 10 && refusal.error.contains(&folder), "{refusal:?}");
    assert!(refusal.hint.contains("--no-pin"), "{refusal:?}");
    // A file that is not a pin is neither replaced nor deleted.
    let other = format!("file:{}", store.file("other").display());
    for content in ["", "junk", "cim-key-v1:aes-256-gcm:00"] {
        let junk = store.write("junk.pin", content);
        for arguments in [
            ["stats", &store.name()].as_slice(),
            &["pin", "show", &store.name()],
            &["pin", "accept", &store.name()],
            &["init", &other],
        ] {
            let refusal = refused([arguments, &["--key-file", &key, "--pin", &junk]].concat());
            assert!(refusal.status == 10 && refusal.error.contains("not a pin"), "{arguments:?}: {refusal:?}");
        }
        let refusal = refused(["pin", "forget", &store.name(), "--pin", &junk]);
        assert!(refusal.status == 10 && refusal.error.contains("not a pin"), "{refusal:?}");
        assert_eq!(std::fs::read_to_string(&junk).expect("it is there"), content);
        assert!(!store.file("other").exists());
    }
    // No index is created if its pin cannot be stored.
    let refusal = refused(["init", &other, "--key-file", &key, "--pin", &folder]);
    assert!(refusal.status == 10 && !store.file("other").exists(), "{refusal:?}");
}

#[test]
fn a_new_index_starts_a_new_pin() {
    let store = Store::folder();
    let key = store.init_with_key();
    add(&store, &key, "harbour", &[]);
    std::fs::remove_dir_all(store.data_folder()).expect("the folder is removed");
    let other = store.key("other");
    done(["init", &store.name(), "--key-file", &other]);
    assert_eq!(shown(&store, &other, &[])["position"], json!(0));
    assert_eq!(documents(&store, &other, &[]), json!(0));
}

/// The server shows an earlier manifest, as after an older backup was restored.
#[test]
fn another_history_on_a_server_is_refused() {
    let store = Store::nats();
    let key = store.init_with_key();
    add(&store, &key, "harbour", &[]);
    let older = store.contents();
    add(&store, &key, "storm", &[]);
    done(["snapshot", "create", &store.name(), "s", "--key-file", &key]);
    let is_manifest = |stored: &&crate::store::Stored| stored.bucket == "catalog_v1" && stored.key == "manifest";
    let manifest = older.iter().find(is_manifest).expect("it was there");
    store.replace(manifest, manifest.value.clone());
    let refusal = refused(["stats", &store.name(), "--key-file", &key]);
    assert!(refusal.status == 10 && refusal.hint.contains("cim pin accept"), "{refusal:?}");
    assert!(refusal.error.contains("generation"), "{refusal:?}");
    done(["pin", "accept", &store.name(), "--key-file", &key]);
    // The journal still has both writes.
    assert_eq!(documents(&store, &key, &[]), json!(2));
    done(["verify", &store.name(), "--key-file", &key]);
}
