//! Phrases with alternatives at some positions, such as all words with a prefix (Lucene's
//! `MultiPhraseQuery`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cursor::{Cursor, END};
use super::phrase_count::{Occurrences, Word};
use super::pool::Pooled;
use super::window::{WINDOW, Window};
use crate::budget::meter::Account;
use crate::error::Result;
use crate::score::TermScorer;

/// The units of work to take a cursor from a heap and to put it back.
const HEAP_UNITS: usize = 8;
/// The units of work to sort a position.
const SORT_UNITS: usize = 4;

pub(crate) struct MultiPhrase<'a> {
    /// The distinct slots. A slot that is repeated in the phrase is read once.
    slots: Vec<Slot<'a>>,
    slop: u32,
    /// The words of the phrase by their slots, in phrase order; at least two.
    words: Vec<Word>,
    scorer: TermScorer,
    account: Account,
}

/// The alternatives at one position of the phrase.
struct Slot<'a> {
    cursors: Vec<Cursor<'a>>,
    /// The current document of each cursor, as a min-heap without exhausted cursors.
    documents: BinaryHeap<Reverse<(u32, usize)>>,
}

impl<'a> MultiPhrase<'a> {
    /// Creates a phrase. `slots` are the cursors of the alternatives of each slot.
    pub(super) fn new(
        slots: Vec<Vec<Cursor<'a>>>,
        words: Vec<Word>,
        slop: u32,
        scorer: TermScorer,
        account: Account,
    ) -> Result<Self> {
        let slots = slots.into_iter().map(Slot::new).collect::<Result<_>>()?;
        Ok(Self { slots, slop, words, scorer, account })
    }

    /// Returns the first document at or after `from` that has a word for every slot.
    pub(super) fn next(&mut self, from: u32) -> Result<u32> {
        let mut target = from;
        'again: loop {
            for slot in &mut self.slots {
                let document = slot.seek(target, &self.account)?;
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
            let mut bytes = 0;
            for (slot, positions) in self.slots.iter_mut().zip(&mut *lists) {
                norm = slot.put_positions(document, positions, &self.account)?;
                bytes += positions.len() * size_of::<u32>();
                self.account.check_memory(bytes)?;
            }
            let frequency = match self.slop {
                0 => {
                    let lead = (0..self.words.len()).min_by_key(|word| lists[self.words[*word].0].len());
                    occurrences.count_exact(&self.words, lead.unwrap_or_default(), &self.account)?
                }
                slop => occurrences.count_in_order(&self.words, slop, &self.account)?,
            };
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
    fn seek(&mut self, target: u32, account: &Account) -> Result<u32> {
        while let Some(Reverse((document, index))) = self.documents.peek().copied() {
            if document >= target {
                return Ok(document);
            }
            account.charge(HEAP_UNITS)?;
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
    fn put_positions(&mut self, document: u32, positions: &mut Vec<u32>, account: &Account) -> Result<u8> {
        positions.clear();
        let (mut norm, mut own, mut here) = (0, Vec::new(), Vec::new());
        while let Some(Reverse((_, index))) = self.documents.peek().copied().filter(|Reverse((at, _))| *at == document)
        {
            account.charge(HEAP_UNITS)?;
            self.documents.pop();
            here.push(index);
            let cursor = &mut self.cursors[index];
            cursor.put_positions_ahead(0, &mut own)?;
            positions.append(&mut own);
            norm = cursor.weight(0)?.1;
        }
        if here.len() > 1 {
            account.charge(SORT_UNITS * positions.len())?;
            positions.sort_unstable();
            positions.dedup();
        }
        self.documents.extend(here.into_iter().map(|index| Reverse((document, index))));
        Ok(norm)
    }
}
