//! The life of an index, command by command, in a folder and on NATS.

use serde_json::{Value, json};

use crate::program::{cim, done, json, names, refused, state_home, succeeded};
use crate::store::Store;

const WHALE: &str = r#"{"title":"Whale song","author":"Ann Lee","tags":["ocean","music"],"type":"text/plain","created_at":"2024-02-29T12:00:00.000Z","size":99,"text":"Low calls that carry for miles under the water."}"#;
const HARBOUR: &str =
    r#"{"title":"Harbour at dawn","tags":["ocean"],"type":"text/html","text":"Boats leave the quiet water."}"#;
const BREAD: &str = r#"{"cid":"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy","title":"Bread","text":"Flour, water, salt and a quiet night."}"#;

fn cid(line: &str) -> String {
    cim_ipld::persistence::content_cid(line.as_bytes()).to_string()
}

/// An index of the three documents, and the options that open it.
fn indexed(store: &Store) -> [String; 3] {
    let key = store.init_with_key();
    let lines = store.write("three.jsonl", format!("{WHALE}\n\n{HARBOUR}\n{BREAD}"));
    let output = done(["index", &store.name(), &lines, "--key-file", &key]);
    let last = output.lines().last().expect("a last line");
    let bytes = WHALE.len() + HARBOUR.len() + BREAD.len();
    assert!(last.starts_with(&format!("3 documents, {bytes} bytes, ")) && last.ends_with(" s"), "{output}");
    [store.name(), "--key-file".to_owned(), key]
}

fn run(command: &[&str], store: &[String; 3], rest: &[&str]) -> Vec<String> {
    let store = store.iter().map(String::as_str);
    command.iter().copied().chain(store).chain(rest.iter().copied()).map(str::to_owned).collect()
}

#[test]
fn searches_find_what_the_query_says() {
    for store in Store::each() {
        let store = indexed(&store);
        let [whale, harbour, bread] =
            [&cid(WHALE), &cid(HARBOUR), "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"];
        let cases: &[(&[&str], u64, &[&str])] = &[
            (&["whale"], 1, &[whale]),
            (&["WHALE harbour"], 2, &[whale, harbour]),
            (&["quiet AND boats"], 1, &[harbour]),
            (&["lee"], 1, &[whale]),
            (&["nothing"], 0, &[]),
            (&["water", "--tag", "ocean"], 2, &[whale, harbour]),
            (&["water", "--tag", "ocean", "--tag", "music"], 1, &[whale]),
            (&["water", "--type", "text/html"], 1, &[harbour]),
            (&["water", "--type", "text/html", "--type", "text/plain"], 2, &[whale, harbour]),
            (&[""], 3, &[whale, harbour, bread]),
        ];
        for (query, total, expected) in cases {
            let found = json(run(&["search"], &store, &[query, ["--json"].as_slice()].concat()));
            assert_eq!(names(&found), ["hits", "took_us", "total"]);
            assert_eq!(found["total"], json!(total), "{query:?}: {found}");
            let hits = found["hits"].as_array().expect("hits");
            let mut cids: Vec<&str> = hits.iter().map(|hit| hit["cid"].as_str().expect("a CID")).collect();
            let mut expected = expected.to_vec();
            cids.sort_unstable();
            expected.sort_unstable();
            assert_eq!(cids, expected, "{query:?}");
        }
    }
}

#[test]
fn a_hit_has_every_field() {
    let folder = Store::folder();
    let store = indexed(&folder);
    let found = json(run(&["search"], &store, &["calls", "--json"]));
    let hit = &found["hits"][0];
    assert_eq!(names(hit), ["author", "cid", "paths", "score", "snippet", "tags", "title", "type"]);
    assert_eq!(hit["cid"], json!(cid(WHALE)));
    assert_eq!(hit["title"], json!("Whale song"));
    assert_eq!(hit["author"], json!("Ann Lee"));
    assert_eq!(hit["tags"], json!(["ocean", "music"]));
    assert_eq!(hit["type"], json!("text/plain"));
    assert!(hit["score"].as_f64().is_some_and(|score| score > 0.0), "{hit}");
    assert!(hit["snippet"].as_str().is_some_and(|snippet| snippet.contains("calls")), "{hit}");
    assert!(found["took_us"].is_u64(), "{found}");
    let found = json(run(&["search"], &store, &["flour", "--json"]));
    let hit = &found["hits"][0];
    assert_eq!((&hit["author"], &hit["type"], &hit["tags"]), (&Value::Null, &Value::Null, &json!([])), "{hit}");
}

