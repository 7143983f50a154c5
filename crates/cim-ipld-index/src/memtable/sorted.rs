//! The terms of a memtable, sorted by key, for prefix, wildcard and fuzzy queries.
//!
//! The sorted order is built by the first reader that needs it and shared with the others. Terms
//! that are added later are scanned one by one until there are enough of them to merge into the
//! order.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::key::Key;
use super::terms::Terms;
use crate::automaton::{AcceptStatus, Automaton};

/// Up to this many terms are left unsorted and are scanned, or 1/64 of the number of sorted terms
/// if that is more.
const MAX_UNSORTED: usize = 512;

/// The sorted terms, built on first use.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    order: ArcSwapOption<TermOrder>,
}

/// Terms in increasing order of their keys.
#[derive(Debug, Default)]
struct TermOrder {
    terms: Vec<u32>,
    /// The [first bytes](Terms::first_bytes) of each key.
    first_bytes: Vec<u64>,
}

impl Sorted {
    pub(super) fn bytes(&self) -> usize {
        self.order.load().as_ref().map_or(0, |order| order.bytes())
    }

    /// Visits the keys that start with `prefix`, with their terms.
    pub(super) fn visit(&self, terms: &Terms, prefix: &[u8], mut each: impl FnMut(&[u8], u32)) {
        let len = terms.len();
        let order = self.order(terms, len);
        let mut key = Vec::new();
        let mut take = |term: u32| {
            terms.put_key(term, &mut key);
            let is_wanted = key.starts_with(prefix);
            if is_wanted {
                each(&key, term);
            }
            is_wanted
        };
        let start = order.seek(terms, 0, prefix);
        order.terms[start..].iter().copied().take_while(|term| take(*term)).for_each(drop);
        for term in order.terms.len() as u32..len {
            take(term);
        }
    }

    /// Returns all terms in increasing order of their keys.
    pub(super) fn all(&self, terms: &Terms) -> Vec<u32> {
        let len = terms.len();
        let known = self.order(terms, len);
        match known.terms.len() < len as usize {
            true => known.merged(terms, len).terms,
            false => known.terms.clone(),
        }
    }

    /// Visits the terms that an automaton accepts.
    pub(super) fn walk(&self, terms: &Terms, automaton: &mut impl Automaton, mut each: impl FnMut(u32)) {
        let len = terms.len();
        let order = self.order(terms, len);
        let mut key = Vec::new();
        let mut at = 0;
        while let Some((term, first_bytes)) = order.terms.get(at).zip(order.first_bytes.get(at)) {
            at += 1;
            match look(automaton, terms, (*term, *first_bytes), &mut key) {
                AcceptStatus::Accept => each(*term),
                AcceptStatus::Reject => {}
                AcceptStatus::Seek => at = order.seek(terms, at, automaton.target()),
                AcceptStatus::End => break,
            }
        }
        for term in order.terms.len() as u32..len {
            if look(automaton, terms, (term, terms.first_bytes(term)), &mut key) == AcceptStatus::Accept {
                each(term);
            }
        }
    }

    /// Returns the sorted order of all but a bounded number of the first `len` terms.
    fn order(&self, terms: &Terms, len: u32) -> Arc<TermOrder> {
        let known = self.order.load_full().unwrap_or_default();
        if (len as usize).saturating_sub(known.terms.len()) <= MAX_UNSORTED.max(known.terms.len() / 64) {
            return known;
        }
        let order = Arc::new(known.merged(terms, len));
        self.order.store(Some(Arc::clone(&order)));
        order
    }
}

/// Runs the automaton on a term, given the first bytes of its key. The key itself is read only if
/// its first bytes do not decide.
fn look(
    automaton: &mut impl Automaton,
    terms: &Terms,
    (term, first_bytes): (u32, u64),
    key: &mut Vec<u8>,
) -> AcceptStatus {
    // Trailing zeros may be padding; the bytes before them are a prefix of the key in any case.
    let len = 8 - first_bytes.trailing_zeros() as usize / 8;
    automaton.accept_prefix(&first_bytes.to_be_bytes()[..len]).unwrap_or_else(|| {
        terms.put_key(term, key);
        automaton.accept(key)
    })
}

impl TermOrder {
    fn bytes(&self) -> usize {
        self.terms.capacity() * size_of::<u32>() + self.first_bytes.capacity() * size_of::<u64>()
    }

    /// Returns the first index at or after `from` whose key is at least `target`.
    fn seek(&self, terms: &Terms, from: usize, target: &[u8]) -> usize {
        let wanted = Key::new(target).head.swap_bytes();
        let start = from + gallop(&self.first_bytes[from..], |bytes| bytes < wanted);
        let alike = gallop(&self.first_bytes[start..], |bytes| bytes == wanted);
        let mut key = Vec::new();
        let below = self.terms[start..start + alike].partition_point(|term| {
            terms.put_key(*term, &mut key);
            key.as_slice() < target
        });
        start + below
    }

