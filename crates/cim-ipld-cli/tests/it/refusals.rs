//! Stores that must be refused. Each refusal has its own message, and changes nothing in the store.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::program::{cim, done, json, refusal, refused, state_home};
use crate::store::{Store, Stored, files_below};

const LINE: &str = "{\"title\":\"Whale song\",\"text\":\"low calls\"}\n";

/// Returns every command that opens an index, without the options for its key.
fn openers(store: &Store) -> Vec<Vec<String>> {
    let lines = store.write("line.jsonl", LINE);
    let cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    let key = store.file("next").display().to_string();
    if !store.file("next").exists() {
        store.key("next");
    }
    let at = &store.name();
    [
        vec!["index", at, &lines],
        vec!["search", at, "whale"],
        vec!["get", at, cid],
        vec!["rm", at, cid],
        vec!["stats", at],
        vec!["verify", at],
        vec!["snapshot", "create", at, "s"],
        vec!["snapshot", "restore", at, "s"],
        vec!["snapshot", "delete", at, "s"],
        vec!["snapshot", "list", at],
        vec!["key", "rotate", at, "--new-key-file", &key],
        vec!["key", "list", at],
    ]
    .map(|arguments| arguments.into_iter().map(str::to_owned).collect())
    .to_vec()
}

/// Runs every command with `options`, and checks that each is refused in the same way and leaves
/// the store unchanged.
#[track_caller]
fn all_refused(store: &Store, options: &[&str], status: i32, error: &str, hint: &str) {
    let before = store.contents();
    for mut arguments in openers(store) {
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        let refusal = refused(&arguments);
        // A verification that could not begin has a status of its own.
        let status = if status == 9 && arguments[0] == "verify" { 16 } else { status };
        assert_eq!(refusal.status, status, "{arguments:?}: {refusal:?}");
        assert!(refusal.error.starts_with(&format!("{}: ", store.name())), "{arguments:?}: {refusal:?}");
        assert!(refusal.error.contains(error) && refusal.hint.contains(hint), "{arguments:?}: {refusal:?}");
    }
    assert_eq!(store.contents(), before, "a refused command changed the store");
}

#[test]
fn a_wrong_key_opens_nothing() {
    for store in Store::each() {
        store.init_with_key();
        let other = store.key("other");
        all_refused(&store, &["--key-file", &other], 7, "wrong key", "was created");
    }
}

#[test]
fn an_encrypted_index_wants_its_key() {
    for store in Store::each() {
        store.init_with_key();
        all_refused(&store, &[], 7, "encrypted and no key was given", "--key-file");
    }
}

#[test]
fn a_plaintext_index_wants_none() {
    for store in Store::each() {
        done(["init", &store.name(), "--plaintext"]);
        let key = store.key("key");
        all_refused(&store, &["--key-file", &key], 7, "not encrypted", "leave out --key-file");
    }
}

#[test]
fn a_refused_opening_leaves_every_file_alone() {
    let store = Store::folder();
    store.init_with_key();
    let other = store.key("other");
    // After the store was created, the first openings may tidy up in a background thread.
    let mut rounds = (0..5).map(|_| {
        let before = files_below(&store.data_folder());
        refused(["stats", &store.name(), "--key-file", &other]);
        refused(["search", &store.name(), "whale"]);
        (before, files_below(&store.data_folder()))
    });
    assert!(rounds.any(|(before, after)| before == after), "every refused opening changed a file");
}

#[test]
fn an_index_that_is_not_there_is_not_made() {
    let folder = Store::folder();
    for arguments in openers(&folder) {
        let refusal = refused(&arguments);
        assert!(refusal.status == 5 && refusal.hint.contains("cim init"), "{arguments:?}: {refusal:?}");
    }
    assert!(!folder.data_folder().exists(), "opening made a folder");
    let nats = Store::nats();
    for arguments in openers(&nats) {
        let refusal = refused(&arguments);
        assert!(refusal.status == 5 && refusal.hint.contains("cim init"), "{arguments:?}: {refusal:?}");
    }
    assert!(files_below(&nats.data_folder()).iter().all(|(path, _)| !path.display().to_string().contains("KV_")));
}

#[test]
fn an_index_that_is_there_is_not_made_again() {
    for store in Store::each() {
        let key = store.init_with_key();
        let before = store.contents();
        for options in [vec!["--plaintext"], vec!["--key-file", &key]] {
            let refusal = refused([["init", &store.name()].as_slice(), &options].concat());
            assert_eq!(refusal.status, 6);
            assert!(refusal.error.contains("already"), "{refusal:?}");
        }
        assert_eq!(store.contents(), before);
    }
}

