//! Accumulates the points of the documents of one window and selects the competitive ones.
//!
//! The number of postings per word of bits and the outcome of comparisons are unpredictable, so
//! these loops have no branches that depend on them.

use std::cell::RefCell;
use std::thread::LocalKey;

use super::super::pool::{Pool, Pooled, Recycle};
use super::super::window::{WINDOW, WINDOW_WORDS};
use crate::encoding::docset::BitSet;
use crate::score::Points;

const PLACES: usize = WINDOW as usize;

/// Sums of points by the document's place in the window.
pub(super) struct Accumulator {
    points: [Points; PLACES],
    mask: [u64; WINDOW_WORDS],
    /// The places that are set in the mask, in order of insertion.
    touched: [u16; PLACES],
    count: usize,
    /// The places and sums of the last selection.
    found: [(u16, Points); PLACES],
}

/// The condition of a selection.
pub(super) struct Threshold<'r> {
    pub(super) points: Points,
    pub(super) allowed: Option<&'r BitSet>,
}

impl Accumulator {
    pub(super) fn new() -> Pooled<Self> {
        Pooled::new()
    }

    /// Adds the postings of documents from `start` on that have at least `need` points. Returns
    /// their number.
    #[inline]
    pub(super) fn add_all(&mut self, start: u32, documents: &[u32], points: &[Points], need: Points) -> u64 {
        let mut added = 0;
        let mut count = self.count;
        for (document, points) in documents.iter().zip(points) {
            let place = document.wrapping_sub(start) as usize % PLACES;
            let is_kept = u64::from(*points >= need);
            added += is_kept;
            let word = &mut self.mask[place / 64];
            let is_new = !(*word >> (place % 64)) & is_kept;
            *word |= is_kept << (place % 64);
            self.points[place] += *points * is_kept as Points;
            self.touched[count % PLACES] = place as u16;
            count += is_new as usize;
        }
        self.count = count;
        added
    }

    /// Adds points to a document only if it has been added before.
    #[inline]
    pub(super) fn add_to_set(&mut self, start: u32, document: u32, points: impl FnOnce() -> Points) {
        let place = document.wrapping_sub(start) as usize % PLACES;
        if self.mask[place / 64] >> (place % 64) & 1 == 1 {
            self.points[place] += points();
        }
    }

    /// Removes all sums. Returns the number of those that pass the filter, and those that also
    /// reach the threshold, in document order if `in_order` is set.
    pub(super) fn select(&mut self, start: u32, threshold: &Threshold<'_>, in_order: bool) -> (u64, &[(u16, Points)]) {
        let (mut found, mut passed) = (0, self.count as u64);
        let Self { points, mask, touched, count, found: places } = self;
        match threshold.allowed {
            None => {
                for place in &touched[..*count] {
                    let at = usize::from(*place) % PLACES;
                    let sum = std::mem::take(&mut points[at]);
                    mask[at / 64] = 0;
                    places[found % PLACES] = (*place, sum);
                    found += usize::from(sum >= threshold.points);
                }
            }
            Some(allowed) => {
                passed = 0;
                for place in &touched[..*count] {
                    let at = usize::from(*place) % PLACES;
                    let sum = std::mem::take(&mut points[at]);
                    mask[at / 64] = 0;
                    let is_allowed = usize::from(allowed.contains(start + u32::from(*place)));
                    passed += is_allowed as u64;
                    places[found % PLACES] = (*place, sum);
                    found += usize::from(sum >= threshold.points) & is_allowed;
                }
            }
        }
        *count = 0;
        if in_order {
            places[..found].sort_unstable_by_key(|(place, _)| *place);
        }
        (passed, &places[..found])
    }
}

thread_local! {
    static POOL: Pool<Accumulator> = const { RefCell::new(Vec::new()) };
}

impl Recycle for Accumulator {
    fn make() -> Self {
        Self { points: [0; PLACES], mask: [0; WINDOW_WORDS], touched: [0; PLACES], count: 0, found: [(0, 0); PLACES] }
    }

    fn reset(&mut self) -> bool {
        // A failed search may have left data behind.
        self.select(0, &Threshold { points: 0, allowed: None }, false);
        true
    }

    fn pool() -> &'static LocalKey<Pool<Self>> {
        &POOL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_are_those_of_a_map(
            lists in proptest::collection::vec(proptest::collection::btree_map(0u32..300, 0u32..9, 0..80), 0..5),
            (need, threshold) in (0u32..4, 0u32..12),
            allowed in proptest::option::of(proptest::collection::btree_set(0u32..300, 0..200)),
        ) {
            const START: u32 = 8192;
            let mut expected = std::collections::BTreeMap::new();
            let mut accumulator = Accumulator::new();
            for list in &lists {
                let (documents, points): (Vec<u32>, Vec<Points>) = list.iter().map(|(id, p)| (START + id, *p)).unzip();
                let added = accumulator.add_all(START, &documents, &points, need);
                prop_assert_eq!(added, points.iter().filter(|points| **points >= need).count() as u64);
                list.iter().filter(|(_, p)| **p >= need).for_each(|(id, p)| *expected.entry(*id).or_insert(0) += p);
            }
            for id in [0, 7, 299] {
                accumulator.add_to_set(START, START + id, || 1);
                expected.entry(id).and_modify(|sum| *sum += 1);
            }
            let set = allowed.as_ref().map(|ids| {
                let mut set = BitSet::empty(START + 300);
                ids.iter().for_each(|id| set.insert(START + id));
                set
            });
            expected.retain(|id, _| allowed.as_ref().is_none_or(|ids| ids.contains(id)));
            let wanted = Threshold { points: threshold, allowed: set.as_ref() };
            let (passed, found) = accumulator.select(START, &wanted, true);
            prop_assert_eq!(passed, expected.len() as u64);
            let expected: Vec<_> = expected.iter().filter(|(_, sum)| **sum >= threshold).collect();
            prop_assert_eq!(found.iter().map(|(id, _)| u32::from(*id)).collect::<Vec<_>>(), expected.iter().map(|e| *e.0).collect::<Vec<_>>());
            prop_assert_eq!(found.iter().map(|f| f.1).collect::<Vec<_>>(), expected.iter().map(|e| *e.1).collect::<Vec<_>>());
            // Nothing is left for the next window.
            prop_assert_eq!(accumulator.select(0, &Threshold { points: 0, allowed: None }, false), (0, &[][..]));
        }
    }
}
