//! The input that `cim index` accepts, refuses and skips, and its output.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::corpus::Corpus;
#[cfg(unix)]
use crate::program::WITH_SIGINT;
use crate::program::{acknowledged, cim, done, json, refusal, refused, state_home, succeeded};
use crate::store::Store;

fn plaintext() -> Store {
    let store = Store::folder();
    done(["init", &store.name(), "--plaintext"]);
    store
}

fn documents(store: &Store) -> u64 {
    json(["stats", &store.name(), "--json"])["documents"].as_u64().expect("a count")
}

#[test]
fn a_folder_is_walked() {
    let store = plaintext();
    store.write("tree/readme.md", "# About harbours\n");
    store.write("tree/src/main.rs", "fn harbour() {}\n");
    store.write("tree/empty.txt", "");
    store.write("tree/data.JSONL", "{\"text\": \"first line\"}\n{\"text\": \"second line\"}\n");
    store.write("tree/picture.png", b"\x89PNG\r\n\x1a\n\0\0");
    store.write("tree/latin.txt", b"caf\xe9");
    store.write("tree/.hidden", "harbour");
    store.write("tree/.git/config", "harbour");
    store.write("tree/Cargo.toml", "[package]\n");
    store.write("tree/target/debug/out.txt", "harbour");
    store.write("tree/cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55");
    store.write("tree/cache/page.txt", "harbour");
    let output = done(["index", &store.name(), &store.file("tree").display().to_string()]);
    assert!(output.contains("skipped 1 file: not text\n"), "{output}");
    assert!(output.lines().last().is_some_and(|line| line.starts_with("7 documents, ")), "{output}");

    let found = json(["search", &store.name(), "harbour harbours", "--json"]);
    let mut hits: Vec<_> =
        found["hits"].as_array().expect("hits").iter().map(|hit| (&hit["title"], &hit["type"])).collect();
    hits.sort_by_key(|(title, _)| title.as_str());
    let expected = [(json!("readme.md"), json!("text/markdown")), (json!("src/main.rs"), json!("text/x-rust"))];
    assert_eq!(hits, expected.each_ref().map(|(title, kind)| (title, kind)));

    let cid = cim_ipld::persistence::content_cid(b"# About harbours\n").to_string();
    let document = json(["get", &store.name(), &cid, "--json"]);
    assert_eq!((&document["size"], &document["text"]), (&json!(17), &json!("# About harbours\n")));
    assert!(document["modified_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{document}");
}

#[test]
fn formats_are_chosen() {
    let lines = "{\"title\":\"one\"}\n{\"title\":\"two\"}\n";
    for (names, options, expected) in [
        (vec!["lines.jsonl"], vec![], 2),
        (vec!["lines.txt"], vec![], 1),
        (vec!["lines.txt"], vec!["--format", "jsonl"], 2),
        (vec!["lines.jsonl"], vec!["--format", "files"], 1),
        (vec!["lines.jsonl", "lines.txt"], vec![], 3),
    ] {
        let store = plaintext();
        let paths: Vec<String> = names.iter().map(|name| store.write(name, lines)).collect();
        let name = store.name();
        let output = done(["index", &name].into_iter().chain(paths.iter().map(String::as_str)).chain(options));
        assert!(
            output.lines().last().is_some_and(|last| last.starts_with(&format!("{expected} documents, "))),
            "{names:?}: {output}"
        );
        assert_eq!(documents(&store), expected);
    }
    let store = plaintext();
    let output = cim(["index", &store.name(), "-"]).write_stdin(lines).output().expect("the program starts");
    assert!(succeeded(&output).lines().last().is_some_and(|last| last.starts_with("2 documents, 30 bytes, ")));
    assert_eq!(documents(&store), 2);
}

#[test]
fn lines_are_found_by_their_dates_and_attributes() {
    let store = plaintext();
    let lines = concat!(
        "\u{feff}{\"title\":\"one\",\"created_at\":\"2024-01-15\",\"attributes\":{\"lang\":\"en\",\"year\":1999}}\n",
        "{\"title\":\"two\",\"created_at\":\"2024-01-15T10:30\",\"attributes\":{\"lang\":\"de\",\"due\":\"2024-03-01\",\"id\":18446744073709551615}}\n",
        "\u{feff}{\"title\":\"three\",\"attributes\":{\"colours\":[\"sea green\",\"red\"],\"done\":true,\"rating\":4.5}}\n",
        "{\"title\":\"four\",\"text\":\"see localhost:8080\",\"attributes\":{\"done\":false,\"nothing\":null}}\n",
    );
    done(["index", &store.name(), &store.write("lines.jsonl", lines)]);
    for (query, expected) in [
        ("one", "one"),
        ("created:2024-01-15", "one two"),
        ("created:>=2024-01-15T10:00", "two"),
        ("lang:en", "one"),
        ("lang:(en OR de)", "one two"),
        ("year:[1990 TO 2000]", "one"),
        ("due:>=2024-02", "two"),
        ("due:\"2024-03-01\"", "two"),
        ("id:18446744073709551615", "two"),
        ("id:18446744073709551614", ""),
        ("colours:red", "three"),
        ("colours:\"sea green\"", "three"),
        ("colours:green", "three"),
        ("done:true", "three"),
        ("done:*", "four three"),
        ("rating:>4", "three"),
        ("nothing:*", ""),
        ("localhost:8080", "four"),
        ("AC/DC - (four", "four"),
    ] {
        let found = json(["search", &store.name(), query, "--json"]);
        let mut titles: Vec<_> =
            found["hits"].as_array().expect("hits").iter().filter_map(|hit| hit["title"].as_str()).collect();
        titles.sort_unstable();
        assert_eq!(titles.join(" "), expected, "{query}");
    }
    let found = json(["search", &store.name(), "three", "--json"]);
    let cid = found["hits"][0]["cid"].as_str().expect("a CID");
    let attributes = &json(["get", &store.name(), cid, "--json"])["attributes"];
    assert_eq!(*attributes, json!({"colours": ["sea green", "red"], "done": true, "rating": 4.5}));

    let typo = refused(["search", &store.name(), "titel:one"]);
    assert!(typo.status == 2 && typo.error.contains("`title`") && typo.error.contains("created"), "{typo:?}");
}

#[test]
fn what_is_stored_is_acknowledged_in_order() {
    let store = plaintext();
    let lines = store.write("lines.jsonl", Corpus::text(&Corpus::generated(25).lines));
    let output = done(["index", &store.name(), &lines, "--batch", "10"]);
    let lines: Vec<&str> = output.lines().collect();
    let [first, second, third, last] = lines[..] else { panic!("four lines: {output}") };
    assert_eq!(
        [first, second, third],
        ["acknowledged 10 documents", "acknowledged 20 documents", "acknowledged 25 documents"]
    );
    assert!(last.starts_with("25 documents, "), "{output}");
}

#[test]
fn indexing_again_replaces() {
    let store = plaintext();
    let cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    let line = |title: &str| format!("{{\"cid\":\"{cid}\",\"title\":\"{title}\"}}\n");
    // The last version is kept: within a batch, between batches, between runs.
    for (content, batch, title) in [
        (line("first") + &line("second"), "2", "second"),
        (line("third") + &line("fourth"), "1", "fourth"),
        (line("fifth"), "500", "fifth"),
    ] {
        let lines = store.write("lines.jsonl", content);
        done(["index", &store.name(), &lines, "--batch", batch]);
        assert_eq!(json(["get", &store.name(), cid, "--json"])["title"], json!(title));
        assert_eq!(documents(&store), 1);
    }
}

#[test]
fn unknown_fields_are_ignored_and_named() {
    let store = plaintext();
    let lines =
        store.write("lines.jsonl", "{\"title\":\"a\",\"lang\":\"en\"}\n{\"title\":\"b\",\"lang\":\"de\",\"id\":7}\n");
    let output = done(["index", &store.name(), &lines]);
    assert!(output.contains("ignored 2 unknown fields: id, lang\n"), "{output}");
    assert_eq!(documents(&store), 2);
}

#[test]
fn a_bad_line_stops_the_run_before_its_batch() {
    for (bad, expected) in [
        ("{\"title\":", "not JSON at column 9"),
        ("[]", "expected a JSON object, found an array"),
        ("{\"title\":1}", "title: expected a string, found a number"),
        ("{\"tags\":\"a\"}", "tags: expected an array of strings, found a string"),
        ("{\"size\":-1}", "size: expected a whole number"),
        ("{\"created_at\":\"soon\"}", "created_at: expected a date"),
        ("{\"cid\":\"nothing\"}", "cid: invalid CID"),
        ("\u{fffd}", "not JSON"),
        ("{\0}\0", "UTF-16 text, expected UTF-8"),
        ("{\"attributes\":{\"due\":{}}}", "attributes.due: expected a string, number"),
        ("{\"text\":\"\\ud83d\"}", "not JSON at column"),
    ] {
        let store = plaintext();
        let mut lines = Corpus::generated(16).lines;
        lines.insert(14, bad.to_owned());
        let path = store.write("lines.jsonl", Corpus::text(&lines));
        let output = cim(["index", &store.name(), &path, "--batch", "10"]).output().expect("the program starts");
        let refusal = refusal(&output);
        assert_eq!(refusal.status, 1);
        assert!(refusal.error.starts_with(&format!("{path}: line 15: {expected}")), "{bad}: {refusal:?}");
        assert_eq!(acknowledged(&String::from_utf8_lossy(&output.stdout)), 10);
        assert_eq!(documents(&store), 10, "{bad}");
    }
}

#[test]
fn paths_are_looked_at_before_anything_is_stored() {
    let store = plaintext();
    let good = store.write("good.jsonl", "{\"title\":\"a\"}\n");
    let missing = store.file("missing.jsonl").display().to_string();
    let refusal = refused(["index", &store.name(), &good, &missing]);
    assert_eq!(refusal.status, 1);
    assert!(refusal.error.starts_with(&format!("{missing}: ")), "{refusal:?}");
    assert_eq!(documents(&store), 0);
}

#[cfg(unix)]
#[test]
fn an_interruption_keeps_what_was_acknowledged() {
    for (signal, store) in ["INT", "TERM"].into_iter().zip(Store::each()) {
        let key = store.init_with_key();
        let mut child = Command::new(WITH_SIGINT[0])
            .env("XDG_STATE_HOME", state_home())
            .args(&WITH_SIGINT[1..])
            .args([env!("CARGO_BIN_EXE_cim"), "index", &store.name(), "-", "--batch", "10", "--key-file", &key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // The input has more documents than the program acknowledges, because it waits for the rest
        // of a batch.
        let mut input = child.stdin.take().expect("its standard input");
        input.write_all(Corpus::text(&Corpus::generated(25).lines).as_bytes()).expect("it reads");
        let mut output = BufReader::new(child.stdout.take().expect("its standard output"));
        let mut said = String::new();
        while acknowledged(&said) < 20 {
            assert!(output.read_line(&mut said).expect("it writes") > 0, "it ended: {said}");
        }
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.expect("kill starts").success());
        let refusal = refusal(&child.wait_with_output().expect("it ends"));
        assert_eq!((refusal.status, refusal.error.as_str()), (1, "interrupted; the first 20 documents are stored"));
        drop(input);
        let stats = json(["stats", &store.name(), "--key-file", &key, "--json"]);
        assert_eq!(stats["documents"], json!(20));
    }
}

/// On a full disk, the program fails with the reason, and every acknowledged document is stored.
#[cfg(unix)]
#[test]
fn a_full_disk_is_reported_and_loses_nothing() {
    let store = Store::folder();
    let key = store.init_with_key();
    let lines = Corpus::generated(3_000).lines;
    let path = store.write("lines.jsonl", Corpus::text(&lines));
    // A limit on the size of files (in blocks of 512 bytes) has the same effect as a full disk if
    // its signal is ignored.
    let script = "trap '' XFSZ; ulimit -f 2048; exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_cim")])
        .args(["index", &store.name(), &path, "--batch", "50", "--key-file", &key])
        .env("XDG_STATE_HOME", state_home())
        .output()
        .expect("sh starts");
    let refusal = refusal(&output);
    assert_eq!(refusal.status, 13);
    assert!(refusal.error.contains("no space is left on the disk"), "{refusal:?}");
    assert!(refusal.hint.contains("make room"), "{refusal:?}");
    let stored = acknowledged(&String::from_utf8_lossy(&output.stdout));
    assert!(stored > 0 && stored < 3_000, "{stored} documents");
    done(["verify", &store.name(), "--key-file", &key]);
    let there = json(["stats", &store.name(), "--key-file", &key, "--json"])["documents"].as_u64().expect("a count");
    assert!(there >= stored, "{there} of {stored} acknowledged documents are there");
    // Without the limit, the same command continues.
    done(["index", &store.name(), &path, "--key-file", &key]);
    let stats = json(["stats", &store.name(), "--key-file", &key, "--json"]);
    assert_eq!(stats["documents"], json!(3_000));
}

