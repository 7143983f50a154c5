//! The most points that the postings of a block have, by what its list states.

use super::{Cursor, List};
use crate::score::{Points, TermScorer};

/// Stands for a bound that was not asked for yet.
const UNKNOWN: Points = Points::MAX;
/// The bounds of more blocks than these are not worth their time.
const MANY_BLOCKS: usize = 8;

impl Cursor<'_> {
    /// Finds the most points of the postings of every block, which [`uppers`](Self::uppers) then
    /// tells.
    pub(crate) fn bound(&mut self, scorer: &TermScorer) {
        self.uppers.clear();
        match &self.list {
            List::Inline { .. } => self.uppers.push(scorer.ceiling()),
            List::Segment { .. } => self.uppers.extend(self.buffer.directory.bounds().map(|bound| scorer.upper(bound))),
            List::Memtable(list) => self.uppers.extend(list.blocks.iter().map(|block| scorer.upper(block.bound))),
        }
    }

    /// As [`bound`](Self::bound), but each block's only when [`upper`](Self::upper) is asked for
    /// it.
    pub(crate) fn bound_each(&mut self, scorer: &TermScorer) {
        self.uppers.clear();
        self.uppers.resize(self.last.len(), UNKNOWN);
        self.scorer = Some(scorer.clone());
    }

    /// Returns the most points of the postings of a block.
    #[inline]
    pub(crate) fn upper(&mut self, block: usize) -> Points {
        let known = self.uppers[block];
        let Some(scorer) = self.scorer.as_ref().filter(|_| known == UNKNOWN) else { return known };
        let upper = match &self.list {
            List::Inline { .. } => scorer.ceiling(),
            List::Segment { .. } => scorer.upper(self.buffer.directory.bound(block)),
            List::Memtable(list) => scorer.upper(list.blocks[block].bound),
        };
        self.uppers[block] = upper;
        upper
    }

    /// As [`upper_within`](Self::upper_within), for a range that may be long: of many blocks no
    /// bound is asked for.
    #[inline]
    pub(crate) fn upper_about(&mut self, first: u32, last: u32) -> Option<Points> {
        if !self.seek_block(first) {
            return None;
        }
        let beyond = self.block + MANY_BLOCKS;
        if self.last.get(beyond).is_some_and(|end| *end < last) {
            return Some(self.scorer.as_ref().map_or(UNKNOWN, TermScorer::ceiling));
        }
        let mut upper = self.upper(self.block);
        let mut block = self.block + 1;
        while block < self.last.len() && self.last[block - 1] < last {
            upper = upper.max(self.upper(block));
            block += 1;
        }
        Some(upper)
    }

    /// Returns the most points of the postings of every block, once they are
    /// [bounded](Self::bound).
    #[inline]
    pub(crate) fn uppers(&self) -> &[Points] {
        &self.uppers
    }

    /// Moves to the first block that may hold a document from `first` on, and returns the most
    /// points of any document in `first..=last`; `None` after the list's last document.
    #[inline]
    pub(crate) fn upper_within(&mut self, first: u32, last: u32) -> Option<Points> {
        if !self.seek_block(first) {
            return None;
        }
        let mut upper = self.uppers[self.block];
        let mut block = self.block + 1;
        while block < self.last.len() && self.last[block - 1] < last {
            upper = upper.max(self.uppers[block]);
            block += 1;
        }
        Some(upper)
    }
}
