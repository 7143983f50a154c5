//! The catalog protocol as an executable specification, and a search through every state that it
//! can reach.
//!
//! [`protocol`] is what each process does; read it beside the protocol's text. Two stores drive it:
//! [`adversary`] shows anything that was ever sealed to anybody at any time, [`honest`] delays,
//! loses acknowledgements, lets puts land late or twice, trims and crashes. [`search`] goes through
//! every state within a number of actions, breadth first, checks named properties in each, and
//! gives a shortest trace to a violation. Each [`rule`] can be removed; [`cases`] lists what is
//! searched and which property rests on which rule.
//!
//! Hashes and seals are perfect here: a digest *is* the order that it stands for. Not modelled:
//! spilled bodies, healing of the manifest's key, cloned machines, page forgery, the encoding of
//! ancestry, pins older than a crash, a bucket that is re-created with revisions of its own.

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

/// Searches every case of `scope`, then with each rule removed, and passes one line of figures for
/// each to `print`.
///
/// Returns whether no case has a violation and each removed rule has the expected one.
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
                print(format!("without {:?}: not true after {depth}: {property}", removal.removed))
            }
            None => print(format!("without {:?}: no violation", removal.removed)),
        }
    }
    is_good
}
