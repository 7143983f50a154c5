//! The interface for scripts: exit statuses, JSON on failure, waiting, signals, and stores that
//! cannot be written.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

#[cfg(unix)]
use crate::program::WITH_SIGINT;
use crate::program::{cim, done, json, names, refusal, refused, state_home, succeeded};
use crate::store::Store;

const LINE: &str = "{\"title\":\"Whale song\"}\n";
const ABSENT: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

#[test]
fn each_kind_of_failure_has_a_status_of_its_own() {
    let store = Store::folder();
    let (at, key, none) = (store.name(), store.init_with_key(), format!("{}-not", store.name()));
    let other = store.key("other");
    let bad = store.write("bad.jsonl", "{");
    let many_words = "a ".repeat(5000);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["index", &at, &bad, "--key-file", &key], 1, "failed"),
        (&["search", &at, "a", "--limit", "100001", "--key-file", &key], 2, "usage"),
        (&["stats", &at, "--nonsense"], 2, "usage"),
        (&["get", &at, ABSENT, "--key-file", &key], 4, "not_found"),
        (&["snapshot", "restore", &at, "none", "--key-file", &key], 4, "not_found"),
        (&["stats", &none, "--key-file", &key], 5, "no_index"),
        (&["init", &at, "--key-file", &key], 6, "exists"),
        (&["key", "generate", &key], 6, "exists"),
        (&["stats", &at, "--key-file", &other], 7, "key"),
        (&["stats", &at], 7, "key"),
        (&["stats", "nats://127.0.0.1:1", "--key-file", &key], 11, "unavailable"),
        (&["search", &at, &many_words, "--key-file", &key], 17, "too_expensive"),
    ];
    for (arguments, status, kind) in cases {
        assert_eq!(refused(*arguments).status, *status, "{arguments:?}");
        let output = cim(*arguments).arg("--json").output().expect("the program starts");
        assert_eq!(output.status.code(), Some(*status), "{arguments:?}");
        let error: Value = serde_json::from_slice(&output.stderr).expect("one JSON object");
        assert_eq!(names(&error["error"]), ["hint", "kind", "message", "status"], "{error}");
        assert_eq!((&error["error"]["kind"], &error["error"]["status"]), (&json!(kind), &json!(status)), "{error}");
    }
    let help = done(["--help"]);
    assert!(help.contains(" 8 locked "), "{help}");
}

#[test]
fn every_command_answers_in_json_when_asked() {
    let store = Store::folder();
    let (at, key, lines) = (store.name(), store.file("key").display().to_string(), store.write("a.jsonl", LINE));
    let cid = cim_ipld::persistence::content_cid(LINE.trim_end().as_bytes()).to_string();
    let next = store.key("next");
    let cases: &[(&[&str], &[&str])] = &[
        (&["key", "generate", &key], &["algorithm", "file"]),
        (&["init", &at, "--key-file", &key], &["algorithm", "analyzer", "store"]),
        (&["snapshot", "create", &at, "s", "--key-file", &key], &["bytes", "created_at", "documents", "name"]),
        (
            &["snapshot", "restore", &at, "s", "--key-file", &key],
            &["bytes", "created_at", "documents", "documents_before", "kept_as", "name", "writes_left_behind"],
        ),
        (&["snapshot", "delete", &at, "s", "--key-file", &key], &["deleted"]),
        (&["pin", "accept", &at, "--key-file", &key], &["file", "store"]),
        (&["pin", "forget", &at], &["file", "store"]),
        (&["key", "rotate", &at, "--key-file", &key, "--new-key-file", &next], &["algorithm", "file"]),
        (&["key", "rotate", &at, "--key-file", &next, "--finish"], &["finished"]),
    ];
    for (arguments, expected) in cases {
        assert_eq!(names(&json([*arguments, &["--json"]].concat())), *expected, "{arguments:?}");
    }
    let indexed = done(["--json", "index", &at, &lines, "--key-file", &next]);
    let said: Vec<Value> = indexed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(said[0], json!({ "acknowledged": 1 }));
    assert_eq!(names(&said[1]), ["bytes", "documents", "removed", "seconds", "skipped", "unchanged"]);
    assert_eq!(
        json(["rm", &at, &cid, "--key-file", &next, "--json"]),
        json!({ "removed": [cid], "kept": [], "dry_run": false })
    );
}

#[test]
fn times_sort_as_text() {
    let store = Store::folder();
    done(["init", &store.name(), "--plaintext"]);
    let lines = [1_700_000_000.0, 1_700_000_000.1, 1_700_000_000.123].map(|at| json!({ "created_at": at }).to_string());
    done(["index", &store.name(), &store.write("a.jsonl", lines.join("\n"))]);
    let mut times: Vec<String> = Vec::new();
    for line in lines {
        let cid = cim_ipld::persistence::content_cid(line.as_bytes()).to_string();
        times.push(json(["get", &store.name(), &cid, "--json"])["created_at"].as_str().expect("a time").to_owned());
    }
    assert!(times.is_sorted() && times.iter().all(|time| time.len() == "2023-11-14T22:13:20.000Z".len()), "{times:?}");
}

