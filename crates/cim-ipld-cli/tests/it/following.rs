//! A changing folder: what is read again, replaced, renamed, removed and skipped.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::keys::private;
use crate::program::{cim, done, json, refused};
use crate::store::Store;
use crate::tree::{Tree, index, indexed};

fn plaintext() -> Store {
    let store = Store::folder();
    done(["init", &store.name(), "--plaintext"]);
    store
}

/// Returns the numbers of stored documents, unchanged files and removed files.
#[track_caller]
fn counts(store: &Store, arguments: &[&str]) -> [u64; 3] {
    let done = index(store, arguments);
    ["documents", "unchanged", "removed"].map(|name| done[name].as_u64().expect("a count"))
}

/// What happens, the changes, and the numbers of stored, unchanged and removed files.
type Step = (&'static str, fn(&Tree), [u64; 3]);

const STEPS: [Step; 14] = [
    ("nothing happens", |_| {}, [0, 4, 0]),
    ("a file is edited", |tree| tree.write("a.txt", "edited"), [1, 3, 0]),
    ("its content goes back", |tree| tree.write("a.txt", "a"), [1, 3, 0]),
    ("a file is renamed", |tree| tree.rename("a.txt", "z.txt"), [1, 3, 0]),
    ("a folder is renamed", |tree| tree.rename("d", "e"), [2, 2, 0]),
    ("a file is copied", |tree| tree.write("copy.txt", "a"), [1, 4, 0]),
    ("one of the copies is edited", |tree| tree.write("copy.txt", "no longer"), [1, 4, 0]),
    ("one of the copies is removed", |tree| tree.remove("copy.txt"), [0, 4, 1]),
    (
        "two files swap their content",
        |tree| {
            tree.write("z.txt", "b");
            tree.write("b.txt", "a");
        },
        [2, 2, 0],
    ),
    (
        "two files swap their names",
        |tree| {
            tree.rename("z.txt", "swap.txt");
            tree.rename("b.txt", "z.txt");
            tree.rename("swap.txt", "b.txt");
        },
        [2, 2, 0],
    ),
    (
        "a file becomes a folder",
        |tree| {
            tree.remove("b.txt");
            tree.write("b.txt/inside.txt", "inside");
        },
        [1, 3, 1],
    ),
    (
        "a folder becomes a file",
        |tree| {
            std::fs::remove_dir_all(tree.path("b.txt")).expect("removed");
            tree.write("b.txt", "a file again");
        },
        [1, 3, 1],
    ),
    ("a file becomes empty", |tree| tree.write("b.txt", ""), [1, 3, 0]),
    ("a file is no longer text", |tree| tree.write("b.txt", b"\0"), [0, 3, 0]),
];

#[test]
fn changes_of_a_folder_are_followed() {
    for store in Store::each() {
        done(["init", &store.name(), "--plaintext"]);
        let tree = Tree::beside(&store, "tree");
        for (name, content) in [("a.txt", "a"), ("b.txt", "b"), ("d/c.txt", "c"), ("d/empty.txt", "")] {
            tree.write(name, content);
        }
        assert_eq!(counts(&store, &[&tree.root(), "--sync"]), [4, 0, 0]);
        for (what, change, expected) in STEPS {
            change(&tree);
            assert_eq!(counts(&store, &[&tree.root(), "--sync"]), expected, "{what}");
            let mut there = tree.expected();
            if what.contains("no longer text") {
                there.retain(|_, paths| paths.iter().all(|path| !path.ends_with("/b.txt")));
            }
            assert_eq!(indexed(&store, &[]), there, "{what}");
            let stats = json(["stats", &store.name(), "--json"]);
            assert_eq!(stats["documents"], there.len(), "{what}");
        }
        done(["verify", &store.name()]);
    }
}

#[test]
fn only_sync_removes_what_is_gone_and_only_below_the_given_paths() {
    let store = plaintext();
    let tree = Tree::beside(&store, "tree");
    for name in ["a/1.txt", "a/2.txt", "ab/3.txt", "b.txt"] {
        tree.write(name, name);
    }
    let [a, b] = ["a", "b.txt"].map(|name| tree.path(name).display().to_string());
    assert_eq!(counts(&store, &[&tree.root()]), [4, 0, 0]);
    for name in ["a/1.txt", "ab/3.txt"] {
        tree.remove(name);
    }
    assert_eq!(counts(&store, &[&tree.root()]), [0, 2, 0]);
    assert_eq!(indexed(&store, &[]).len(), 4);
    assert_eq!(counts(&store, &[&b, "--sync"]), [0, 1, 0]);
    assert_eq!(counts(&store, &[&a, "--sync"]), [0, 1, 1]);
    assert_eq!(indexed(&store, &[]).len(), 3);
    assert_eq!(counts(&store, &[&tree.root(), "--sync"]), [0, 2, 1]);
    assert_eq!(indexed(&store, &[]), tree.expected());
}

#[test]
fn a_file_is_read_again_unless_its_size_and_settled_time_are_the_same() {
    let now = SystemTime::now();
    let old = now - Duration::from_secs(1_000);
    for (first, second, content, options, expected) in [
        (old, old, "same size!", vec![], 0),
        (old, old, "same size!", vec!["--checksum"], 1),
        (old, old, "another size", vec![], 1),
        (old, old - Duration::from_nanos(1_000), "same size!", vec![], 1),
        (now + Duration::from_secs(500), now + Duration::from_secs(500), "same size!", vec![], 1),
    ] {
        let store = plaintext();
        let tree = Tree::beside(&store, "tree");
        tree.write_at("a.txt", "first text", first);
        assert_eq!(counts(&store, &[&tree.root()])[0], 1);
        tree.write_at("a.txt", content, second);
        let arguments = [vec![tree.root()], options.iter().map(|option| (*option).to_owned()).collect()].concat();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(counts(&store, &arguments)[0], expected, "{content} {options:?}");
    }
    // What is read again is not stored again if it is the same.
    for modified in [old, now + Duration::from_secs(500)] {
        let store = plaintext();
        let tree = Tree::beside(&store, "tree");
        tree.write_at("a.txt", "text", modified);
        for (options, expected) in [(vec![], 1), (vec![], 0), (vec!["--checksum"], 0)] {
            assert_eq!(counts(&store, &[vec![tree.root().as_str()], options].concat())[0], expected);
        }
    }
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_are_different_files() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let store = plaintext();
    let tree = Tree::beside(&store, "tree");
    let names: [&[u8]; 5] = [b"a\xff.txt", b"a\xfe.txt", br"a\xff.txt", b"a b 1 2", b"new\nline"];
    let deep = format!("{}/deep.txt", vec!["x".repeat(200); 6].join("/"));
    for name in names.into_iter().chain([deep.as_bytes()]) {
        tree.write(OsStr::from_bytes(name), name);
    }
    assert_eq!(counts(&store, &[&tree.root(), "--sync"]), [6, 0, 0]);
    assert_eq!(indexed(&store, &[]), tree.expected());
    assert_eq!(counts(&store, &[&tree.root(), "--sync"]), [0, 6, 0]);
    tree.write(OsStr::from_bytes(names[0]), "edited");
    tree.remove(&deep);
    assert_eq!(counts(&store, &[&tree.root(), "--sync"]), [1, 4, 1]);
    assert_eq!(indexed(&store, &[]), tree.expected());
}

#[test]
fn many_files_with_the_same_content_are_one_document() {
    let store = plaintext();
    let tree = Tree::beside(&store, "tree");
    for number in 0..1_500 {
        tree.write(format!("{number:04}.txt"), "");
    }
    assert_eq!(counts(&store, &[&tree.root(), "--batch", "200"]), [1, 0, 0]);
    assert_eq!(indexed(&store, &[]), tree.expected());
    tree.write("0700.txt", "edited");
    tree.remove("0001.txt");
    assert_eq!(counts(&store, &[&tree.root(), "--sync"]), [1, 1_498, 1]);
    assert_eq!(indexed(&store, &[]), tree.expected());
}

/// The records are part of the documents, wherever these go.
#[test]
fn copies_of_an_index_know_its_files() {
    let store = Store::folder();
    let key = store.init_with_key();
    let tree = Tree::beside(&store, "tree");
    for name in ["a.txt", "b.txt"] {
        tree.write(name, name);
    }
    assert_eq!(counts(&store, &[&tree.root(), "--key-file", &key]), [2, 0, 0]);
    let other = Store::nats();
    done(["copy", &store.name(), &other.name(), "--key-file", &key]);
    tree.write("b.txt", "edited");
    assert_eq!(counts(&other, &[&tree.root(), "--key-file", &key]), [1, 1, 0]);
    assert_eq!(indexed(&other, &["--key-file", &key]), tree.expected());
}

/// Stores and keys are never indexed; a cache is a folder with the signature of one.
#[test]
fn what_is_not_a_document_is_skipped() {
    let store = plaintext();
    let tree = Tree::beside(&store, "");
    let key = store.key("key");
    let signature = "Signature: 8a477f597d28d172789f06886806bc55\n# a cache";
    for (name, content) in [
        ("cache/CACHEDIR.TAG", signature),
        ("cache/a.txt", "cached"),
        ("notes/CACHEDIR.TAG", "a note about caches"),
        ("notes/LINES.JSONL", "{\"title\":\"one line\"}\n{\"title\":\"another\"}\n"),
        ("about-keys.txt", "a line of a key file begins with cim-key-v1:"),
    ] {
        tree.write(name, content);
    }
    let output = cim(["index", &store.name(), &tree.root(), "-v"]).output().expect("the program starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    for skipped in ["store", "key"] {
        assert!(error.contains(&format!("{skipped}: a folder store or a secret of cim")), "{error}");
    }
    let mut titles: Vec<String> = json(["search", &store.name(), "", "--json"])["hits"]
        .as_array()
        .expect("hits")
        .iter()
        .map(|hit| hit["title"].as_str().expect("a title").to_owned())
        .collect();
    titles.sort();
    assert_eq!(titles, ["about-keys.txt", "another", "notes/CACHEDIR.TAG", "one line"]);
    for named in [key, store.data_folder().display().to_string()] {
        let output = cim(["index", &store.name(), &named]).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(3), "{named}");
    }
}