#[test]
fn pages_of_hits_follow_each_other() {
    let folder = Store::folder();
    let store = indexed(&folder);
    let all = json(run(&["search"], &store, &["water", "--json"]));
    assert_eq!(all["total"], json!(3));
    for offset in 0..3 {
        let page =
            json(run(&["search"], &store, &["water", "--json", "--limit", "1", "--offset", &offset.to_string()]));
        assert_eq!(page["total"], json!(3));
        assert_eq!(page["hits"], json!([all["hits"][offset]]), "offset {offset}");
    }
    let none = json(run(&["search"], &store, &["water", "--json", "--limit", "0"]));
    assert_eq!((&none["total"], &none["hits"]), (&json!(3), &json!([])));
    let text = done(run(&["search"], &store, &["water", "--offset", "2"]));
    assert!(text.starts_with("3. ") && text.ends_with("3 documents match; 3 to 3\n"), "{text}");
    assert!(!text.contains('\x1b'), "colours off a terminal: {text:?}");
}

#[test]
fn a_document_comes_back_as_it_was_indexed() {
    for store in Store::each() {
        let store = indexed(&store);
        for line in [WHALE, HARBOUR, BREAD] {
            let mut expected: Value = serde_json::from_str(line).expect("a line of JSON");
            expected["cid"] = expected.get("cid").cloned().unwrap_or_else(|| cid(line).into());
            let at = expected["cid"].as_str().expect("a CID").to_owned();
            assert_eq!(json(run(&["get"], &store, &[&at, "--json"])), expected);
            let text = done(run(&["get"], &store, &[&at]));
            assert!(text.contains(&at) && text.contains(expected["text"].as_str().expect("a text")), "{text}");
        }
    }
}

#[test]
fn removed_documents_are_gone() {
    for store in Store::each() {
        let store = indexed(&store);
        let whale = cid(WHALE);
        assert_eq!(done(run(&["rm"], &store, &[&whale])), format!("removed {whale}\n"));
        for command in ["get", "rm"] {
            let refusal = refused(run(&[command], &store, &[&whale]));
            assert_eq!((refusal.status, refusal.error), (4, format!("the index has no document {whale}")));
        }
        assert_eq!(json(run(&["search"], &store, &["whale", "--json"]))["total"], json!(0));
        assert_eq!(json(run(&["stats"], &store, &["--json"]))["documents"], json!(2));
    }
}

#[test]
fn stats_count() {
    for store in Store::each() {
        let store = indexed(&store);
        let stats = json(run(&["stats"], &store, &["--json"]));
        let expected = [
            "algorithm",
            "analyzer",
            "by_kind",
            "documents",
            "generation",
            "ignored",
            "memtable_bytes",
            "position",
            "rotation_unfinished",
            "segment_bytes",
            "segments",
            "tags",
            "terms",
            "types",
        ];
        assert_eq!(names(&stats), expected);
        assert_eq!(stats["documents"], json!(3));
        assert_eq!(stats["by_kind"], json!({"document": 3, "image": 0, "audio": 0, "video": 0}));
        assert_eq!(stats["tags"], json!(2));
        assert_eq!(stats["types"], json!(2));
        assert_eq!(stats["algorithm"], json!("aes-256-gcm"));
        assert_eq!(stats["rotation_unfinished"], json!(false));
        let nothing = json!({"junk": 0, "retired": 0, "stale": 0, "duplicate": 0, "closed": 0, "replayed": 0});
        assert_eq!(stats["ignored"], nothing);
        let text = done(run(&["stats"], &store, &[]));
        assert!(text.lines().any(|line| line.split_whitespace().eq(["documents", "3"])), "{text}");
    }
}

