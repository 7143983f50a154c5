//! Counts the work of a search, stops it at a limit, and observes its cancellation.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use super::limits::{Cancellation, SearchLimits};
use crate::automaton::{AcceptStatus, Automaton};
use crate::error::{Error, ErrorKind, Result};

/// The number of units between two looks at the cancellation and the clock.
const INTERVAL: u64 = 1 << 14;

/// A part of a search, for error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Part {
    /// The query as a whole.
    #[default]
    Query,
    /// The word, prefix, pattern or fuzzy word of a leaf, by its index.
    Leaf(usize),
    /// A phrase, by the leaf of its first word.
    Phrase(usize),
    /// A filter, by the index of its set.
    Set(usize),
    Facets,
    /// The snippets and the documents of the hits.
    Hits,
}

/// The meter of one search.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: SearchLimits,
    cancellation: Option<Cancellation>,
    started: Option<Instant>,
    /// The units that may be spent before the next look at the cancellation and the clock.
    slice: Cell<u64>,
    /// The units that may be spent after this slice.
    rest: Cell<u64>,
    expansions: Cell<u64>,
    memory_bytes: Cell<u64>,
    /// The part that is charged for work whose caller does not know it.
    current: Cell<Part>,
    /// The part that exceeded a limit.
    exceeded: Cell<Part>,
}

impl Meter {
    pub(crate) fn new(limits: &SearchLimits, cancellation: Option<Cancellation>) -> Rc<Self> {
        let slice = limits.work.min(INTERVAL);
        #[cfg_attr(
            not(test),
            expect(clippy::disallowed_methods, reason = "only a search with a deadline reads a clock")
        )]
        let started = limits.deadline.map(|_| Instant::now());
        Rc::new(Self {
            limits: limits.clone(),
            cancellation,
            started,
            slice: Cell::new(slice),
            rest: Cell::new(limits.work - slice),
            expansions: Cell::new(limits.expansions),
            memory_bytes: Cell::new(limits.memory_bytes),
            current: Cell::default(),
            exceeded: Cell::default(),
        })
    }

    /// Returns a meter without limits.
    pub(crate) fn unlimited() -> Rc<Self> {
        Self::new(&SearchLimits::unlimited(), None)
    }

    /// Charges work to a part.
    #[inline]
    pub(crate) fn charge(&self, part: Part, units: u64) -> Result<()> {
        match self.slice.get().checked_sub(units) {
            Some(left) => {
                self.slice.set(left);
                Ok(())
            }
            None => self.next_slice(part, units),
        }
    }

    /// Sets the part for [`charge_current`](Self::charge_current).
    pub(crate) fn enter(&self, part: Part) {
        self.current.set(part);
    }

    /// Charges work to the part that was entered last.
    #[inline]
    pub(crate) fn charge_current(&self, units: u64) -> Result<()> {
        self.charge(self.current.get(), units)
    }

    /// Charges for working memory that is held until the search ends.
    pub(crate) fn hold(&self, part: Part, bytes: u64) -> Result<()> {
        self.check_memory(part, bytes)?;
        self.memory_bytes.set(self.memory_bytes.get() - bytes);
        Ok(())
    }

    /// Like [`hold`](Self::hold), for the part that was entered last.
    pub(crate) fn hold_current(&self, bytes: u64) -> Result<()> {
        self.hold(self.current.get(), bytes)
    }

    /// Fails if the limit does not leave this much memory.
    #[inline]
    pub(crate) fn check_memory(&self, part: Part, bytes: u64) -> Result<()> {
        match bytes > self.memory_bytes.get() {
            true => Err(self.refuse(part, format_args!("{} bytes of memory (memory_bytes)", self.limits.memory_bytes))),
            false => Ok(()),
        }
    }

    /// Charges for the words to which a part expands.
    pub(crate) fn expand(&self, words: u64) -> Result<()> {
        match self.expansions.get().checked_sub(words) {
            Some(left) => {
                self.expansions.set(left);
                Ok(())
            }
            None => {
                let limit = format_args!("{} words of the index (expansions)", self.limits.expansions);
                Err(self.refuse(self.current.get(), limit))
            }
        }
    }

    /// Returns the maximum number of lookups.
    pub(crate) fn clauses(&self) -> u64 {
        self.limits.clauses
    }

    /// Returns the part that exceeded a limit.
    pub(crate) fn exceeded(&self) -> Part {
        self.exceeded.get()
    }

    /// Returns an error if the search is cancelled or its deadline has passed.
    pub(crate) fn look(&self, part: Part) -> Result<()> {
        if self.cancellation.as_ref().is_some_and(Cancellation::is_cancelled) {
            return Err(Error::new(ErrorKind::Cancelled, "the search was cancelled"));
        }
        match self.limits.deadline.zip(self.started) {
            Some((deadline, started)) if started.elapsed() >= deadline => {
                Err(self.refuse(part, format_args!("{deadline:?} (deadline)")))
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn next_slice(&self, part: Part, units: u64) -> Result<()> {
        self.look(part)?;
        let Some(left) = (self.slice.get() + self.rest.get()).checked_sub(units) else {
            return Err(self.refuse(part, format_args!("{} units of work (work)", self.limits.work)));
        };
        let slice = left.min(INTERVAL);
        self.slice.set(slice);
        self.rest.set(left - slice);
        Ok(())
    }

    #[cold]
    fn refuse(&self, part: Part, limit: std::fmt::Arguments<'_>) -> Error {
        self.exceeded.set(part);
        Error::new(ErrorKind::QueryTooExpensive, format!("needs more than the limit of {limit}"))
    }
}

/// The account of one part.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    meter: Rc<Meter>,
    part: Part,
}

impl Account {
    pub(crate) fn new(meter: &Rc<Meter>, part: Part) -> Self {
        Self { meter: Rc::clone(meter), part }
    }

    /// Creates an account without limits.
    pub(crate) fn unlimited() -> Self {
        Self::new(&Meter::unlimited(), Part::Query)
    }

    #[inline]
    pub(crate) fn charge(&self, units: usize) -> Result<()> {
        self.meter.charge(self.part, units as u64)
    }

    pub(crate) fn hold(&self, bytes: usize) -> Result<()> {
        self.meter.hold(self.part, bytes as u64)
    }

    #[inline]
    pub(crate) fn check_memory(&self, bytes: usize) -> Result<()> {
        self.meter.check_memory(self.part, bytes as u64)
    }
}

/// An automaton that charges for the keys that it examines, and stops at a limit.
pub(crate) struct Metered<'m, A> {
    automaton: A,
    meter: &'m Meter,
    /// The keys that have not been charged yet.
    keys: u64,
    /// The units for each key.
    units: u64,
    result: Result<()>,
}

