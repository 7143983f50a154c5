//! Phrases: words at fixed distances, or with a limited number of other words in between.

use super::cursor::{Cursor, END, greatest};
use super::window::{WINDOW, Window};
use crate::error::Result;
use crate::score::{Points, TermScorer};

pub(crate) struct Phrase<'a> {
    /// The cursors, each with the position of its word in the phrase; at least two.
    cursors: Vec<(Cursor<'a>, u32)>,
    slop: u32,
    scorer: TermScorer,
    positions: Vec<Vec<u32>>,
    /// The indexes of the cursors, rarest first.
    order: Vec<usize>,
    /// The progress of exact matching through the positions of each cursor.
    reached: Vec<usize>,
}

impl<'a> Phrase<'a> {
    pub(crate) fn new(cursors: Vec<(Cursor<'a>, u32)>, slop: u32, scorer: TermScorer) -> Self {
        let mut order: Vec<usize> = (0..cursors.len()).collect();
        order.sort_by_key(|index| cursors[*index].0.document_frequency());
        let positions = vec![Vec::new(); cursors.len()];
        let reached = vec![0; cursors.len()];
        Self { cursors, slop, scorer, positions, order, reached }
    }

    /// Computes the bounds of the blocks of one word.
    pub(super) fn bound(&mut self, index: usize) {
        self.cursors[index].0.bound_each(&self.scorer);
    }

    /// Returns whether the words must be at their exact distances, so that no occurrence can be
    /// used twice.
    pub(super) fn is_exact(&self) -> bool {
        self.slop == 0
    }

    /// Returns the indexes of the two rarest words.
    pub(super) fn rarest(&self) -> [usize; 2] {
        [self.order[0], self.order[1]]
    }

    pub(super) fn cursor(&self, index: usize) -> &Cursor<'a> {
        &self.cursors[index].0
    }

    pub(super) fn cursor_mut(&mut self, index: usize) -> &mut Cursor<'a> {
        &mut self.cursors[index].0
    }

    /// Returns two different cursors.
    pub(super) fn two_cursors(&mut self, a: usize, b: usize) -> (&Cursor<'a>, &mut Cursor<'a>) {
        let (low, high) = self.cursors.split_at_mut(a.max(b));
        if a < b { (&low[a].0, &mut high[0].0) } else { (&high[0].0, &mut low[b].0) }
    }

    /// Returns the first document at or after `from` that may match.
    pub(crate) fn next(&mut self, from: u32) -> Result<u32> {
        greatest(self.cursors.iter_mut().map(|(cursor, _)| cursor.seek(from)))
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

    /// Returns a document and its points if it matches, given the places of the two rarest words'
    /// postings after their cursors. Returns `None`, before decoding positions, if its points are
    /// certainly below `floor`.
    pub(super) fn points_at(&mut self, places: [usize; 2], floor: Points) -> Result<Option<(u32, Points)>> {
        let [lead, second] = self.rarest();
        let document = self.cursors[lead].0.documents()[places[0]];
        let counts = [self.cursors[lead].0.frequency(places[0])?, self.cursors[second].0.frequency(places[1])?];
        if self.is_exact() && floor > 0 {
            let norm = self.cursors[lead].0.weight(places[0])?.1;
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
            if self.cursors.len() == 2 {
                let norm = self.cursors[lead].0.weight(places[0])?.1;
                return Ok(Some((document, self.scorer.points(count, norm))));
            }
        }
        for index in 2..self.order.len() {
            if self.cursors[self.order[index]].0.seek(document)? != document {
                return Ok(None);
            }
        }
        for (index, (cursor, _)) in self.cursors.iter_mut().enumerate() {
            let ahead = match index {
                _ if index == lead => places[0],
                _ if index == second => places[1],
                _ => 0,
            };
            cursor.put_positions_ahead(ahead, &mut self.positions[index])?;
        }
        let frequency = if self.slop == 0 { self.count_exact() } else { self.count_loose() };
        let norm = self.cursors[lead].0.weight(places[0])?.1;
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
        let distance = self.cursors[many.0].1.wrapping_sub(self.cursors[few.0].1);
        // No position is this large.
        let mut wanted = [u32::MAX; FEW];
        let mut next = 0;
        self.cursors[few.0].0.visit_positions(few.1, |position| {
            wanted[next % FEW] = position.wrapping_add(distance);
            next += 1;
        })?;
        let mut count = 0;
        self.cursors[many.0].0.visit_positions(many.1, |position| {
            count += wanted.iter().map(|wanted| u32::from(*wanted == position)).sum::<u32>();
        })?;
        Ok(Some(count))
    }

    /// Moves all cursors to the first common document at or after `from`.
    fn next_common(&mut self, from: u32) -> Result<u32> {
        let mut target = from;
        'again: loop {
            for index in &self.order {
                let document = self.cursors[*index].0.seek(target)?;
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

    fn count_exact(&mut self) -> u32 {
        let lead = self.order[0];
        let lead_place = self.cursors[lead].1;
        self.reached.fill(0);
        let mut count = 0;
        'starts: for position in &self.positions[lead] {
            for index in self.order.iter().skip(1) {
                // Damaged lists may have positions up to the maximum.
                let wanted = position.checked_add(self.cursors[*index].1).and_then(|end| end.checked_sub(lead_place));
                let Some(wanted) = wanted else { continue 'starts };
                let (others, reached) = (&self.positions[*index], &mut self.reached[*index]);
                while others.get(*reached).is_some_and(|other| *other < wanted) {
                    *reached += 1;
                }
                if others.get(*reached) != Some(&wanted) {
                    continue 'starts;
                }
            }
            count += 1;
        }
        count
    }

    fn count_loose(&self) -> u32 {
        count_in_order(&self.positions, |index| self.cursors[index].1, self.slop)
    }
}

/// Counts how often the words occur in order with at most `slop` other words in between. For each
/// occurrence of the first word, only the nearest occurrences of the others are considered.
///
/// `place` returns the position of each word in the phrase.
pub(super) fn count_in_order(positions: &[Vec<u32>], place: impl Fn(usize) -> u32, slop: u32) -> u32 {
    let mut count = 0;
    for first in &positions[0] {
        let (mut at, mut spare) = (*first, slop);
        let fits = (1..positions.len()).all(|index| {
            let Some(wanted) = at.checked_add(place(index) - place(index - 1)) else { return false };
            let others = &positions[index];
            let Some(found) = others.get(others.partition_point(|other| *other < wanted)) else { return false };
            at = *found;
            let used = found - wanted;
            let fits = used <= spare;
            spare = spare.saturating_sub(used);
            fits
        });
        count += u32::from(fits);
    }
    count
}
