//! `cim export`, `import` and `copy`: between folders and NATS, killed and continued, and what they
//! refuse.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::corpus::Corpus;
use crate::program::{cim, done, json, names, refusal, refused, state_home, succeeded};
use crate::store::Store;

/// Makes an index of generated documents, with a snapshot, and returns its key file.
fn filled(store: &Store, documents: usize) -> String {
    let key = store.init_with_key();
    let corpus = Corpus::given_or_generated(documents);
    let lines = store.write("lines.jsonl", Corpus::text(&corpus.lines[..documents]));
    done(["index", &store.name(), &lines, "--key-file", &key]);
    done(["snapshot", "create", &store.name(), "monday", "--key-file", &key]);
    key
}

/// The hits of some queries.
fn answers(store: &Store, key: &str) -> Vec<Value> {
    let search = |query: &str| {
        let found = json(["search", &store.name(), query, "--limit", "1000", "--json", "--key-file", key]);
        (found["total"].clone(), found["hits"].clone())
    };
    ["", "a", "the AND of"].map(search).into_iter().flat_map(|(total, hits)| [total, hits]).collect()
}

#[test]
fn an_index_goes_from_any_store_to_any_other() {
    for from in Store::each() {
        let key = filled(&from, 60);
        let expected = answers(&from, &key);
        let file = from.file("index.car").display().to_string();
        let exported = json(["export", &from.name(), &file, "--key-file", &key, "--json"]);
        let fields = ["blocks", "bytes", "documents", "file", "position", "reused_blocks", "root", "snapshots"];
        assert_eq!(names(&exported), [&fields[..], &["unreadable_snapshots"]].concat());
        assert_eq!((&exported["documents"], &exported["snapshots"]), (&60.into(), &1.into()));
        for to in Store::each() {
            let imported = json(["import", &file, &to.name(), "--key-file", &key, "--json"]);
            let fields = ["blocks", "bytes", "documents", "present_blocks", "root", "snapshots", "store"];
            assert_eq!(names(&imported), fields);
            assert_eq!((&imported["root"], &imported["blocks"]), (&exported["root"], &exported["blocks"]));
            assert_eq!(answers(&to, &key), expected);
            done(["verify", &to.name(), "--key-file", &key]);
            done(["rm", &to.name(), &hit(&expected), "--key-file", &key]);
            done(["snapshot", "restore", &to.name(), "monday", "--key-file", &key]);
            assert_eq!(answers(&to, &key), expected);
        }
        let to = Store::folder();
        let copied = json(["copy", &from.name(), &to.name(), "--key-file", &key, "--json"]);
        assert_eq!((&copied["documents"], &copied["from"]), (&60.into(), &from.name().into()));
        assert_eq!(answers(&to, &key), expected);
        done(["verify", &from.name(), "--key-file", &key]);
    }
}

fn hit(answers: &[Value]) -> String {
    answers[1][0]["cid"].as_str().expect("a CID").to_owned()
}

#[test]
fn a_later_archive_is_small_and_needs_the_earlier_one() {
    let store = Store::folder();
    let (at, key) = (store.name(), filled(&store, 400));
    let path = |name: &str| store.file(name).display().to_string();
    let first = json(["export", &at, &path("first.car"), "--key-file", &key, "--json"]);
    done(["index", &at, &store.write("one.jsonl", "{\"title\":\"One more\"}\n"), "--key-file", &key]);
    let since = ["--since", &path("first.car"), "--key-file", &key, "--json"];
    let second = json([&["export", &at, &path("second.car")], &since[..]].concat());
    assert!(second["bytes"].as_u64() < first["bytes"].as_u64().map(|bytes| bytes / 2), "{second} after {first}");
    assert_eq!(second["reused_blocks"], first["blocks"]);

    let to = Store::folder();
    let refusal = refused(["import", &path("second.car"), &to.name(), "--key-file", &key]);
    assert_eq!(refusal.status, 9, "{refusal:?}");
    assert!(refusal.hint.contains("earlier"), "{refusal:?}");
    let imported = json([&["import", &path("second.car"), &to.name()], &since[..]].concat());
    assert_eq!(imported["documents"], 401);
    assert_eq!(answers(&to, &key), answers(&store, &key));

    let snapshot = ["--snapshot", "monday", "--key-file", &key, "--json"];
    assert_eq!(json([&["export", &at, &path("monday.car")], &snapshot[..]].concat())["documents"], 400);
}

