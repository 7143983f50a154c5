//! Breadth-first search of all states of a specification.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Debug, Display};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A state machine and the properties of its states.
pub(crate) trait Specification {
    type State: Clone + Debug + Eq + Hash;
    type Action: Display;

    fn initial(&self) -> Self::State;

    /// Calls `take` with every action possible in `state` and the resulting state.
    fn actions(&self, state: &Self::State, take: &mut dyn FnMut(Self::Action, Self::State));

    /// Returns whether the successors of `state` need to be searched.
    fn goes_on(&self, state: &Self::State) -> bool;

    fn properties(&self) -> &'static [Property<Self>];
}

/// A named predicate on states.
pub(crate) struct Property<S: Specification + ?Sized> {
    pub(crate) name: &'static str,
    pub(crate) holds: fn(&S, &S::State) -> bool,
}

/// The statistics of a search and the first violation found.
#[derive(Debug)]
pub(crate) struct Report {
    /// Every state that can be reached by this number of actions was checked.
    pub(crate) depth: usize,
    pub(crate) states: usize,
    pub(crate) transitions: u64,
    pub(crate) violation: Option<Violation>,
}

/// A state in which a property does not hold, with a shortest path to it.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) property: &'static str,
    pub(crate) depth: usize,
    pub(crate) trace: Vec<String>,
    pub(crate) state: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "violated after {} actions: {}", self.depth, self.property)?;
        for (number, action) in (1..).zip(&self.trace) {
            writeln!(f, "  {number:2}. {action}")?;
        }
        write!(f, "{}", self.state)
    }
}

/// Checks every state within `depth` actions of the initial one, and stops at the first violation.
pub(crate) fn search<S: Specification + 'static>(specification: &S, depth: usize) -> Report {
    let initial = specification.initial();
    let mut parents = Parents::default();
    parents.insert(fingerprint(&initial), 0);
    let mut report = Report { depth: 0, states: 1, transitions: 0, violation: None };
    let mut frontier = vec![initial];
    for level in 1..=depth {
        let mut next = Vec::new();
        let mut violated: Option<(&'static str, S::State)> = None;
        for state in &frontier {
            let parent = fingerprint(state);
            specification.actions(state, &mut |_, reached| {
                report.transitions += 1;
                let print = fingerprint(&reached);
                if parents.contains_key(&print) {
                    return;
                }
                parents.insert(print, parent);
                let broken =
                    specification.properties().iter().find(|property| !(property.holds)(specification, &reached));
                match broken {
                    Some(property) => drop(violated.get_or_insert((property.name, reached))),
                    None if level < depth && specification.goes_on(&reached) => next.push(reached),
                    None => {}
                }
            });
            if violated.is_some() {
                break;
            }
        }
        report.states = parents.len();
        if let Some((property, state)) = violated {
            let trace = trace(specification, &parents, &state);
            report.violation = Some(Violation { property, depth: level, trace, state: format!("{state:#?}") });
            return report;
        }
        report.depth = level;
        frontier = next;
    }
    report
}

/// Returns the actions of a shortest path to `state`, found by replaying it.
fn trace<S: Specification>(specification: &S, parents: &Parents, state: &S::State) -> Vec<String> {
    let mut way = vec![fingerprint(state)];
    while let Some(parent) = way.last().and_then(|print| parents.get(print)).filter(|parent| **parent != 0) {
        way.push(*parent);
    }
    let mut current = specification.initial();
    let mut actions = Vec::new();
    for print in way.iter().rev().skip(1) {
        let mut step = None;
        specification.actions(&current, &mut |action, reached| {
            if step.is_none() && fingerprint(&reached) == *print {
                step = Some((action.to_string(), reached));
            }
        });
        let Some((action, reached)) = step else { break };
        actions.push(action);
        current = reached;
    }
    actions
}

/// Maps the fingerprint of each state to the fingerprint of the state from which it was first
/// reached, or to 0 for the initial state.
type Parents = HashMap<u64, u64, BuildHasherDefault<Fingerprint>>;

/// A 64-bit keyed hash with a fixed key. Among 10^8 states, the probability of a collision is about
/// 1 in 4000.
fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Uses a fingerprint as its own hash.
#[derive(Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