/// The passphrase file of the index is recognized by its path.
#[test]
fn the_passphrase_of_the_index_is_not_indexed() {
    let store = Store::folder();
    store.write("tree/a.txt", "a");
    let passphrase = private(&store, "tree/secret.txt", "a passphrase of many words");
    done(["init", &store.name(), "--passphrase-file", &passphrase]);
    let folder = store.file("tree").display().to_string();
    let done = index(&store, &[&folder, "--passphrase-file", &passphrase]);
    assert_eq!((&done["documents"], &done["skipped"]["own"]), (&json!(1), &json!(1)));
}

#[test]
fn only_the_program_writes_records() {
    let store = plaintext();
    let lines = store.write("lines.jsonl", "{\"attributes\":{\"cim.file\":\"/a 0 0\"}}\n");
    let refusal = refused(["index", &store.name(), &lines]);
    assert!(refusal.error.contains("reserved"), "{refusal:?}");
    let tree = Tree::beside(&store, "tree");
    tree.write("a.txt", "a");
    index(&store, &[&tree.root()]);
    let cid = tree.expected().into_keys().next().expect("a document");
    let document = json(["get", &store.name(), &cid, "--json"]);
    assert_eq!(document["attributes"], json!({ "path": [tree.path("a.txt").display().to_string()] }));
}

