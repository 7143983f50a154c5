//! Keys and credentials: many forms are accepted, and none is ever printed.

use cim_ipld_backend_testkit::nats_server::ServerOptions;
use serde_json::json;

use crate::program::{cim, done, json, refused, succeeded};
use crate::store::Store;

#[test]
fn no_level_of_the_log_shows_what_logs_in() {
    for (config, user, more) in [
        ("authorization { user: ann, password: s3cret }", "ann:s3cret@", "nats://ann:s3cret@127.0.0.1:1,"),
        ("authorization { token: s3cret }", "s3cret@", ""),
    ] {
        let store = Store::nats_with(ServerOptions { config: config.to_owned(), ..ServerOptions::default() });
        let at = store.name().replace("nats://", &format!("{more}nats://{user}"));
        for (level, index) in [("info", "a"), ("debug", "b"), ("trace", "c")] {
            let store = format!("{at}/{index}");
            let run = |arguments: [&str; 3]| cim(arguments).env("CIM_LOG", level).output().expect("the program starts");
            for output in [run(["init", &store, "--plaintext"]), run(["stats", &store, "--json"])] {
                let said =
                    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
                assert!(output.status.success() && said.contains("async_nats"), "{level}: {said}");
                assert!(!said.contains("s3cret"), "{level}: {said}");
            }
        }
    }
}

#[test]
fn nothing_that_is_typed_in_the_wrong_place_is_echoed() {
    let store = Store::folder();
    let key = store.init_with_key();
    let secret = std::fs::read_to_string(&key).expect("the key").trim().to_owned();
    let digits = secret.rsplit(':').next().expect("its digits").to_owned();
    let at = store.name();
    let cases: &[(&[&str], i32)] = &[
        (&["stats", &at, "--key-file", &secret], 7),
        (&["stats", &at, "--passphrase-file", &digits], 7),
        (&["stats", &at, &secret], 2),
        (&["stats", &at, &format!("--key={secret}")], 2),
        (&["get", &at, &digits, "--key-file", &key], 2),
        (&["stats", "nats://ann:s3cret@127.0.0.1:1,nats://bob:s3cret@127.0.0.1:1"], 2),
        (&["stats", "nats://ann:s3cret@127.0.0.1:1,nats://ann:s3cret@127.0.0.1:2"], 11),
        (&["search", &at, "a", "nats://ann:s3cret@host"], 2),
    ];
    for (arguments, status) in cases {
        let refusal = refused(*arguments);
        assert_eq!(refusal.status, *status, "{refusal:?}");
        let said = format!("{refusal:?}");
        assert!(!said.contains(&digits) && !said.contains("s3cret"), "{said}");
    }
    let output = cim(["stats", &at]).env("CIM_KEY_FILE", &secret).output().expect("the program starts");
    assert!(!String::from_utf8_lossy(&output.stderr).contains(&digits), "the variable is echoed");
}

#[cfg(unix)]
#[test]
fn a_mounted_secret_is_taken_when_that_is_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::folder();
    let key = store.key("key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o440)).expect("the mode is set");
    let refusal = refused(["init", &store.name(), "--key-file", &key]);
    assert!(refusal.status == 7 && refusal.hint.contains("--key-group-may-read"), "{refusal:?}");
    assert!(refusal.hint.contains("/dev/stdin"), "{refusal:?}");
    done(["init", &store.name(), "--key-file", &key, "--key-group-may-read"]);
    let piped = cim(["stats", &store.name(), "--key-file", "/dev/stdin"])
        .write_stdin(std::fs::read(&key).expect("the key"))
        .output()
        .expect("the program starts");
    succeeded(&piped);
}

#[test]
fn a_context_of_the_nats_program_says_how_to_connect() {
    let config = "authorization { user: ann, password: s3cret }".to_owned();
    let store = Store::nats_with(ServerOptions { config, ..ServerOptions::default() });
    let context = |name: &str, content: String| drop(store.write(&format!("nats/context/{name}.json"), content));
    context("good", json!({ "url": store.name(), "user": "ann", "password": "s3cret", "creds": "" }).to_string());
    context("wrong", json!({ "url": store.name(), "user": "ann", "password": "wr0ng" }).to_string());
    context("empty", "{}".to_owned());
    context("torn", "{\"password\": \"s3cret\", \"url\": 5}".to_owned());
    context("nsc", json!({ "url": store.name(), "nsc": "nsc://op/acc/user" }).to_string());
    let run = |arguments: &[&str]| {
        cim(arguments).env("XDG_CONFIG_HOME", store.file(".")).output().expect("the program starts")
    };
    succeeded(&run(&["init", "nats:///notes", "--context", "good", "--plaintext"]));
    // The servers in STORE take precedence over the servers of the context.
    succeeded(&run(&["stats", &format!("{}/notes", store.name()), "--context", "good"]));
    for (name, status, error) in [
        ("wrong", 12, "authorization"),
        ("empty", 2, "NATS server"),
        ("torn", 2, "not a context"),
        ("nsc", 2, "nsc"),
        ("none", 2, "none.json"),
        ("../good", 2, "name of a context"),
    ] {
        let refusal = crate::program::refusal(&run(&["stats", "nats:///notes", "--context", name]));
        assert!(refusal.status == status && refusal.error.contains(error), "{name}: {refusal:?}");
        assert!(!format!("{refusal:?}").contains("s3cret"), "{refusal:?}");
    }
}

#[test]
fn files_say_who_this_is_and_how_buckets_are_made() {
    let config = "authorization { user: ann, password: s3cret }\nserver_tags: [ssd]".to_owned();
    let store = Store::nats_with(ServerOptions { config, ..ServerOptions::default() });
    let password = store.write("password", "s3cret\n");
    let who = ["--user", "ann", "--password-file", &password];
    let made =
        ["--plaintext", "--storage", "memory", "--max-bytes", "1000000", "--placement-tags", "ssd", "--replicas", "1"];
    done([["init", &store.name()].as_slice(), &who, &made].concat());
    assert_eq!(json([["stats", &store.name(), "--json"].as_slice(), &who].concat())["documents"], 0);
    for (options, hint) in [
        (vec!["--user", "ann"], "--help"),
        (vec!["--creds", "a", "--token-file", "b"], "--help"),
        (vec!["--tls-cert", "a"], "--help"),
        (vec!["--js-domain", "a.b"], "correct the input named in the message"),
    ] {
        let refusal = refused([["stats", &store.name()].as_slice(), &options].concat());
        assert!(refusal.status == 2 && refusal.hint.contains(hint), "{options:?}: {refusal:?}");
    }
}
