//! Phrases: words at fixed distances from each other, or with a few others in between.

use super::cursor::{Cursor, END};
use super::eval::{WINDOW, Window, greatest};
use crate::error::Result;
use crate::score::{Points, TermScorer};

pub(crate) struct Phrase<'a> {
    /// Each with the place of its word in the phrase.
    cursors: Vec<(Cursor<'a>, u32)>,
    slop: u32,
    scorer: TermScorer,
    positions: Vec<Vec<u32>>,
    /// The cursors' indexes, rarest first.
    order: Vec<usize>,
    /// The exact match's progress through the positions of each cursor.
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

    /// Returns the first document from `from` on that may match.
    pub(crate) fn next(&mut self, from: u32) -> Result<u32> {
        greatest(self.cursors.iter_mut().map(|(cursor, _)| cursor.seek(from)))
    }

    /// Adds the matches of one window that can have at least `floor` points.
    pub(crate) fn eval(&mut self, start: u32, floor: Points, out: &mut Window) -> Result<()> {
        let end = start + WINDOW;
        let mut document = self.next_common(start)?;
        while document < end {
            if let Some(points) = self.points(floor)? {
                out.add(document - start, points);
            }
            document = self.next_common(document + 1)?;
        }
        Ok(())
    }

    /// Returns the points of the document the cursors are at, if it matches; `None` also if it has less than `floor`
    /// for certain, which is known before any position is decoded.
    pub(crate) fn points(&mut self, floor: Points) -> Result<Option<Points>> {
        // Each place of the first word counts once; without slop no word can serve two of them.
        let lead = if self.slop == 0 { self.order[0] } else { 0 };
        let (mut most, norm) = self.cursors[lead].0.frequency_and_norm()?;
        if self.scorer.points(most, norm) < floor {
            return Ok(None);
        }
        if self.slop == 0 && floor > 0 {
            for index in &self.order[1..] {
                most = most.min(self.cursors[*index].0.frequency_and_norm()?.0);
            }
            if self.scorer.points(most, norm) < floor {
                return Ok(None);
            }
        }
        let frequency = self.frequency()?;
        Ok((frequency > 0).then(|| self.scorer.points(frequency, norm)))
    }

    /// Moves all cursors to the first document from `from` on that all have.
    pub(crate) fn next_common(&mut self, from: u32) -> Result<u32> {
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

    /// Counts how often the phrase stands in the document the cursors are at.
    fn frequency(&mut self) -> Result<u32> {
        for ((cursor, _), positions) in self.cursors.iter_mut().zip(&mut self.positions) {
            cursor.put_positions(positions)?;
        }
        Ok(if self.slop == 0 { self.count_exact() } else { self.count_loose() })
    }

    fn count_exact(&mut self) -> u32 {
        let lead = self.order[0];
        let lead_place = self.cursors[lead].1;
        self.reached.fill(0);
        let mut count = 0;
        'starts: for position in &self.positions[lead] {
            for index in self.order.iter().skip(1) {
                let Some(wanted) = (position + self.cursors[*index].1).checked_sub(lead_place) else {
                    continue 'starts;
                };
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

    /// Words in order; for each first word the nearest others.
    fn count_loose(&self) -> u32 {
        let mut count = 0;
        for first in &self.positions[0] {
            let (mut at, mut spare) = (*first, self.slop);
            let fits = (1..self.cursors.len()).all(|index| {
                let wanted = at + (self.cursors[index].1 - self.cursors[index - 1].1);
                let others = &self.positions[index];
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
}