#[test]
fn documents_are_removed_by_cid_by_path_and_by_query() {
    let store = plaintext();
    let tree = Tree::beside(&store, "tree");
    for (name, content) in
        [("a/1.txt", "whale"), ("a/2.txt", "ship"), ("a/3.txt", "fog"), ("b.txt", "ship"), ("c.txt", "whale shark")]
    {
        tree.write(name, content);
    }
    index(&store, &[&tree.root()]);
    let all = tree.expected();
    let path = |name: &str| tree.path(name).display().to_string();
    let cid = |name: &str| {
        let has = |paths: &std::collections::BTreeSet<String>| paths.contains(&path(name));
        all.iter().find(|(_, paths)| has(paths)).map(|(cid, _)| cid.clone()).expect("a document")
    };
    let sorted = |names: &[&str]| {
        let mut cids: Vec<String> = names.iter().map(|name| cid(name)).collect();
        cids.sort();
        cids
    };
    for (what, removed, kept, left) in [
        (vec!["--path".to_owned(), path("a")], sorted(&["a/1.txt", "a/3.txt"]), sorted(&["b.txt"]), 2),
        (vec!["--path".to_owned(), path("c.txt")], sorted(&["c.txt"]), vec![], 3),
        (vec!["--path".to_owned(), path("a/2.txt")], vec![], sorted(&["b.txt"]), 4),
        (vec!["--query".to_owned(), "whale".to_owned()], sorted(&["a/1.txt", "c.txt"]), vec![], 2),
        (vec!["--query".to_owned(), "narwhal".to_owned()], vec![], vec![], 4),
        (vec![cid("c.txt"), cid("b.txt")], sorted(&["b.txt", "c.txt"]), vec![], 2),
    ] {
        let name = store.name();
        let rm = |options: &[&str]| {
            let mut said = json(
                ["rm", &name, "--json"]
                    .into_iter()
                    .chain(what.iter().map(String::as_str))
                    .chain(options.iter().copied()),
            );
            said["removed"].as_array_mut().expect("a list").sort_by_key(ToString::to_string);
            said
        };
        let before = indexed(&store, &[]);
        let expected = |dry_run: bool| json!({ "removed": removed, "kept": kept, "dry_run": dry_run });
        assert_eq!(rm(&["--dry-run"]), expected(true), "{what:?}");
        assert_eq!(indexed(&store, &[]), before, "{what:?}");
        assert_eq!(rm(&[]), expected(false), "{what:?}");
        assert_eq!(indexed(&store, &[]).len(), left, "{what:?}");
        // The files are still there, so that the next run adds them again.
        index(&store, &[&tree.root()]);
        assert_eq!(indexed(&store, &[]), all, "{what:?}");
    }
    let refusal = refused(["rm", &store.name(), "--path", &path("nothing.txt")]);
    assert_eq!(refusal.status, 4, "{refusal:?}");
    let refusal = refused(["rm", &store.name()]);
    assert_eq!(refusal.status, 2, "{refusal:?}");
}
