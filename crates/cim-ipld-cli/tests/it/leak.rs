//! With a key, no word, title or tag of a document leaves the program in plaintext.

use std::collections::HashMap;

use cim_ipld_backend_testkit::nats_server::ServerOptions;
use serde_json::Value;

use crate::corpus::Corpus;
use crate::program::cim;
use crate::store::{Store, files_below};

const GENERATED_DOCUMENTS: usize = 500;

/// The minimum length of words and titles to search for. Shorter ones occur by chance.
const WORD_LETTERS: usize = 8;
/// The minimum length of tags to search for.
const TAG_BYTES: usize = PREFIX_BYTES;
const PREFIX_BYTES: usize = 6;

#[test]
fn nothing_is_readable_in_a_folder() {
    check(&Store::folder(), &Store::folder());
}

#[test]
fn nothing_is_readable_on_a_server() {
    // The server writes every subject that it sees into its log.
    let logging = || ServerOptions { config: "debug: true\ntrace: true".to_owned(), ..ServerOptions::default() };
    check(&Store::nats_with(logging()), &Store::nats_with(logging()));
}

/// A control: without encryption, most of the texts searched for (the needles) are found, so the
/// other tests would notice a leak.
#[test]
fn everything_is_readable_without_a_key() {
    let store = Store::folder();
    let lines = Corpus::generated(1).lines;
    let (_, seen) = live(&store, &lines, &["--plaintext"], &[]);
    let needles = Needles::of(&lines);
    assert!(needles.found_in(&seen).len() * 2 > needles.count, "{:?}", needles.found_in(&seen));
}

/// Checks that no needle of the corpus is found in `store`. Needles that are also found in
/// `control`, which contains only generated documents, belong to the format and are ignored.
fn check(store: &Store, control: &Store) {
    let corpus = Corpus::given_or_generated(GENERATED_DOCUMENTS);
    let needles = Needles::of(&corpus.lines);
    assert!(needles.count > 100, "there is too little to look for");
    let own: Vec<String> = match std::env::var_os("CIM_CORPUS") {
        None => Vec::new(),
        Some(_) => {
            let key = control.key("key");
            let (_, seen) = live(control, &Corpus::generated(10).lines, &["--key-file", &key], &["--key-file", &key]);
            needles.found_in(&seen)
        }
    };
    let key = store.key("key");
    let (log, seen) = live(store, &corpus.lines, &["--key-file", &key], &["--key-file", &key]);
    assert!(!log.is_empty(), "the program wrote no log");
    let leaked: Vec<String> = needles.found_in(&seen).into_iter().filter(|found| !own.contains(found)).collect();
    assert!(leaked.is_empty(), "{} are in the clear: {leaked:?}", leaked.len());
}

/// Creates an index, indexes, searches, reads, removes, verifies, snapshots and restores, and
/// returns its log and every byte that it stored anywhere.
fn live(store: &Store, lines: &[String], init: &[&str], open: &[&str]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let at = &store.name();
    let path = store.write("lines.jsonl", Corpus::text(lines));
    let broken = store.write("broken.jsonl", lines[0].replacen("\"title\":", "\"size\":", 1) + "\n" + &lines[0][..20]);
    let line: Value = serde_json::from_str(&lines[0]).expect("a line of JSON");
    let title = line["title"].as_str().expect("a title").to_owned();
    let mut log = Vec::new();
    let mut run = |arguments: &[&str], options: &[&str], status: i32| {
        let output = cim(arguments).args(options).env("CIM_LOG", "trace").output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        log.extend(output.stderr);
    };
    run(&["init", at], init, 0);
    run(&["index", at, &path], open, 0);
    run(&["index", at, &broken], open, 1);
    run(&["search", at, &title, "--tag", line["tags"][0].as_str().expect("a tag")], open, 0);
    run(&["get", at, &Corpus::cid(&lines[0])], open, 0);
    // Folds the journal into pages.
    run(&["snapshot", "create", at, &title], open, 0);
    run(&["rm", at, &Corpus::cid(&lines[0])], open, 0);
    run(&["index", at, &path], open, 0);
    run(&["verify", at], open, 0);
    run(&["snapshot", "restore", at, &title], open, 0);
    run(&["search", at, &title], open, 0);

    let mut seen: Vec<Vec<u8>> = files_below(&store.data_folder()).into_iter().map(|(_, content)| content).collect();
    let names = files_below(&store.data_folder()).into_iter().map(|(path, _)| path.display().to_string().into_bytes());
    seen.extend(names);
    seen.push(log.clone());
    seen.extend(store.server().map(|server| server.log().into_bytes()));
    (log, seen)
}

/// The texts to search for, by their first bytes. Case is ignored.
struct Needles {
    by_prefix: HashMap<[u8; PREFIX_BYTES], Vec<String>>,
    /// Whether any needle starts with these two bytes, which quickly rules out most positions.
    by_start: Vec<bool>,
    count: usize,
}

impl Needles {
    fn of(lines: &[String]) -> Self {
        let mut needles = Self { by_prefix: HashMap::new(), by_start: vec![false; 1 << 16], count: 0 };
        for line in lines {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            for field in ["title", "author", "text"] {
                let text = line[field].as_str().unwrap_or_default();
                for word in text.split(|c: char| !c.is_alphanumeric()) {
                    if word.chars().filter(|c| c.is_alphabetic()).count() >= WORD_LETTERS {
                        needles.add(word);
                    }
                }
            }
            if let Some(title) = line["title"].as_str().filter(|title| title.chars().count() >= WORD_LETTERS) {
                needles.add(title);
            }
            for tag in line["tags"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if tag.len() >= TAG_BYTES {
                    needles.add(tag);
                }
            }
        }
        needles
    }

    fn add(&mut self, text: &str) {
        let text = text.to_ascii_lowercase();
        let prefix = *text.as_bytes().first_chunk().expect("every needle is longer");
        self.by_start[start(&prefix)] = true;
        let known = self.by_prefix.entry(prefix).or_default();
        if !known.contains(&text) {
            known.push(text);
            self.count += 1;
        }
    }

    fn found_in(&self, places: &[Vec<u8>]) -> Vec<String> {
        let mut found = Vec::new();
        for place in places {
            let place = place.to_ascii_lowercase();
            for (at, window) in place.windows(PREFIX_BYTES).enumerate() {
                if !self.by_start[start(window)] {
                    continue;
                }
                let prefix: &[u8; PREFIX_BYTES] = window.first_chunk().expect("a window");
                let Some(candidates) = self.by_prefix.get(prefix) else { continue };
                let here = candidates.iter().filter(|needle| place[at..].starts_with(needle.as_bytes()));
                found.extend(here.cloned());
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// Returns the first two bytes as a number.
fn start(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}
