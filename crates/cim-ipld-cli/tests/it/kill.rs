//! Kills indexing runs at random moments (SIGKILL). Every acknowledged document must be stored, and
//! no batch partially.
//!
//! `CIM_KILLS` sets the number of kills for each store, `CIM_SEED` repeats a sequence of kills, and
//! `CIM_CORPUS` names a file of JSON lines to index instead of generated documents.

use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::corpus::Corpus;
use crate::program::{acknowledged, done, json, state_home};
use crate::store::Store;

const KILLS: usize = 3;
const BATCH: usize = 50;
const GENERATED_DOCUMENTS_A_RUN: usize = 1_000;

#[test]
fn killed_while_indexing_into_a_folder() {
    check(&Store::folder());
}

#[test]
fn killed_while_indexing_into_nats() {
    check(&Store::nats());
}

fn check(store: &Store) {
    let (kills, mut random) = kills(KILLS);
    let corpus = Corpus::given_or_generated((kills + 1) * GENERATED_DOCUMENTS_A_RUN);
    let mut chunks = corpus.lines.chunks(corpus.lines.len().div_ceil(kills + 1));
    let key = store.init_with_key();
    let mut expected = BTreeSet::new();

    // A run without a kill determines the range of moments for the others.
    let whole = chunks.next().expect("the corpus is not empty");
    let started = Instant::now();
    let stdout = run(store, &key, whole, None);
    let lifetime = started.elapsed();
    assert_eq!(acknowledged(&stdout), whole.len() as u64, "{stdout}");
    expected.extend(whole.iter().map(|line| Corpus::cid(line)));
    assert_holds(store, &key, &expected);

    for chunk in chunks {
        let moment = lifetime.mul_f64(random.random_range(0.0..1.1));
        let stdout = run(store, &key, chunk, Some(moment));
        let acknowledged = usize::try_from(acknowledged(&stdout)).expect("a count");
        let found = cids(store, &key);
        let there: Vec<bool> = chunk.iter().map(|line| found.contains(&Corpus::cid(line))).collect();
        let kept = there.iter().take_while(|there| **there).count();
        let killed = format!("killed after {moment:?} with {acknowledged} acknowledged");
        assert!(kept >= acknowledged, "{killed}: only the first {kept} are there");
        assert!(!there[kept..].contains(&true), "{killed}: the first {kept} are there, then others");
        assert!(kept % BATCH == 0 || kept == chunk.len(), "{killed}: {kept} are there, a batch is not whole");
        expected.extend(chunk[..kept].iter().map(|line| Corpus::cid(line)));
        assert_holds(store, &key, &expected);
        if let Some(last) = chunk[..acknowledged].last() {
            assert_is_whole(store, &key, last);
        }
    }
}

/// Indexes `lines` and returns the standard output. The run is killed after `moment`, if it has not
/// ended by then.
fn run(store: &Store, key: &str, lines: &[String], moment: Option<Duration>) -> String {
    let path = store.write("lines.jsonl", Corpus::text(lines));
    let mut child = Command::new(env!("CARGO_BIN_EXE_cim"))
        .env("XDG_STATE_HOME", state_home())
        .args(["index", &store.name(), &path, "--batch", &BATCH.to_string(), "--key-file", key])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut output = child.stdout.take().expect("its standard output");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).map(|_| text)
    });
    if let Some(moment) = moment {
        std::thread::sleep(moment);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    } else {
        assert!(child.wait().expect("it ends").success());
    }
    reader.join().expect("the reader ends").expect("its output can be read")
}

/// Checks that the index contains exactly these documents, and that it is sound.
#[track_caller]
fn assert_holds(store: &Store, key: &str, expected: &BTreeSet<String>) {
    let found = cids(store, key);
    assert!(found == *expected, "{} documents are found, {} expected", found.len(), expected.len());
    let stats = json(["stats", &store.name(), "--key-file", key, "--json"]);
    assert_eq!(stats["documents"], expected.len());
    done(["verify", &store.name(), "--key-file", key]);
}

fn cids(store: &Store, key: &str) -> BTreeSet<String> {
    let found = json(["search", &store.name(), "", "--limit", "100000", "--json", "--key-file", key]);
    let hits = found["hits"].as_array().expect("hits");
    assert_eq!(found["total"], hits.len());
    hits.iter().map(|hit| hit["cid"].as_str().expect("a CID").to_owned()).collect()
}

fn assert_is_whole(store: &Store, key: &str, line: &str) {
    let expected: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    let document = json(["get", &store.name(), &Corpus::cid(line), "--key-file", key, "--json"]);
    for field in ["title", "author", "tags", "type", "size", "text"] {
        assert_eq!(document.get(field), expected.get(field), "{field}");
    }
}

/// Returns the number of kills (`CIM_KILLS`) and the random generator of their moments
/// (`CIM_SEED`), and prints its seed.
pub(crate) fn kills(default: usize) -> (usize, StdRng) {
    let kills = number("CIM_KILLS").map_or(default, |kills| usize::try_from(kills).expect("a small number"));
    let seed = number("CIM_SEED").unwrap_or_else(rand::random);
    eprintln!("CIM_SEED={seed}");
    (kills, StdRng::seed_from_u64(seed))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}
