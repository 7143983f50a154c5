//! Seeds of the simulation that every build runs; `cargo xtask simulate` runs as many more as are asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use cim_ipld_persistence::Rule;
use cim_ipld_simulation::simulator;

const SEEDS: u64 = 800;

#[test]
fn every_seed_keeps_what_the_protocol_promises() {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    let outcome = simulator::run(seed, None);
                    assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}: {}", outcome.plan);
                }
            });
        }
    });
}

/// A fault is found again by its seed.
#[test]
fn a_seed_repeats_its_run() {
    let mut acknowledged = 0;
    for seed in 0..30 {
        let (first, second) = (simulator::run(seed, None), simulator::run(seed, None));
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
        acknowledged += first.acknowledged;
    }
    assert!(acknowledged > 100, "runs that write nothing prove nothing");
}

/// Without a rule, a few hundred seeds find what it is for.
#[test]
fn a_removed_rule_is_found() {
    for rule in [Rule::Duplicate, Rule::IgnoreJunk, Rule::ReadBack, Rule::GapRead] {
        let found = (0..1500).find(|seed| !simulator::run(*seed, Some(rule)).violations.is_empty());
        assert!(found.is_some(), "{rule:?}");
    }
}
