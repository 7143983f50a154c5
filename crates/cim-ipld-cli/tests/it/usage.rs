//! Invalid usage: status 2, two lines, and nothing is changed.

use crate::program::{cim, refused, succeeded};
use crate::store::Store;

#[test]
fn bad_usage_is_refused_with_what_to_do() {
    let store = Store::folder();
    let at = store.name();
    let cases: &[(&[&str], &str, &str)] = &[
        (&[], "no command", "cim --help"),
        (&["key"], "no command", "cim key --help"),
        (&["serach"], "serach", "search"),
        (&["init"], "STORE", "cim init --help"),
        (&["index", &at], "PATH", "cim index --help"),
        (&["search", &at], "QUERY", "cim search --help"),
        (&["search", &at, "a", "--limit", "many"], "many", "cim search --help"),
        (&["index", &at, ".", "--batch", "0"], "0", "--help"),
        (&["index", &at, ".", "--format", "xml"], "xml", "--help"),
        (&["get", &at, "no-cid"], "CID", "--help"),
        (&["snapshot", "create", &at], "NAME", "cim snapshot create --help"),
        (&["key", "rotate", &at], "--new-key-file", "cim key rotate --help"),
        (&["export", &at], "FILE", "cim export --help"),
        (&["import", "a.car"], "STORE", "cim import --help"),
        (&["copy", &at], "TO", "cim copy --help"),
        (&["init", &at, "--algorithm", "rot13"], "rot13", "--help"),
        (&["init", &at, "--key", "0123"], "--key", "--help"),
        (&["init", &at, "--plaintext", "--key-file", "k"], "--plaintext", "cim init --help"),
        (&["init", &at, "--plaintext", "--algorithm", "aes-256-gcm"], "--plaintext", "cim init --help"),
        (&["init", &at, "--key-file", "k", "--passphrase-file", "p"], "--key-file", "cim init --help"),
        (&["init", &at], "needs a key", "cim key generate FILE"),
        (&["init", "elsewhere", "--plaintext"], "STORE", "file:FOLDER"),
        (&["stats", "file:"], "STORE", "file:FOLDER"),
        (&["stats", "http://localhost:4222"], "STORE", "nats://HOST:PORT"),
        (&["stats", "nats://localhost:4222/a.b"], "a.b", "nats://HOST:PORT"),
        (&["search", &at, "created:yesterday"], "a date such as", "cim search --help"),
        (&["index", &at, "-", "--format", "files"], "standard input", "--format jsonl"),
        (&["index", &at, "-", "-"], "more than once", "-"),
        (&["stats", &at, "--no-pin", "--pin", "p"], "--pin and --no-pin", "cim --help"),
        (&["pin", "show", &at, "--no-pin"], "--no-pin", "--no-pin"),
        (&["pin", "forget"], "STORE", "cim pin forget --help"),
        (&["key", "rotate", &at, "--finish", "--algorithm", "aes-256-gcm"], "--finish", "cim key rotate --help"),
        (&["index", &at, ".", "--format", "jsonl"], "folder", "--format jsonl"),
    ];
    for (arguments, error, hint) in cases {
        let refusal = refused(*arguments);
        assert_eq!(refusal.status, 2, "{arguments:?}: {refusal:?}");
        assert!(refusal.error.contains(error), "{arguments:?}: {refusal:?}");
        assert!(refusal.hint.contains(hint), "{arguments:?}: {refusal:?}");
    }
    assert!(!store.data_folder().exists(), "bad usage made a store");
}

#[test]
fn the_environment_is_checked_too() {
    let store = Store::folder();
    let key = store.key("key");
    for (variables, arguments, error) in [
        (vec![("CIM_KEY_FILE", key.as_str())], vec!["init", "--plaintext"], "--plaintext"),
        (vec![("CIM_KEY_FILE", &key), ("CIM_PASSPHRASE_FILE", &key)], vec!["init"], "both set"),
        (vec![("CIM_LOG", "loud")], vec!["init", "--plaintext"], "CIM_LOG"),
    ] {
        let output = cim(arguments).arg(store.name()).envs(variables.clone()).output().expect("the program starts");
        let refusal = crate::program::refusal(&output);
        assert_eq!(refusal.status, 2, "{variables:?}: {refusal:?}");
        assert!(refusal.error.contains(error), "{variables:?}: {refusal:?}");
    }
    assert!(!store.data_folder().exists(), "bad usage made a store");
}

#[test]
fn a_password_is_never_shown() {
    for store in ["nats://ann:s3cret@", "nats://ann:s3cret@localhost:1/a b", "http://ann:s3cret@localhost"] {
        for arguments in [["stats", store].as_slice(), &["stats", store, "--nonsense"], &["get", store, "no-cid"]] {
            let refusal = refused(arguments);
            assert_eq!(refusal.status, 2);
            assert!(!format!("{refusal:?}").contains("s3cret"), "{refusal:?}");
        }
    }
    // No NATS server listens on port 1.
    let refusal = refused(["stats", "nats://ann:s3cret@127.0.0.1:1"]);
    assert_eq!(refusal.status, 11);
    assert!(refusal.error.starts_with("nats://127.0.0.1:1: "), "{refusal:?}");
    assert!(!format!("{refusal:?}").contains("s3cret"), "{refusal:?}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    for (arguments, expected) in [
        (["--help"].as_slice(), "Usage: cim"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["key", "rotate", "--help"], "--new-key-file"),
        (&["index", "--help"], "--batch"),
    ] {
        let output = cim(arguments).output().expect("the program starts");
        assert!(succeeded(&output).contains(expected), "{arguments:?}");
    }
}
