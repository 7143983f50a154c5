//! Phrases: words at fixed distances, or with a limited number of other words in between.

use super::cursor::{Cursor, END, greatest};
use super::phrase_count::{Occurrences, Word};
use super::pool::Pooled;
use super::window::{WINDOW, Window};
use crate::budget::meter::Account;
use crate::error::Result;
use crate::score::{Points, TermScorer};

pub(crate) struct Phrase<'a> {
    /// The cursors of the distinct words. There are at least two: a phrase of one repeated word has
    /// two cursors of that word.
    cursors: Vec<Cursor<'a>>,
    /// The words in phrase order, by their cursors.
    words: Vec<Word>,
    /// The index in `words` of the first word of each cursor.
    firsts: Vec<usize>,
    slop: u32,
    scorer: TermScorer,
    account: Account,
    /// The indexes of the cursors, rarest first.
    order: Vec<usize>,
}

impl<'a> Phrase<'a> {
    /// Creates a phrase. Every cursor must be used by at least one of `words`.
    pub(super) fn new(
        cursors: Vec<Cursor<'a>>,
        words: Vec<Word>,
        slop: u32,
        scorer: TermScorer,
        account: Account,
    ) -> Self {
        let mut order: Vec<usize> = (0..cursors.len()).collect();
        order.sort_by_key(|index| cursors[*index].document_frequency());
        let first = |cursor| words.iter().position(|(own, _)| *own == cursor).unwrap_or_default();
        let firsts = (0..cursors.len()).map(first).collect();
        Self { cursors, words, firsts, slop, scorer, account, order }
    }

    /// Computes the bounds of the blocks of one word.
    pub(super) fn bound(&mut self, index: usize) {
        self.cursors[index].bound_each(&self.scorer);
    }

    /// Returns whether the words must be at their exact distances, so that no occurrence can be
    /// used twice.
    pub(super) fn is_exact(&self) -> bool {
        self.slop == 0
    }

    /// Returns the indexes of the cursors of the two rarest words.
    pub(super) fn rarest(&self) -> [usize; 2] {
        [self.order[0], self.order[1]]
    }

    pub(super) fn cursor(&self, index: usize) -> &Cursor<'a> {
        &self.cursors[index]
    }

    pub(super) fn cursor_mut(&mut self, index: usize) -> &mut Cursor<'a> {
        &mut self.cursors[index]
    }

    /// Returns two different cursors.
    pub(super) fn two_cursors(&mut self, a: usize, b: usize) -> (&Cursor<'a>, &mut Cursor<'a>) {
        let (low, high) = self.cursors.split_at_mut(a.max(b));
        if a < b { (&low[a], &mut high[0]) } else { (&high[0], &mut low[b]) }
    }

    /// Returns the first document at or after `from` that may match.
    pub(crate) fn next(&mut self, from: u32) -> Result<u32> {
        greatest(self.cursors.iter_mut().map(|cursor| cursor.seek(from)))
    }

    /// Adds the matches of one window.
    pub(crate) fn eval(&mut self, start: u32, out: &mut Window) -> Result<()> {
        let end = start + WINDOW;
        let mut document = self.next_common(start)?;
        while document < end {
            if let Some((_, points)) = self.points_at([0, 0], 0)? {
                out.add(document - start, points);
            }
            document = self.next_common(document + 1)?;
        }
        Ok(())
    }

    /// Returns a document and its points if it matches, and `None` otherwise. Also returns `None`,
    /// before decoding positions, if its points are certainly below `floor`.
    ///
    /// `places` are the distances of the two rarest words' postings from the current postings of
    /// their cursors.
    pub(super) fn points_at(&mut self, places: [usize; 2], floor: Points) -> Result<Option<(u32, Points)>> {
        let [lead, second] = self.rarest();
        let document = self.cursors[lead].documents()[places[0]];
        let counts = [self.cursors[lead].frequency(places[0])?, self.cursors[second].frequency(places[1])?];
        if self.is_exact() && floor > 0 {
            let norm = self.cursors[lead].weight(places[0])?.1;
            if self.scorer.points(counts[0].min(counts[1]), norm) < floor {
                return Ok(None);
            }
        }
        if self.is_exact()
            && let Some(count) = self.count_pair(places, counts)?
        {
            if count == 0 {
                return Ok(None);
            }
            if self.words.len() == 2 {
                let norm = self.cursors[lead].weight(places[0])?.1;
                return Ok(Some((document, self.scorer.points(count, norm))));
            }
        }
        self.account.charge(self.order.len())?;
        for index in 2..self.order.len() {
            if self.cursors[self.order[index]].seek(document)? != document {
                return Ok(None);
            }
        }
        let mut occurrences = Pooled::<Occurrences>::new();
        let lists = occurrences.lists(self.cursors.len());
        let mut count = 0;
        for (index, (cursor, positions)) in self.cursors.iter_mut().zip(lists).enumerate() {
            let ahead = match index {
                _ if index == lead => places[0],
                _ if index == second => places[1],
                _ => 0,
            };
            cursor.put_positions_ahead(ahead, positions)?;
            count += positions.len();
        }
        self.account.check_memory(count * size_of::<u32>())?;
        let frequency = match self.is_exact() {
            true => occurrences.count_exact(&self.words, self.firsts[lead], &self.account)?,
            false => occurrences.count_in_order(&self.words, self.slop, &self.account)?,
        };
        let norm = self.cursors[lead].weight(places[0])?.1;
        Ok((frequency > 0).then(|| (document, self.scorer.points(frequency, norm))))
    }

    /// Counts how often the two rarest words are at their distance in the phrase. Returns `None` if
    /// both have many positions.
    ///
    /// The few positions of one word are compared with every position of the other at once, without
    /// branches.
    fn count_pair(&mut self, places: [usize; 2], counts: [u32; 2]) -> Result<Option<u32>> {
        const FEW: usize = 8;
        let [first, second] = [0, 1].map(|index| (self.order[index], places[index], counts[index]));
        let (few, many) = if first.2 <= second.2 { (first, second) } else { (second, first) };
        if few.2 as usize > FEW {
            return Ok(None);
        }
        let place = |cursor: usize| self.words[self.firsts[cursor]].1;
        let distance = place(many.0).wrapping_sub(place(few.0));
        // No position is this large.
        let mut wanted = [u32::MAX; FEW];
        let mut next = 0;
        self.cursors[few.0].visit_positions(few.1, |position| {
            wanted[next % FEW] = position.wrapping_add(distance);
            next += 1;
        })?;
        let mut count = 0;
        self.cursors[many.0].visit_positions(many.1, |position| {
            count += wanted.iter().map(|wanted| u32::from(*wanted == position)).sum::<u32>();
        })?;
        Ok(Some(count))
    }

    /// Moves all cursors to the first common document at or after `from`.
    fn next_common(&mut self, from: u32) -> Result<u32> {
        let mut target = from;
        'again: loop {
            self.account.charge(self.order.len())?;
            for index in &self.order {
                let document = self.cursors[*index].seek(target)?;
                if document == END {
                    return Ok(END);
                }
                if document > target {
                    target = document;
                    if *index != self.order[0] {
                        continue 'again;
                    }
                }
            }
            return Ok(target);
        }
    }
}