#[test]
fn a_second_opener_is_told_to_wait() {
    let store = Store::folder();
    let key = store.init_with_key();
    let mut first = Command::new(env!("CARGO_BIN_EXE_cim"))
        .env("XDG_STATE_HOME", state_home())
        .args(["index", &store.name(), "-", "--batch", "1", "--key-file", &key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = first.stdin.take().expect("its standard input");
    input.write_all(LINE.as_bytes()).expect("it reads");
    let mut said = String::new();
    let mut output = BufReader::new(first.stdout.take().expect("its standard output"));
    output.read_line(&mut said).expect("it writes");
    assert_eq!(said, "acknowledged 1 documents\n");

    let refusal = refused(["stats", &store.name(), "--key-file", &key]);
    assert_eq!(refusal.status, 8);
    assert!(refusal.error.contains("already open") && refusal.hint.contains("NATS"), "{refusal:?}");

    drop(input);
    assert!(first.wait().expect("it ends").success());
    assert_eq!(json(["stats", &store.name(), "--key-file", &key, "--json"])["documents"], 1);
}

/// An encrypted index with a document in a segment and another in the journal.
fn with_two_documents(store: &Store) -> String {
    let key = store.init_with_key();
    let first = store.write("first.jsonl", "{\"title\":\"Harbour\"}");
    let second = store.write("second.jsonl", LINE);
    done(["index", &store.name(), &first, "--key-file", &key]);
    done(["snapshot", "create", &store.name(), "s", "--key-file", &key]);
    done(["index", &store.name(), &second, "--key-file", &key]);
    key
}

fn the_one(contents: &[Stored], what: impl Fn(&Stored) -> bool) -> Stored {
    contents.iter().find(|stored| what(stored)).expect("the store holds it").clone()
}

#[test]
fn a_damaged_byte_is_noticed() {
    for store in Store::each() {
        let key = with_two_documents(&store);
        let contents = store.contents();
        let catalog =
            |start: &'static str| move |stored: &Stored| stored.bucket == "catalog_v1" && stored.key.starts_with(start);
        let targets = [
            the_one(&contents, catalog("keyset")),
            the_one(&contents, catalog("manifest")),
            // The newest record. An older one is covered by the manifest, so losing it loses
            // nothing.
            contents.iter().rfind(|stored| catalog("journal")(stored)).expect("the store holds it").clone(),
            the_one(&contents, catalog("snapshot")),
            the_one(&contents, |stored| stored.bucket == "text_index_v1"),
            the_one(&contents, |stored| stored.bucket == "metadata_cache_v1"),
        ];
        for target in targets {
            let mut damaged = target.value.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0x10;
            store.replace(&target, damaged);
            let before = store.contents();
            // With a pin, the damage may be reported as a rollback before the index is verified.
            assert!(matches!(refused(["verify", &store.name(), "--key-file", &key]).status, 9 | 10 | 15 | 16));
            let verify = ["verify", &store.name(), "--key-file", &key, "--no-pin"];
            let output = cim(verify).output().expect("the program starts");
            let refusal = refusal(&output);
            let said = format!("{} {}", String::from_utf8_lossy(&output.stdout), refusal.error);
            let place = format!("{}/{}", target.bucket, target.key);
            assert!(matches!(refusal.status, 9 | 15 | 16), "{place}: {refusal:?}");
            assert!(said.contains("is damaged") || said.contains("problem"), "{place}: {said}");
            assert_eq!(store.contents(), before, "{place}: verify changed the store");
            store.replace(&target, target.value.clone());
        }
    }
}

#[test]
fn a_lost_object_is_noticed() {
    // Testing this on a folder is enough: for a lost message, a NATS server also just reports that
    // it does not exist.
    let store = Store::folder();
    let key = with_two_documents(&store);
    let page = the_one(&store.contents(), |stored| stored.bucket == "text_index_v1");
    store.delete(&page);
    let report = cim(["verify", &store.name(), "--key-file", &key, "--json"]).output().expect("the program starts");
    assert_eq!(refusal(&report).status, 9);
    let report: serde_json::Value =
        serde_json::from_slice(&report.stdout).expect("JSON, also of an index with problems");
    assert_eq!(report["sound"], false, "{report}");
    assert_eq!(report["problems"][0]["kind"], "lost", "{report}");
}

/// A root record of a newer format is reported as such. The version of a manifest is not
/// authenticated before the manifest is opened, so it may be newer or damaged.
#[test]
fn a_newer_format_is_named() {
    for store in Store::each() {
        let key = with_two_documents(&store);
        let contents = store.contents();
        for (start, status, hint) in [("keyset", 14, "at least as new"), ("manifest", 9, "restore a backup")] {
            let target = the_one(&contents, |stored| stored.bucket == "catalog_v1" && stored.key.starts_with(start));
            // The version follows the four bytes of the magic, unencrypted.
            let mut newer = target.value.clone();
            newer[4] += 1;
            store.replace(&target, newer);
            all_refused(&store, &["--key-file", &key], status, "format version 2", hint);
            store.replace(&target, target.value.clone());
        }
    }
}

/// Junk that somebody without the key writes to the journal neither changes nor stops anything.
#[test]
fn junk_in_the_journal_is_ignored_and_counted() {
    for store in Store::each() {
        let key = with_two_documents(&store);
        let newest = |stored: &&Stored| stored.bucket == "catalog_v1" && stored.key.starts_with("journal");
        let contents = store.contents();
        let record = contents.iter().rfind(newest).expect("the store holds it").clone();
        // An unauthenticated header claims a newer version. The writer has no record with this
        // sequence number.
        let mut value = record.value.clone();
        value[4] += 1;
        let mut junk = record.clone();
        let sequence = junk.key.pop().expect("a key");
        junk.key.push(if sequence == '9' { '8' } else { '9' });
        store.replace(&junk, value);

        let stats = json(["stats", &store.name(), "--key-file", &key, "--json"]);
        assert_eq!((&stats["documents"], &stats["ignored"]["junk"]), (&json!(2), &json!(1)), "{stats}");
        let text = done(["stats", &store.name(), "--key-file", &key]);
        assert!(text.lines().any(|line| line.split_whitespace().eq(["ignored", "1", "junk"])), "{text}");
        // It has the key of a possible record, so it may be a damaged record.
        let output = cim(["verify", &store.name(), "--key-file", &key, "--json"]).output().expect("the program starts");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(refusal(&output).status, 15, "{report}");
        assert_eq!(report["problems"][0]["kind"], "damaged", "{report}");
        assert_eq!(report["ignored"]["junk"], 1, "{report}");

        let third = store.write("third.jsonl", "{\"title\":\"Storm\"}");
        done(["index", &store.name(), &third, "--key-file", &key]);
        assert_eq!(json(["search", &store.name(), "", "--json", "--key-file", &key])["total"], 3);
        store.delete(&junk);
        done(["verify", &store.name(), "--key-file", &key]);
    }
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let store = Store::folder();
    store.write("store/letter.txt", "dear diary");
    let key = store.key("key");
    let before = files_below(&store.data_folder());
    for arguments in [["init", &store.name(), "--key-file", &key], ["stats", &store.name(), "--key-file", &key]] {
        let refusal = refused(arguments);
        assert!(refusal.status == 14 && refusal.error.contains("do not belong to a store"), "{refusal:?}");
    }
    assert!(files_below(&store.data_folder()) == before);
}

/// A deleted bucket is reported as a loss, and no write is acknowledged into the remaining ones.
#[test]
fn a_deleted_bucket_is_a_loss() {
    let store = Store::nats();
    let key = with_two_documents(&store);
    let server = store.server().expect("a server");
    crate::store::block_on(async {
        let client = cim_ipld::nats::async_nats::connect(server.url()).await.expect("connected");
        let context = cim_ipld::nats::async_nats::jetstream::new(client);
        context.delete_stream("KV_text_index_v1").await.expect("deleted");
    });
    let lines = store.write("later.jsonl", LINE);
    for arguments in [vec!["search", "whale"], vec!["verify"], vec!["index", &lines]] {
        let at = store.name();
        let all = [&arguments[..1], &[at.as_str()], &arguments[1..], &["--key-file", &key]].concat();
        let refusal = refusal(&cim(&all).output().expect("the program starts"));
        assert_eq!(refusal.status, 9, "{all:?}: {refusal:?}");
        assert!(!refusal.hint.contains("cim init"), "{all:?}: {refusal:?}");
    }
    let report = cim(["verify", &store.name(), "--key-file", &key]).output().expect("the program starts");
    let said = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(said.contains("of the index, snapshot \"s\": ") && said.contains("not sound"), "{said}");
}

#[test]
fn damage_of_a_snapshot_alone_names_it() {
    let store = Store::folder();
    let key = with_two_documents(&store);
    let before = store.contents();
    done(["snapshot", "create", &store.name(), "later", "--key-file", &key]);
    let made = |stored: &&Stored| stored.bucket == "text_index_v1" && !before.contains(stored);
    let page = store.contents().iter().find(made).expect("a new page").clone();
    done(["snapshot", "restore", &store.name(), "s", "--discard", "--key-file", &key]);
    store.delete(&page);
    let report = cim(["verify", &store.name(), "--key-file", &key]).output().expect("the program starts");
    let said = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(said.contains("snapshot \"later\", not of the index"), "{said}");
}

#[test]
fn a_restore_keeps_what_it_leaves_behind() {
    for (options, kept) in [(vec![], true), (vec!["--discard"], false)] {
        let store = Store::folder();
        let key = with_two_documents(&store);
        let at = store.name();
        let all = [["snapshot", "restore", &at, "s", "--json", "--key-file", &key].as_slice(), &options].concat();
        let said = json(all);
        assert_eq!(
            (&said["documents"], &said["documents_before"], &said["writes_left_behind"]),
            (&json!(1), &json!(2), &json!(1))
        );
        assert_eq!(said["kept_as"].is_string(), kept, "{said}");
        if let Some(name) = said["kept_as"].as_str() {
            done(["snapshot", "restore", &store.name(), name, "--discard", "--key-file", &key]);
            assert_eq!(json(["stats", &store.name(), "--json", "--key-file", &key])["documents"], 2);
        }
        let refusal = refused(["snapshot", "restore", &store.name(), "none", "--key-file", &key]);
        assert_eq!(refusal.status, 4);
        let list = json(["snapshot", "list", &store.name(), "--json", "--key-file", &key]);
        assert_eq!(
            list["snapshots"].as_array().map(Vec::len),
            Some(1 + usize::from(kept)),
            "a failed restore kept something"
        );
    }
}