impl<'m, A: Automaton> Metered<'m, A> {
    /// The number of keys that are charged at once.
    const BATCH: u64 = 256;

    pub(crate) fn new(automaton: A, units: u64, meter: &'m Meter) -> Self {
        Self { automaton, meter, keys: 0, units, result: Ok(()) }
    }

    /// Returns the error if the automaton was stopped at a limit.
    pub(crate) fn finish(self) -> Result<()> {
        self.result?;
        self.meter.charge_current(self.keys * self.units)
    }

    #[inline]
    fn count(&mut self) -> Option<AcceptStatus> {
        self.keys += 1;
        if self.keys >= Self::BATCH && self.result.is_ok() {
            self.result = self.meter.charge_current(std::mem::take(&mut self.keys) * self.units);
        }
        self.result.is_err().then_some(AcceptStatus::End)
    }
}

impl<A: Automaton> Automaton for Metered<'_, A> {
    #[inline]
    fn accept(&mut self, key: &[u8]) -> AcceptStatus {
        match self.count() {
            Some(end) => end,
            None => self.automaton.accept(key),
        }
    }

    #[inline]
    fn accept_prefix(&mut self, beginning: &[u8]) -> Option<AcceptStatus> {
        match self.count() {
            Some(end) => Some(end),
            None => self.automaton.accept_prefix(beginning),
        }
    }

    fn target(&self) -> &[u8] {
        self.automaton.target()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn exactly_the_limit_may_be_spent() {
        for (limit, step) in [(0, 1), (1, 1), (100, 7), (INTERVAL, 1), (3 * INTERVAL + 5, 128), (1 << 20, 1 << 19)] {
            let meter = Meter::new(&SearchLimits::default().work(limit), None);
            let mut spent = 0;
            let error = loop {
                match meter.charge(Part::Leaf(7), step) {
                    Ok(()) => spent += step,
                    Err(error) => break error,
                }
            };
            assert_eq!(spent, limit / step * step, "{limit} {step}");
            assert_eq!((error.kind(), meter.exceeded()), (ErrorKind::QueryTooExpensive, Part::Leaf(7)));
        }
    }

    #[test]
    fn a_cancelled_search_stops_within_an_interval() {
        for wanted in 1..5 {
            let looks = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&looks);
            let cancellation = Cancellation::when(move || counted.fetch_add(1, Ordering::Relaxed) + 1 == wanted);
            let meter = Meter::new(&SearchLimits::default(), Some(cancellation));
            let mut spent = 0;
            let error = loop {
                match meter.charge(Part::Query, 100) {
                    Ok(()) => spent += 100,
                    Err(error) => break error,
                }
            };
            assert_eq!((error.kind(), looks.load(Ordering::Relaxed)), (ErrorKind::Cancelled, wanted));
            assert!(spent <= wanted * (INTERVAL + 100), "{spent}");
        }
    }

    #[test]
    fn memory_and_expansions_and_time_are_limited() {
        let limits = SearchLimits::default().memory_bytes(100).expansions(10).deadline(Duration::ZERO);
        let meter = Meter::new(&limits, None);
        meter.hold(Part::Query, 60).unwrap();
        meter.check_memory(Part::Query, 40).unwrap();
        meter.hold(Part::Query, 40).unwrap();
        assert!(meter.check_memory(Part::Set(1), 1).unwrap_err().to_string().contains("100 bytes"));
        meter.expand(10).unwrap();
        assert!(meter.expand(1).unwrap_err().to_string().contains("10 words"));
        meter.charge(Part::Query, INTERVAL).unwrap();
        assert!(meter.charge(Part::Query, 1).unwrap_err().to_string().contains("deadline"));
    }
}