#[test]
fn inputs_at_the_edge_are_taken_for_what_they_are() {
    let store = plaintext();
    for (name, content, last) in [
        ("empty.jsonl", "", "0 documents, 0 bytes, "),
        ("blank.jsonl", "\n \n\r\n", "0 documents, 0 bytes, "),
        ("no-newline.jsonl", "{\"title\":\"a\"}", "1 documents, 13 bytes, "),
        ("windows.jsonl", "{\"title\":\"a\"}\r\n", "1 documents, 13 bytes, "),
        ("twice.jsonl", "{\"title\":\"a\"}\n{\"title\":\"a\"}\n", "1 documents, 26 bytes, "),
        ("empty.txt", "", "1 documents, 0 bytes, "),
    ] {
        let path = store.write(name, content);
        let output = done(["index", &store.name(), &path]);
        assert!(output.lines().last().is_some_and(|said| said.starts_with(last)), "{name}: {output}");
    }
    let folder = store.file("nothing");
    std::fs::create_dir(&folder).expect("made");
    let output = done(["index", &store.name(), &folder.display().to_string()]);
    assert!(output.starts_with("0 documents, 0 bytes, "), "{output}");
    // One document for the repeated line, and one for the empty file.
    assert_eq!(documents(&store), 2);
    done(["verify", &store.name()]);
}

