//! Upper bounds on the points of the postings in a block.

use super::{Cursor, List};
use crate::score::{Points, TermScorer};

/// A bound that has not been computed yet.
const UNKNOWN: Points = Points::MAX;
/// For a range of more blocks than this, the list's bound is used instead of the blocks' bounds.
const MANY_BLOCKS: usize = 8;

impl Cursor<'_> {
    /// Computes the bound of every block, which [`uppers`](Self::uppers) then returns.
    pub(crate) fn bound(&mut self, scorer: &TermScorer) {
        self.uppers.clear();
        match &self.list {
            List::Inline { .. } => self.uppers.push(scorer.ceiling()),
            List::Segment { .. } => self.uppers.extend(self.buffer.directory.bounds().map(|bound| scorer.upper(bound))),
            List::Memtable(list) => self.uppers.extend(list.blocks.iter().map(|block| scorer.upper(block.bound))),
        }
    }

    /// Like [`bound`](Self::bound), but computes the bound of a block when [`upper`](Self::upper)
    /// first needs it.
    pub(crate) fn bound_each(&mut self, scorer: &TermScorer) {
        self.uppers.clear();
        self.uppers.resize(self.last.len(), UNKNOWN);
        self.scorer = Some(scorer.clone());
    }

    /// Returns the bound of a block.
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

    /// Like [`upper_within`](Self::upper_within), but for a range of many blocks it returns the
    /// list's bound without computing the bounds of the blocks.
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

    /// Returns the bounds of all blocks, after [`bound`](Self::bound).
    #[inline]
    pub(crate) fn uppers(&self) -> &[Points] {
        &self.uppers
    }

    /// Moves to the first block that may contain a document at or after `first`, and returns a
    /// bound for the documents in `first..=last`, or `None` after the end of the list.
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
