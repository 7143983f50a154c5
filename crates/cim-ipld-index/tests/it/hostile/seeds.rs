//! Runs the fuzz targets on their seeds and on mutations of them, and measures their allocations.

use std::fs;
use std::path::Path;

use allocation_counter::measure;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::targets;

/// Seeds are committed; what fuzzing adds to them is not.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds");

#[test]
fn pages_take_hostile_bytes() {
    run("index_pages", targets::pages, 30, 2048 << 10);
}

#[test]
fn queries_take_hostile_bytes() {
    run("index_query", targets::query, 400, 256 << 10);
    run("index_lenient_query", targets::lenient_query, 400, 256 << 10);
}

#[test]
fn documents_take_hostile_bytes() {
    run("index_document", targets::encoded_document, 1500, 4096);
}

#[test]
fn deletes_take_hostile_bytes() {
    run("index_deletes", targets::deletes, 1500, 128 << 10);
}

#[test]
fn cursors_take_hostile_bytes() {
    run("index_cursor", targets::cursor, 400, 64 << 10);
}

#[test]
fn descriptions_of_analyzers_take_hostile_bytes() {
    run("index_analyzer", targets::analyzer, 400, 1 << 20);
}

/// Runs a target on each seed and on mutations of it. At no time may the target hold more than
/// `fixed_bytes` plus 64 bytes per byte of input.
fn run(name: &str, target: fn(&[u8]) -> bool, mutations: u32, fixed_bytes: u64) {
    let mut paths: Vec<_> = fs::read_dir(Path::new(SEEDS).join(name))
        .expect("the seeds' folder")
        .map(|entry| entry.expect("a seed").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 3, "{name} has only {} seeds", paths.len());
    let bounded = |data: &[u8]| {
        let mut is_accepted = false;
        let held = measure(|| is_accepted = target(data));
        let limit = fixed_bytes + 64 * data.len() as u64;
        assert!(held.bytes_max <= limit, "{name}: {} bytes for {} of input: {data:?}", held.bytes_max, data.len());
        is_accepted
    };
    let (mut accepted, mut refused) = (0, 0);
    let seeds: Vec<_> = paths.iter().map(|path| fs::read(path).expect("a seed")).collect();
    // Allocations that a target makes once and keeps do not count.
    for seed in &seeds {
        target(seed);
    }
    for seed in seeds {
        *if bounded(&seed) { &mut accepted } else { &mut refused } += 1;
        let mut runner = TestRunner::new(Config { cases: mutations, failure_persistence: None, ..Config::default() });
        runner
            .run(&mutated(seed), |data| {
                bounded(&data);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(accepted >= 1 && refused >= 1, "of the seeds of {name}, {accepted} are accepted and {refused} refused");
}

/// Makes one to four changes: a flipped bit, a changed byte, a cut, a copy.
fn mutated(seed: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let change = (0u8..5, any::<prop::sample::Index>(), any::<u8>());
    proptest::collection::vec(change, 1..5).prop_map(move |changes| {
        let mut data = seed.clone();
        for (change, at, byte) in changes {
            let at = at.index(data.len() + 1);
            match (change, data.get_mut(at)) {
                (0, Some(own)) => *own ^= 1 << (byte % 8),
                (1, Some(own)) => *own = byte,
                (2, _) => data.truncate(at),
                (3, _) => data.insert(at, byte),
                _ => {
                    let copied = data[at..data.len().min(at + 9)].to_vec();
                    data.extend(copied);
                }
            }
        }
        data
    })
}