    /// Returns the sorted order of the first `len` terms, extending this one.
    fn merged(&self, terms: &Terms, len: u32) -> Self {
        let compare = |a: (u64, u32), b: (u64, u32)| a.0.cmp(&b.0).then_with(|| terms.compare_rests(a.1, b.1));
        let mut late: Vec<(u64, u32)> =
            (self.terms.len() as u32..len).map(|term| (terms.first_bytes(term), term)).collect();
        late.sort_unstable_by(|a, b| compare(*a, *b));
        let mut merged =
            Self { terms: Vec::with_capacity(len as usize), first_bytes: Vec::with_capacity(len as usize) };
        let mut push = |(first_bytes, term): (u64, u32)| {
            merged.first_bytes.push(first_bytes);
            merged.terms.push(term);
        };
        let mut late = late.into_iter().peekable();
        for known in self.first_bytes.iter().copied().zip(self.terms.iter().copied()) {
            while let Some(new) = late.next_if(|new| compare(*new, known).is_lt()) {
                push(new);
            }
            push(known);
        }
        late.for_each(push);
        merged
    }
}

/// Returns the length of the prefix that satisfies a predicate which is false from some element on.
fn gallop(elements: &[u64], passes: impl Fn(u64) -> bool) -> usize {
    let (mut low, mut high, mut step) = (0, 0, 1);
    while high < elements.len() && passes(elements[high]) {
        low = high + 1;
        high += step;
        step *= 2;
    }
    let high = high.min(elements.len());
    low + elements[low..high].partition_point(|element| passes(*element))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::automaton::PrefixAutomaton;
    use proptest::prelude::*;

    /// Accepts the keys of a list, and seeks from one to the next.
    struct Listed<'a> {
        wanted: &'a BTreeSet<&'a [u8]>,
        target: Vec<u8>,
        /// Whether the automaton decides by prefixes and seeks, or examines every key.
        is_helpful: bool,
    }

    impl Automaton for Listed<'_> {
        fn accept(&mut self, key: &[u8]) -> AcceptStatus {
            match self.wanted.range(key..).next() {
                Some(next) if *next == key => AcceptStatus::Accept,
                _ if !self.is_helpful => AcceptStatus::Reject,
                None => AcceptStatus::End,
                Some(next) => {
                    self.target = next.to_vec();
                    AcceptStatus::Seek
                }
            }
        }

        fn accept_prefix(&mut self, beginning: &[u8]) -> Option<AcceptStatus> {
            let is_start = self.wanted.range(beginning..).next().is_some_and(|next| next.starts_with(beginning));
            (self.is_helpful && !is_start).then(|| self.accept(beginning))
        }

        fn target(&self) -> &[u8] {
            &self.target
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn an_automaton_finds_every_key_it_accepts(
            keys in proptest::collection::vec("[ab][abcé\\u{0}]{0,10}", 1..3000),
            others in proptest::collection::vec("[ab][abcé\\u{0}]{0,10}", 0..20),
            prefix in "[ab][abc]{0,9}",
            is_helpful in any::<bool>(),
        ) {
            let (terms, sorted) = (Terms::new(), Sorted::default());
            let mut known: Vec<&[u8]> = Vec::new();
            for (count, key) in keys.iter().enumerate() {
                let (term, is_new) = terms.find_or_insert(&Key::new(key.as_bytes())).unwrap();
                if is_new {
                    prop_assert_eq!(term as usize, known.len());
                    known.push(key.as_bytes());
                }
                if count % 1000 == 500 || count + 1 == keys.len() {
                    let some = keys.iter().step_by(17).chain(&others).map(String::as_bytes).collect();
                    let mut automaton = Listed { wanted: &some, target: Vec::new(), is_helpful };
                    prop_assert_eq!(found(&terms, &sorted, &mut automaton), places(&known, |key| some.contains(key)));
                    let started = places(&known, |key| key.starts_with(prefix.as_bytes()));
                    prop_assert_eq!(found(&terms, &sorted, &mut PrefixAutomaton(prefix.as_bytes())), started, "{}*", prefix);
                }
            }
        }
    }

    fn places(known: &[&[u8]], is_wanted: impl Fn(&[u8]) -> bool) -> Vec<u32> {
        (0..).zip(known).filter(|(_, key)| is_wanted(key)).map(|(term, _)| term).collect()
    }

    fn found(terms: &Terms, sorted: &Sorted, automaton: &mut impl Automaton) -> Vec<u32> {
        let mut found = Vec::new();
        sorted.walk(terms, automaton, |term| found.push(term));
        found.sort_unstable();
        found
    }

    #[test]
    fn a_prefix_finds_its_terms_in_order_or_not() {
        let (terms, sorted) = (Terms::new(), Sorted::default());
        let key = |n: u32| format!("{}-{n:05}-and more than eight bytes", n % 7).into_bytes();
        for n in 0..20_000u32 {
            terms.find_or_insert(&Key::new(&key(n))).unwrap();
            if n % 4_500 == 17 || n == 19_999 {
                let keys_of = |order: Vec<u32>| order.into_iter().map(key).collect::<Vec<_>>();
                let all = keys_of(sorted.all(&terms));
                assert!(all.len() == n as usize + 1 && all.is_sorted());
                for prefix in ["", "3", "3-0", "3-000", "3-00010-and more", "9", "~"] {
                    let mut found = Vec::new();
                    sorted.visit(&terms, prefix.as_bytes(), |key, term| found.push((key.to_vec(), term)));
                    found.sort();
                    let mut expected: Vec<_> = (0..=n).map(|term| (key(term), term)).collect();
                    expected.retain(|(key, _)| key.starts_with(prefix.as_bytes()));
                    expected.sort();
                    assert_eq!(found, expected, "{prefix} among {n}");
                }
            }
        }
        assert!(sorted.bytes() >= 4 * 10_000, "no order was made");
    }
}