#[test]
fn snapshots_bring_back_what_was() {
    for store in Store::each() {
        let store = indexed(&store);
        let documents = || json(run(&["stats"], &store, &["--json"]))["documents"].clone();
        assert_eq!(done(run(&["snapshot", "list"], &store, &[])), "");
        assert_eq!(json(run(&["snapshot", "list"], &store, &["--json"])), json!({"snapshots": []}));
        assert_eq!(
            done(run(&["snapshot", "create"], &store, &["first of May"])),
            "created snapshot first of May: 3 documents\n"
        );
        done(run(&["rm"], &store, &[&cid(WHALE)]));
        assert_eq!(documents(), json!(2));

        let list = json(run(&["snapshot", "list"], &store, &["--json"]));
        assert_eq!(names(&list["snapshots"][0]), ["bytes", "created_at", "documents", "name"]);
        assert_eq!(list["snapshots"][0]["name"], json!("first of May"));
        assert_eq!(list["snapshots"][0]["documents"], json!(3));
        assert!(done(run(&["snapshot", "list"], &store, &[])).trim_end().ends_with("first of May"));

        let again = refused(run(&["snapshot", "create"], &store, &["first of May"]));
        assert_eq!(again.status, 6, "{again:?}");
        assert!(again.error.contains("first of May"), "{again:?}");

        done(run(&["snapshot", "restore"], &store, &["first of May"]));
        assert_eq!(documents(), json!(3));
        assert_eq!(json(run(&["search"], &store, &["whale", "--json"]))["total"], json!(1));
        done(run(&["verify"], &store, &[]));

        done(run(&["snapshot", "delete"], &store, &["first of May"]));
        for command in ["restore", "delete"] {
            let missing = refused(run(&["snapshot", command], &store, &["first of May"]));
            assert_eq!(missing.status, 4);
            assert!(missing.hint.contains("cim snapshot list"), "{missing:?}");
        }
        assert_eq!(documents(), json!(3));
    }
}

#[test]
fn verify_reports_what_it_read() {
    for store in Store::each() {
        let store = indexed(&store);
        let report = json(run(&["verify"], &store, &["--json"]));
        let expected = [
            "bytes",
            "documents",
            "ignored",
            "pages",
            "problems",
            "records",
            "rotation_unfinished",
            "segments",
            "snapshots",
            "sound",
            "unnamed",
        ];
        assert_eq!(names(&report), expected);
        assert_eq!(
            (&report["sound"], &report["documents"], &report["problems"]),
            (&json!(true), &json!(3), &json!([]))
        );
        assert!(report["records"].as_u64().is_some_and(|records| records > 0), "{report}");
        done(run(&["snapshot", "create"], &store, &["folded"]));
        let report = json(run(&["verify"], &store, &["--json"]));
        assert_eq!((&report["segments"], &report["snapshots"]), (&json!(1), &json!(1)), "{report}");
        assert!(report["pages"].as_u64().is_some_and(|pages| pages > 0), "{report}");
        assert!(done(run(&["verify"], &store, &[])).ends_with(": sound\n"));
    }
}

#[test]
fn two_indexes_of_one_server_are_apart() {
    let store = Store::nats();
    let (first, second) = (format!("{}/first", store.name()), format!("{}/second", store.name()));
    for index in [&first, &second] {
        assert_eq!(done(["init", index, "--plaintext"]), format!("created {index}, unencrypted\n"));
    }
    let lines = store.write("one.jsonl", WHALE);
    done(["index", &first, &lines]);
    assert_eq!(json(["stats", &first, "--json"])["documents"], json!(1));
    assert_eq!(json(["stats", &second, "--json"])["documents"], json!(0));
    let refusal = refused(["stats", &store.name()]);
    assert_eq!(refusal.status, 5, "{refusal:?}");
    assert!(refusal.hint.contains("cim init"), "{refusal:?}");
}

#[test]
fn another_program_may_close_standard_output() {
    let folder = Store::folder();
    let store = indexed(&folder);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cim"));
    command.env("XDG_STATE_HOME", state_home());
    let output =
        command.args(run(&["search"], &store, &["water"])).stdout(writer).output().expect("the program starts");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn what_documents_hold_cannot_steer_the_terminal() {
    let folder = Store::folder();
    let store = indexed(&folder);
    let line =
        json!({"title": "clear\u{1b}[2J", "tags": ["a\nb"], "text": "beware\u{1b}]0;owned\u{7} of this"}).to_string();
    let lines = folder.write("hostile.jsonl", &line);
    done(run(&["index"], &store, &[&lines]));
    for output in [done(run(&["search"], &store, &["beware"])), done(run(&["get"], &store, &[&cid(&line)]))] {
        assert!(output.contains("clear"), "{output:?}");
        assert!(output.chars().all(|c| !c.is_control() || c == '\n'), "{output:?}");
    }
    let output = cim(run(&["get"], &store, &[&cid(&line), "--json"])).output().expect("the program starts");
    let document: Value = serde_json::from_str(&succeeded(&output)).expect("JSON");
    assert_eq!(document["title"], json!("clear\u{1b}[2J"));
}