#[test]
fn refusals_have_a_status_and_change_nothing() {
    let store = Store::folder();
    let (at, key) = (store.name(), filled(&store, 30));
    let other = store.key("other");
    let file = store.file("index.car").display().to_string();
    let line = done(["export", &at, &file, "--key-file", &key]);
    assert!(line.starts_with(&format!("exported {at} to {file}: 30 documents, 1 snapshots, ")), "{line}");
    let sound = std::fs::read(&file).expect("read");
    let cut = store.write("cut.car", &sound[..sound.len() - 1]);
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    let flipped = store.write("flipped.car", flipped);
    let text = store.write("text.car", "no archive");
    let (none, empty) = (store.file("none.car").display().to_string(), Store::folder().name());
    let in_none = format!("{none}/a.car");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["export", &at, &file], 6, "remove the file"),
        (&["export", &at, &in_none], 2, "folder"),
        (&["export", &at, &none, "--snapshot", "tuesday"], 4, "cim snapshot list"),
        (&["export", &at, &none, "--since", &cut], 9, "another copy"),
        (&["export", &at, &none, "--since", &text], 2, "export"),
        (&["export", &empty, &none], 5, "cim init"),
        (&["import", &file, &at], 6, "another STORE"),
        (&["import", &none, &empty], 2, "cim export"),
        (&["import", &text, &empty], 2, "export"),
        (&["import", &cut, &empty], 9, "another copy"),
        (&["import", &flipped, &empty], 9, "another copy"),
        (&["copy", &at, &at], 2, "another STORE"),
        (&["import", &file, "nats://127.0.0.1:1"], 11, ""),
    ];
    for (arguments, status, hint) in cases {
        let refusal = refused([*arguments, &["--key-file", &key]].concat());
        assert_eq!(refusal.status, *status, "{arguments:?}: {refusal:?}");
        assert!(refusal.hint.contains(hint), "{arguments:?}: {refusal:?}");
    }
    assert_eq!(refused(["import", &file, &empty, "--key-file", &other]).status, 7);
    assert_eq!(refused(["import", &file, &empty]).status, 7);
    assert!(!std::path::Path::new(&none).exists(), "a failed export left a file");
    assert_eq!(std::fs::read(&file).expect("read"), sound);
    // The store in which imports failed takes the sound archive.
    done(["import", &file, &empty, "--key-file", &key]);
    done(["verify", &at, "--key-file", &key]);
    assert_eq!(
        json(["snapshot", "list", &at, "--key-file", &key, "--json"])["snapshots"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn an_archive_goes_through_a_pipe() {
    for (from, to) in Store::each().into_iter().zip(Store::each()) {
        let key = filled(&from, 60);
        let expected = answers(&from, &key);
        let exported = cim(["export", &from.name(), "-", "--key-file", &key, "--json"]).output().expect("it starts");
        assert!(exported.status.success());
        let report: Value = serde_json::from_slice(&exported.stderr).expect("JSON on standard error");
        assert_eq!((&report["documents"], &report["file"]), (&60.into(), &"standard output".into()), "{report}");
        assert_eq!(report["bytes"], exported.stdout.len());
        let mut import = cim(["import", "-", &to.name(), "--key-file", &key, "--json"]);
        let imported = succeeded(&import.write_stdin(exported.stdout.clone()).output().expect("it starts"));
        let imported: Value = serde_json::from_str(&imported).expect("JSON");
        assert_eq!((&imported["root"], &imported["documents"]), (&report["root"], &60.into()));
        assert_eq!(answers(&to, &key), expected);

        let empty = Store::folder();
        let mut import = cim(["import", "-", &empty.name(), "--key-file", &key]);
        let cut = exported.stdout[..exported.stdout.len() - 1].to_vec();
        assert_eq!(refusal(&import.write_stdin(cut).output().expect("it starts")).status, 9);
    }
}

/// The program `script` runs a command on a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn an_archive_is_neither_written_to_a_terminal_nor_read_from_one() {
    let store = Store::folder();
    let key = filled(&store, 3);
    let program = env!("CARGO_BIN_EXE_cim");
    for command in [format!("export {} -", store.name()), format!("import - {}", Store::folder().name())] {
        let line = format!("{program} {command} --key-file {key}");
        let output =
            Command::new("script").args(["-qec", &line, "/dev/null"]).env("XDG_STATE_HOME", state_home()).output();
        let output = output.expect("script runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        assert!(said.contains("terminal"), "{command}: {said}");
    }
}

#[test]
fn an_import_that_is_killed_is_continued() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let store = Store::folder();
    let key = filled(&store, 1500);
    let file = store.file("index.car").display().to_string();
    done(["export", &store.name(), &file, "--key-file", &key]);
    let expected = answers(&store, &key);
    for to in Store::each() {
        let run = |moment: Option<Duration>| {
            let mut child = Command::new(env!("CARGO_BIN_EXE_cim"))
                .env("XDG_STATE_HOME", state_home())
                .args(["import", &file, &to.name(), "--key-file", &key])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            if let Some(moment) = moment {
                std::thread::sleep(moment);
                child.kill().expect("it can be killed");
            }
            child.wait().expect("it ends").success()
        };
        let probe = Store::folder();
        let started = Instant::now();
        done(["import", &file, &probe.name(), "--key-file", &key]);
        let lifetime = started.elapsed();
        for _ in 0..4 {
            if run(Some(lifetime.mul_f64(random.random_range(0.0..0.8)))) {
                break;
            }
        }
        // It is complete, or is completed now.
        let is_complete = run(None) || refused(["import", &file, &to.name(), "--key-file", &key]).status == 6;
        assert!(is_complete);
        assert_eq!(answers(&to, &key), expected);
        done(["verify", &to.name(), "--key-file", &key]);
    }
}
