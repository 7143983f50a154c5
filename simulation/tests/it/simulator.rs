//! The seeds of the simulation that every test run checks. `cargo xtask simulate` runs any number
//! of further seeds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use cim_ipld_persistence::Rule;
use cim_ipld_simulation::simulator;

const SEEDS: u64 = 10_000;

#[test]
fn every_seed_keeps_what_the_protocol_promises() {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    let outcome = simulator::run(seed, &[]);
                    assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}: {}", outcome.plan);
                }
            });
        }
    });
}

/// A seed reproduces its run.
#[test]
fn a_seed_repeats_its_run() {
    let mut acknowledged = 0;
    for seed in 0..30 {
        let (first, second) = (simulator::run(seed, &[]), simulator::run(seed, &[]));
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
        acknowledged += first.acknowledged;
    }
    assert!(acknowledged > 100, "runs without writes prove nothing");
}

/// Without a rule, some seed finds the fault that the rule prevents.
#[test]
fn a_removed_rule_is_found() {
    let table = [
        (Rule::IgnoreJunk, "cannot be decrypted as a journal record"),
        (Rule::Duplicate, "a record is applied twice"),
        (Rule::Closed, "a record of a closed writer is applied"),
        (Rule::RecordChain, "attests an order other than the one"),
        (Rule::RecordManifest, "attests a manifest of another branch"),
        (Rule::Generation, "does not descend from the known one"),
        (Rule::ReadBack, "an acknowledged write is not at position"),
        (Rule::CaughtUpRead, "was acknowledged"),
        (Rule::ReachFormer, "the published position went back"),
        (Rule::ExactWatermark, "the documents are"),
        (Rule::TrimDead, "two processes have different orders"),
        (Rule::Pin, "but its pin records"),
    ];
    for (rule, what) in table {
        let breaks = |seed: &u64| simulator::run(*seed, &[rule]).violations.iter().any(|found| found.contains(what));
        assert!(
            (0..1_000).any(|seed| breaks(&seed)),
            "without {rule:?}, no seed reports a violation that contains {what:?}"
        );
    }
}
