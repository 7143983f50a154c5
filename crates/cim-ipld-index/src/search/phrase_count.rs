//! Counts the occurrences of a phrase in the positions of its words in one document.

use std::cell::RefCell;
use std::thread::LocalKey;

use super::pool::{Pool, Recycle};
use crate::budget::meter::Account;
use crate::error::Result;

/// The maximum size of buffers that are kept for later searches, in elements.
const MAX_KEPT: usize = 1 << 16;

/// A word of a phrase: the index of its list in [`Occurrences::positions`], and its position in the
/// phrase.
pub(super) type Word = (usize, u32);

/// The positions of the words of a phrase in one document, with reusable buffers.
#[derive(Debug, Default)]
pub(super) struct Occurrences {
    /// The positions of each distinct word, in increasing order.
    pub(super) positions: Vec<Vec<u32>>,
    /// The progress of each word of the phrase through its positions.
    reached: Vec<usize>,
    bits: Vec<u64>,
}

impl Recycle for Occurrences {
    fn make() -> Self {
        Self::default()
    }

    fn reset(&mut self) -> bool {
        let positions = self.positions.iter().map(Vec::capacity).sum::<usize>();
        positions + self.positions.len() + self.reached.capacity() + self.bits.capacity() <= MAX_KEPT
    }

    fn pool() -> &'static LocalKey<Pool<Self>> {
        thread_local!(static IDLE: Pool<Occurrences> = const { RefCell::new(Vec::new()) });
        &IDLE
    }
}

impl Occurrences {
    /// Returns the lists for the positions of `distinct` words. The caller must replace their
    /// contents.
    pub(super) fn lists(&mut self, distinct: usize) -> &mut [Vec<u32>] {
        if self.positions.len() < distinct {
            self.positions.resize_with(distinct, Vec::new);
        }
        &mut self.positions[..distinct]
    }

    /// Counts how often all words are at their distances from the word with index `lead`, which
    /// should be the one with the fewest positions.
    pub(super) fn count_exact(&mut self, words: &[Word], lead: usize, account: &Account) -> Result<u32> {
        let span = words.iter().filter_map(|(list, _)| self.positions[*list].last()).max();
        let starts = self.positions[words[lead].0].len();
        // If every word is frequent, 64 starts are compared at once, with a bit set for each word.
        // The bit set then takes less than twice the memory of the positions of the word.
        match span {
            Some(span) if words.len() > 2 && starts as u64 * 64 > u64::from(*span) => {
                let span = *span;
                self.count_by_bits(words, span, account)
            }
            _ => self.count_by_starts(words, lead, account),
        }
    }

    fn count_by_starts(&mut self, words: &[Word], lead: usize, account: &Account) -> Result<u32> {
        let (lead_list, lead_place) = words[lead];
        self.reached.clear();
        self.reached.resize(words.len(), 0);
        let mut count = 0;
        for start in &self.positions[lead_list] {
            let mut compared = 0;
            let is_match = words.iter().zip(&mut self.reached).all(|((list, place), reached)| {
                compared += 1;
                // Damaged lists may have positions up to the maximum.
                let wanted = start.checked_add(*place).and_then(|end| end.checked_sub(lead_place));
                let Some(wanted) = wanted else { return false };
                let positions = &self.positions[*list];
                *reached = first_from(positions, *reached, wanted);
                positions.get(*reached) == Some(&wanted)
            });
            account.charge(compared)?;
            count += u32::from(is_match);
        }
        Ok(count)
    }

    /// Shifts a bit set of the positions of each word by its position in the phrase, and counts the
    /// bits that all have.
    fn count_by_bits(&mut self, words: &[Word], span: u32, account: &Account) -> Result<u32> {
        let base = words.iter().map(|(_, place)| *place).min().unwrap_or_default();
        let len = span as usize / 64 + 1;
        let lists = words.iter().map(|(list, _)| list + 1).max().unwrap_or_default();
        account.charge(len * (words.len() + lists))?;
        account.check_memory((lists + 1) * len * size_of::<u64>())?;
        self.bits.clear();
        self.bits.resize(len * (lists + 1), 0);
        let (matches, bits) = self.bits.split_at_mut(len);
        for (positions, bits) in self.positions[..lists].iter().zip(bits.chunks_exact_mut(len)) {
            for position in positions.iter().filter(|position| **position <= span) {
                bits[*position as usize / 64] |= 1 << (position % 64);
            }
        }
        matches.fill(u64::MAX);
        for (list, place) in words {
            let bits = &bits[list * len..(list + 1) * len];
            let (skip, shift) = ((place - base) as usize / 64, (place - base) % 64);
            for (at, word) in matches.iter_mut().enumerate() {
                let low = bits.get(at + skip).copied().unwrap_or_default() >> shift;
                let high = match shift {
                    0 => 0,
                    _ => bits.get(at + skip + 1).copied().unwrap_or_default() << (64 - shift),
                };
                *word &= low | high;
            }
        }
        Ok(matches.iter().map(|word| word.count_ones()).sum())
    }