/// A file that was named on the command line and could not be indexed is reported, and the run does
/// not end with status 0.
#[cfg(unix)]
#[test]
fn skipped_files_are_named() {
    let binary = b"\x1f\x8b\x00\x01";
    for (inside, named, options, status, on_stderr) in
        [(binary, false, vec![], 0, false), (binary, false, vec!["-v"], 0, true), (binary, true, vec![], 3, true)]
    {
        let store = plaintext();
        let file = store.write("d/blob.pdf", inside);
        store.write("d/ok.txt", "ok");
        let path = if named { file } else { store.file("d").display().to_string() };
        let output = cim(["index", &store.name(), &path].iter().chain(&options)).output().expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{named} {options:?}: {error}");
        assert_eq!(error.contains("skipped") && error.contains("blob.pdf: not text"), on_stderr, "{error}");
    }
    let store = plaintext();
    store.write("d/bad.jsonl", "{\"title\":\"good\"}\n{");
    store.write("d/ok.txt", "ok");
    std::os::unix::fs::symlink("nowhere", store.file("d/link.txt")).expect("a link");
    let output = cim(["index", &store.name(), &store.file("d").display().to_string()]).output().expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("bad.jsonl: not JSON lines: ") && error.contains("line 2"), "{error}");
    assert_eq!(documents(&store), 2, "the valid documents are stored");
}

