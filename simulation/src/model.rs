//! The catalog protocol as an executable specification, and an exhaustive search of its states.
//!
//! [`protocol`] specifies each process; read it together with docs/protocol.md. Two stores drive
//! it: [`adversary`] shows any sealed object to any process at any time; [`honest`] loses
//! acknowledgements, stores puts late or twice and lets watches lag, while processes trim the log
//! and crash. [`search`] visits every state within a number of actions, breadth first, checks named
//! properties, and returns a shortest trace to a violation. Each [`rule`] can be removed; [`cases`]
//! lists the searches and the property that depends on each rule.
//!
//! Hashes and seals are perfect: a digest *is* the order that it represents. Not modelled are
//! spilled bodies, repair of the manifest entry, cloned machines, page forgery, the encoding of the
//! ancestry, and a pin that lacks the last acknowledged writes (a model process stores its pin at
//! every acknowledgement).

mod adversary;
mod cases;
mod common;
mod honest;
mod order;
mod protocol;
mod rule;
mod search;
#[cfg(test)]
mod tests;

use std::time::Instant;

pub use cases::Scope;

/// Runs every search of `scope`, then one with each rule removed, and passes a line of statistics
/// for each to `print`.
///
/// Returns whether the searches in `cases::complete` found no violation, and each search in
/// `cases::REMOVALS` found the expected one.
pub fn check(scope: Scope, mut print: impl FnMut(String)) -> bool {
    let mut is_good = true;
    for case in cases::complete(scope) {
        let start = Instant::now();
        let report = case.store.search(case.depth);
        is_good &= report.violation.is_none();
        let seconds = start.elapsed().as_secs_f64();
        let (states, transitions) = (report.states, report.transitions);
        print(format!(
            "{}: depth {}, {states} states, {transitions} transitions, {seconds:.1} s",
            case.name, report.depth
        ));
        if let Some(violation) = report.violation {
            print(violation.to_string());
        }
    }
    for removal in cases::REMOVALS {
        let violation = removal.search().violation;
        let found = violation.as_ref().map(|violation| (violation.property, violation.depth));
        is_good &= found == Some((removal.property, removal.depth));
        match found {
            Some((property, depth)) => {
                print(format!("without {:?}: violated after {depth} actions: {property}", removal.removed))
            }
            None => print(format!("without {:?}: no violation", removal.removed)),
        }
    }
    is_good
}