    /// Counts how often the words occur in order with at most `slop` other words in between. For
    /// each occurrence of the first word, only the nearest occurrences of the others are
    /// considered.
    pub(super) fn count_in_order(&mut self, words: &[Word], slop: u32, account: &Account) -> Result<u32> {
        let Some(((first, mut previous), rest)) = words.split_first().map(|(first, rest)| (*first, rest)) else {
            return Ok(0);
        };
        let distances: Vec<Word> =
            rest.iter().map(|(list, place)| (*list, place - std::mem::replace(&mut previous, *place))).collect();
        self.reached.clear();
        self.reached.resize(rest.len(), 0);
        let mut count = 0;
        for start in &self.positions[first] {
            let (mut at, mut spare, mut compared) = (*start, slop, 1);
            // The nearest occurrence of each word never moves back from one start to the next.
            let is_match = distances.iter().zip(&mut self.reached).all(|((list, distance), reached)| {
                compared += 1;
                let Some(wanted) = at.checked_add(*distance) else { return false };
                let positions = &self.positions[*list];
                *reached = first_from(positions, *reached, wanted);
                let Some(found) = positions.get(*reached) else { return false };
                at = *found;
                let used = found - wanted;
                let fits = used <= spare;
                spare = spare.saturating_sub(used);
                fits
            });
            account.charge(compared)?;
            count += u32::from(is_match);
        }
        Ok(count)
    }
}

/// Returns the index of the first position at or after `from` that is at least `wanted`, by
/// galloping (Bentley and Yao, "An almost optimal algorithm for unbounded searching", 1976).
#[inline]
fn first_from(positions: &[u32], from: usize, wanted: u32) -> usize {
    let Some(rest) = positions.get(from..) else { return positions.len() };
    let mut end = 1;
    while end < rest.len() && rest[end - 1] < wanted {
        end *= 2;
    }
    let (start, end) = (end / 2, end.min(rest.len()));
    from + start + rest[start..end].partition_point(|position| *position < wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Counts the starts at which every word is at its place.
    fn counted(positions: &[Vec<u32>], words: &[Word]) -> u32 {
        let base = words[0].1;
        let is_at = |start: u32| words.iter().all(|(list, place)| positions[*list].contains(&(start + place - base)));
        (0..2000).filter(|start| is_at(*start)).count() as u32
    }

    fn occurrences(positions: &[Vec<u32>]) -> Occurrences {
        Occurrences { positions: positions.to_vec(), ..Occurrences::default() }
    }

    proptest! {
        #[test]
        fn every_way_of_counting_agrees(
            lists in proptest::collection::vec(proptest::collection::btree_set(0u32..600, 1..550), 1..4),
            words in proptest::collection::vec((0usize..4, 0u32..40), 2..9),
        ) {
            let lists: Vec<Vec<u32>> = lists.into_iter().map(|list| list.into_iter().collect()).collect();
            let mut place = 0;
            let words: Vec<Word> = words
                .into_iter()
                .map(|(list, gap)| {
                    place += gap;
                    (list % lists.len(), place)
                })
                .collect();
            let expected = counted(&lists, &words);
            let account = Account::unlimited();
            let span = *lists.iter().filter_map(|list| list.last()).max().unwrap();
            prop_assert_eq!(occurrences(&lists).count_by_bits(&words, span, &account).unwrap(), expected);
            for lead in 0..words.len() {
                prop_assert_eq!(occurrences(&lists).count_by_starts(&words, lead, &account).unwrap(), expected);
                prop_assert_eq!(occurrences(&lists).count_exact(&words, lead, &account).unwrap(), expected);
            }
        }

        #[test]
        fn galloping_finds_what_a_scan_finds(
            positions in proptest::collection::btree_set(0u32..200, 0..60),
            from in 0usize..70,
            wanted in 0u32..210,
        ) {
            let positions: Vec<u32> = positions.into_iter().collect();
            let expected = (from..positions.len()).find(|index| positions[*index] >= wanted).unwrap_or(positions.len());
            prop_assert_eq!(first_from(&positions, from, wanted), expected.max(from.min(positions.len())));
        }
    }
}