/// Returns the title and the last parts of the paths of every hit.
fn found(store: &Store, query: &str) -> Vec<(String, Vec<String>)> {
    let name = |path: &serde_json::Value| path.as_str().expect("a path").rsplit('/').next().expect("a name").to_owned();
    let hits = json(["search", &store.name(), query, "--json"])["hits"].as_array().expect("hits").clone();
    hits.iter()
        .map(|hit| {
            let paths = hit["paths"].as_array().expect("paths").iter().map(name).collect();
            (hit["title"].as_str().expect("a title").to_owned(), paths)
        })
        .collect()
}

#[test]
fn a_file_is_known_by_its_path_and_its_bytes() {
    let store = plaintext();
    let folder = store.file("d").display().to_string();
    let index = || done(["index", &store.name(), &folder]).lines().last().expect("a last line").to_owned();
    let hit = |title: &str, paths: &[&str]| (title.to_owned(), paths.iter().map(|path| (*path).to_owned()).collect());
    store.write("d/a.txt", "harbour draft");
    store.write("d/b.txt", "harbour draft");
    assert!(index().starts_with("1 documents, "), "the same bytes are one document");
    assert_eq!(found(&store, "harbour"), [hit("a.txt | b.txt", &["a.txt", "b.txt"])]);
    assert_eq!(found(&store, "b.txt"), [hit("a.txt | b.txt", &["a.txt", "b.txt"])]);
    // If one of the two changes, the other one is unaffected.
    store.write("d/b.txt", "harbour final");
    index();
    assert_eq!(found(&store, "draft"), [hit("a.txt", &["a.txt"])]);
    assert_eq!(found(&store, "final"), [hit("b.txt", &["b.txt"])]);
    // The two files are exchanged.
    store.write("d/a.txt", "harbour final");
    store.write("d/b.txt", "harbour draft");
    index();
    assert_eq!(found(&store, "draft"), [hit("b.txt", &["b.txt"])]);
    assert_eq!(found(&store, "final"), [hit("a.txt", &["a.txt"])]);
    // If both change, no earlier document remains. Another spelling of a path denotes the same
    // file.
    store.write("d/a.txt", "quay");
    store.write("d/b.txt", "pier");
    index();
    done(["index", &store.name(), &store.file("d/../d/a.txt").display().to_string()]);
    assert_eq!(documents(&store), 2);
    assert!(found(&store, "harbour").is_empty());
    // A copy in another folder, indexed by a later run, is another path of the same document.
    let copy = store.write("e/c.txt", "quay");
    done(["index", &store.name(), &copy]);
    assert_eq!(found(&store, "quay"), [hit("a.txt | c.txt", &["a.txt", "c.txt"])]);
}

#[test]
fn files_in_other_encodings_are_read() {
    let store = plaintext();
    store.write("d/wide.txt", "\u{feff}the harbour".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    store.write("d/old.txt", b"the harbour caf\xe9");
    done(["index", &store.name(), &store.file("d").display().to_string()]);
    assert_eq!(json(["search", &store.name(), "harbour", "--json"])["total"], 2);
    assert_eq!(json(["search", &store.name(), "caf\u{e9}", "--json"])["total"], 1);
}
