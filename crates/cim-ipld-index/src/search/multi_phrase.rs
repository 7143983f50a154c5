//! Phrases with alternatives at some positions, such as all words with a prefix (Lucene's
//! `MultiPhraseQuery`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cursor::{Cursor, END};
use super::phrase_budget::PhraseBudget;
use super::phrase_count::{Occurrences, Word};
use super::pool::Pooled;
use super::window::{WINDOW, Window};
use crate::error::Result;
use crate::score::TermScorer;

pub(crate) struct MultiPhrase<'a> {
    /// The slots, in phrase order; at least two.
    slots: Vec<Slot<'a>>,
    slop: u32,
    /// The slots as words of the phrase.
    words: Vec<Word>,
    scorer: TermScorer,
    budget: PhraseBudget,
}

/// The alternatives at one position of the phrase.
struct Slot<'a> {
    cursors: Vec<Cursor<'a>>,
    /// The current document of each cursor, as a min-heap without exhausted cursors.
    documents: BinaryHeap<Reverse<(u32, usize)>>,
}

impl<'a> MultiPhrase<'a> {
    pub(super) fn new(
        slots: Vec<(Vec<Cursor<'a>>, u32)>,
        slop: u32,
        scorer: TermScorer,
        budget: PhraseBudget,
    ) -> Result<Self> {
        let words = slots.iter().enumerate().map(|(index, (_, place))| (index, *place)).collect();
        let slots = slots.into_iter().map(|(cursors, _)| Slot::new(cursors)).collect::<Result<_>>()?;
        Ok(Self { slots, slop, words, scorer, budget })
    }

    /// Returns the first document at or after `from` that has a word for every slot.
    pub(super) fn next(&mut self, from: u32) -> Result<u32> {
        let mut target = from;
        'again: loop {
            for slot in &mut self.slots {
                let document = slot.seek(target)?;
                if document == END {
                    return Ok(END);
                }
                if document > target {
                    target = document;
                    continue 'again;
                }
            }
            return Ok(target);
        }
    }

    /// Adds the matches of one window.
    pub(super) fn eval(&mut self, start: u32, out: &mut Window) -> Result<()> {
        let end = start + WINDOW;
        let mut document = self.next(start)?;
        while document < end {
            let mut norm = 0;
            let mut occurrences = Pooled::<Occurrences>::new();
            let lists = occurrences.lists(self.slots.len());
            for (slot, positions) in self.slots.iter_mut().zip(lists) {
                norm = slot.put_positions(document, positions)?;
                self.budget.charge(positions.len())?;
            }
            let frequency = occurrences.count_in_order(&self.words, self.slop, &self.budget)?;
            if frequency > 0 {
                out.add(document - start, self.scorer.points(frequency, norm));
            }
            document = self.next(document + 1)?;
        }
        Ok(())
    }
}

impl<'a> Slot<'a> {
    fn new(mut cursors: Vec<Cursor<'a>>) -> Result<Self> {
        let mut documents = BinaryHeap::with_capacity(cursors.len());
        for (index, cursor) in cursors.iter_mut().enumerate() {
            let document = cursor.seek(0)?;
            if document != END {
                documents.push(Reverse((document, index)));
            }
        }
        Ok(Self { cursors, documents })
    }

    /// Returns the first document at or after `target` that has one of the words.
    fn seek(&mut self, target: u32) -> Result<u32> {
        while let Some(Reverse((document, index))) = self.documents.peek().copied() {
            if document >= target {
                return Ok(document);
            }
            self.documents.pop();
            let document = self.cursors[index].seek(target)?;
            if document != END {
                self.documents.push(Reverse((document, index)));
            }
        }
        Ok(END)
    }

    /// Writes the positions of the words in the document that [`seek`](Self::seek) returned.
    /// Returns its length code.
    fn put_positions(&mut self, document: u32, positions: &mut Vec<u32>) -> Result<u8> {
        positions.clear();
        let (mut norm, mut own, mut here) = (0, Vec::new(), Vec::new());
        while let Some(Reverse((_, index))) = self.documents.peek().copied().filter(|Reverse((at, _))| *at == document)
        {
            self.documents.pop();
            here.push(index);
            let cursor = &mut self.cursors[index];
            cursor.put_positions_ahead(0, &mut own)?;
            positions.append(&mut own);
            norm = cursor.weight(0)?.1;
        }
        self.documents.extend(here.into_iter().map(|index| Reverse((document, index))));
        positions.sort_unstable();
        positions.dedup();
        Ok(norm)
    }
}
