//! Runs the searches of the test scope on two threads.

use std::thread;

use super::cases::{self, Case, REMOVALS, Scope};
use super::rule::Rule;
use super::search::{Property, Specification, search};

#[test]
fn the_protocol_keeps_every_property() {
    let cases = cases::complete(Scope::Test);
    let (one, two): (Vec<_>, Vec<_>) = cases.iter().enumerate().partition(|(number, _)| number % 2 == 0);
    thread::scope(|scope| {
        scope.spawn(|| one.iter().for_each(|(_, case)| holds(case)));
        scope.spawn(|| two.iter().for_each(|(_, case)| holds(case)));
    });
}

fn holds(case: &Case) {
    let report = case.store.search(case.depth);
    if let Some(violation) = report.violation {
        panic!("{}: {violation}", case.name);
    }
    assert_eq!(report.depth, case.depth, "{}", case.name);
}

#[test]
fn each_removed_rule_breaks_a_property() {
    for removal in REMOVALS {
        let report = removal.search();
        let Some(violation) = report.violation else { panic!("{:?}: no violation", removal.removed) };
        assert_eq!((violation.property, violation.depth), (removal.property, removal.depth), "{violation}");
        assert_eq!(violation.trace.len(), violation.depth, "{violation}");
    }
}

#[test]
fn every_rule_has_a_removal() {
    for rule in Rule::ALL {
        assert!(REMOVALS.iter().any(|removal| removal.removed.contains(rule)), "{rule:?}");
    }
}

/// Counts up and down between 0 and 9.
struct Counter;

impl Specification for Counter {
    type State = u8;
    type Action = &'static str;

    fn initial(&self) -> u8 {
        3
    }

    fn actions(&self, state: &u8, take: &mut dyn FnMut(&'static str, u8)) {
        if *state > 0 {
            take("down", state - 1);
        }
        if *state < 9 {
            take("up", state + 1);
        }
    }

    fn goes_on(&self, _: &u8) -> bool {
        true
    }

    fn properties(&self) -> &'static [Property<Self>] {
        &[Property { name: "it stays below 7", holds: |_, state| *state < 7 }]
    }
}

#[test]
fn a_search_finds_the_shortest_way_to_a_violation() {
    let report = search(&Counter, 3);
    assert_eq!((report.depth, report.states, report.transitions), (3, 7, 10));
    let violation = search(&Counter, 9).violation.expect("7 is four steps away");
    assert_eq!((violation.property, violation.trace), ("it stays below 7", vec!["up".to_owned(); 4]));
}