/// Starts a run of `cim index` that reads lines from this process.
fn indexing(store: &Store, before: &[&str]) -> std::process::Child {
    let (store, program) = (store.name(), env!("CARGO_BIN_EXE_cim"));
    let command = [before, &[program, "index", &store, "-"]].concat();
    Command::new(command[0])
        .env("XDG_STATE_HOME", state_home())
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

#[test]
fn a_folder_in_use_is_waited_for_as_long_as_asked() {
    let store = Store::folder();
    done(["init", &store.name(), "--plaintext"]);
    let mut first = indexing(&store, &[]);
    let mut input = first.stdin.take().expect("its standard input");
    // Waits until another run is locked out, which shows that the first one has opened the folder.
    while cim(["stats", &store.name()]).output().expect("the program starts").status.code() != Some(8) {}
    let second = Command::new(env!("CARGO_BIN_EXE_cim"))
        .env("XDG_STATE_HOME", state_home())
        .args(["stats", &store.name(), "--wait", "60", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    assert_eq!(refused(["stats", &store.name(), "--wait", "1"]).status, 8);
    input.write_all(LINE.as_bytes()).expect("it reads");
    drop(input);
    assert!(first.wait().expect("it ends").success());
    let stats: Value = serde_json::from_str(&succeeded(&second.wait_with_output().expect("it ends"))).expect("JSON");
    assert_eq!(stats["documents"], 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    let ignored = ["sh", "-c", "trap '' INT; exec \"$0\" \"$@\""];
    for (before, is_ignored) in [(ignored, true), (WITH_SIGINT, false)] {
        let store = Store::folder();
        done(["init", &store.name(), "--plaintext"]);
        let mut run = indexing(&store, &before);
        while !watches_signals(&run) {
            assert_eq!(run.try_wait().expect("its status"), None, "{before:?}");
            std::thread::yield_now();
        }
        let interrupt = Command::new("kill").args(["-INT", &run.id().to_string()]).status().expect("kill runs");
        assert!(interrupt.success());
        // Without an interrupt, the program ends only after its input.
        let mut input = run.stdin.take().expect("its standard input");
        if is_ignored {
            input.write_all(LINE.as_bytes()).expect("it reads");
            drop(input);
            assert_eq!(run.wait().expect("it ends").code(), Some(0), "{before:?}");
        } else {
            assert_eq!(run.wait().expect("it ends").code(), Some(1), "{before:?}");
        }
    }
}

/// Returns whether a run of `cim index` has installed its signal handlers, the last of which is for
/// SIGTERM.
#[cfg(target_os = "linux")]
fn watches_signals(run: &std::process::Child) -> bool {
    const SIGTERM: u32 = 15;
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).expect("the process exists");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("the mask of handled signals");
    u64::from_str_radix(mask.trim(), 16).expect("hexadecimal") >> (SIGTERM - 1) & 1 == 1
}

#[cfg(unix)]
#[test]
fn a_store_in_a_folder_that_others_can_read_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::folder();
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    std::fs::create_dir(store.data_folder()).expect("the folder is made");
    std::fs::set_permissions(store.data_folder(), PermissionsExt::from_mode(0o755)).expect("the mode is set");
    done(["init", &store.name(), "--plaintext"]);
    assert_eq!((mode(&store.data_folder()), mode(&store.data_folder().join("data"))), (0o700, 0o700));
    std::fs::set_permissions(store.data_folder().join("data"), PermissionsExt::from_mode(0o755)).expect("set");
    done(["stats", &store.name()]);
    assert_eq!(mode(&store.data_folder().join("data")), 0o700, "what an earlier version left open is closed");
}

#[test]
fn data_that_is_gone_is_a_loss_and_no_place_for_an_index() {
    for remove_folder in [true, false] {
        let store = Store::folder();
        done(["init", &store.name(), "--plaintext"]);
        let data = store.data_folder().join("data");
        std::fs::remove_dir_all(&data).expect("removed");
        if !remove_folder {
            std::fs::create_dir(&data).expect("made");
        }
        for arguments in [vec!["search", "a"], vec!["init", "--plaintext"], vec!["verify"]] {
            let output =
                cim([&arguments[..1], &[&store.name()], &arguments[1..]].concat()).output().expect("it starts");
            let refusal = refusal(&output);
            let expected = if arguments[0] == "verify" { 16 } else { 9 };
            assert_eq!(refusal.status, expected, "{refusal:?}");
            assert!(!refusal.hint.contains("cim init") && !refusal.hint.contains("cim verify"), "{refusal:?}");
        }
        assert!(!data.join("version").exists(), "a database was made");
    }
}

/// Without a handler of its own, the program would end without a message.
#[test]
#[cfg(target_os = "linux")]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let store = Store::folder();
    let key = store.init_with_key();
    let text = (0..20_000).map(|n| format!("{{\"text\":\"word{n} and a few others\"}}\n")).collect::<String>();
    let lines = store.write("lines.jsonl", &text);
    let program = env!("CARGO_BIN_EXE_cim");
    let limited = format!("ulimit -f 500; exec {program} index {} {lines} --key-file {key} --no-pin", store.name());
    let output = std::process::Command::new("bash").args(["-c", &limited]).output().expect("it starts");
    let refusal = refusal(&output);
    assert_eq!(refusal.status, 13, "{refusal:?}");
}
