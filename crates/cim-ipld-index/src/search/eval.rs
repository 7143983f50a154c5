//! Evaluation in windows of 4,096 documents: every part of a query marks what it matches and adds its scores.
//!
//! A document's score is the sum of its parts in the order of the query, in a memtable and in any segment alike, so that
//! equal documents have equal scores wherever they are.

use super::cursor::{Cursor, END};
use crate::error::Result;
use crate::score::TermScorer;

pub(crate) const WINDOW: u32 = 4096;
pub(crate) const WINDOW_WORDS: usize = WINDOW as usize / 64;

/// The matches among the documents of one window, and their scores.
pub(crate) struct Window {
    pub(crate) mask: [u64; WINDOW_WORDS],
    /// Zero where the mask is not set.
    pub(crate) scores: [f32; WINDOW as usize],
}

/// A part of a query over one source.
pub(crate) enum Eval<'a> {
    Nothing,
    /// Every document below the number, with score 0.
    All(u32),
    Term(Box<Term<'a>>),
    /// Several lists as if they were one: frequencies add up.
    Union(Box<Union<'a>>, TermScorer),
    Phrase(Box<Phrase<'a>>),
    Any(Vec<Eval<'a>>),
    Bool(Box<Bool<'a>>),
}

pub(crate) struct Term<'a> {
    pub(crate) cursor: Cursor<'a>,
    pub(crate) scorer: TermScorer,
}

pub(crate) struct Union<'a> {
    pub(crate) cursors: Vec<Cursor<'a>>,
    frequencies: Vec<u32>,
    norms: Vec<u8>,
}

/// Words at fixed distances from each other, or with up to `slop` others in between.
pub(crate) struct Phrase<'a> {
    /// Each with the place of its word in the phrase.
    pub(crate) cursors: Vec<(Cursor<'a>, u32)>,
    pub(crate) slop: u32,
    pub(crate) scorer: TermScorer,
    positions: Vec<Vec<u32>>,
    /// The cursors' indexes, rarest first.
    order: Vec<usize>,
}

pub(crate) struct Bool<'a> {
    pub(crate) must: Vec<Eval<'a>>,
    pub(crate) should: Vec<Eval<'a>>,
    pub(crate) must_not: Vec<Eval<'a>>,
    own: Box<Window>,
    part: Box<Window>,
}

impl Window {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self { mask: [0; WINDOW_WORDS], scores: [0.0; WINDOW as usize] })
    }

    #[inline]
    pub(crate) fn add(&mut self, place: u32, score: f32) {
        let place = place as usize % WINDOW as usize;
        self.mask[place / 64] |= 1 << (place % 64);
        self.scores[place] += score;
    }

    /// Visits the places that are set.
    #[inline]
    pub(crate) fn places(mask: &[u64; WINDOW_WORDS], mut each: impl FnMut(usize)) {
        for (index, word) in mask.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                each(index * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mask.iter().all(|word| *word == 0)
    }

    pub(crate) fn clear(&mut self) {
        let Self { mask, scores } = self;
        Self::places(mask, |place| scores[place] = 0.0);
        *mask = [0; WINDOW_WORDS];
    }

    /// Keeps what `mask` has.
    fn retain(&mut self, keep: impl Fn(usize) -> u64) {
        for index in 0..WINDOW_WORDS {
            let mut gone = self.mask[index] & !keep(index);
            self.mask[index] &= keep(index);
            while gone != 0 {
                self.scores[index * 64 + gone.trailing_zeros() as usize] = 0.0;
                gone &= gone - 1;
            }
        }
    }

    /// Adds the scores of `other` where this window has matches, and with `more` the matches too.
    fn absorb(&mut self, other: &Self, more: bool) {
        for index in 0..WINDOW_WORDS {
            let mut word = if more { other.mask[index] } else { other.mask[index] & self.mask[index] };
            self.mask[index] |= word;
            while word != 0 {
                let place = index * 64 + word.trailing_zeros() as usize;
                self.scores[place] += other.scores[place];
                word &= word - 1;
            }
        }
    }
}

impl Eval<'_> {
    /// Returns the first document from `from` on that may match.
    pub(crate) fn next(&mut self, from: u32) -> Result<u32> {
        Ok(match self {
            Self::Nothing => END,
            Self::All(count) => {
                if from < *count {
                    from
                } else {
                    END
                }
            }
            Self::Term(term) => term.cursor.seek(from)?,
            Self::Union(union, _) => least(union.cursors.iter_mut().map(|cursor| cursor.seek(from)))?,
            Self::Phrase(phrase) => greatest(phrase.cursors.iter_mut().map(|(cursor, _)| cursor.seek(from)))?,
            Self::Any(parts) => least(parts.iter_mut().map(|part| part.next(from)))?,
            Self::Bool(parts) if parts.must.is_empty() => least(parts.should.iter_mut().map(|part| part.next(from)))?,
            Self::Bool(parts) => greatest(parts.must.iter_mut().map(|part| part.next(from)))?,
        })
    }

    /// Adds matches and scores of the documents from `start` on to the window. Starts never go back.
    pub(crate) fn eval(&mut self, start: u32, out: &mut Window) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::All(count) => {
                let len = count.saturating_sub(start).min(WINDOW) as usize;
                for (index, word) in out.mask.iter_mut().enumerate().take(len.div_ceil(64)) {
                    *word |= if len >= index * 64 + 64 { u64::MAX } else { (1 << (len % 64)) - 1 };
                }
                Ok(())
            }
            Self::Term(term) => {
                let Term { cursor, scorer } = &mut **term;
                cursor.visit(start, start + WINDOW, |document, frequency, norm| {
                    out.add(document - start, scorer.score(frequency, norm));
                })
            }
            Self::Union(union, scorer) => union.eval(scorer, start, out),
            Self::Phrase(phrase) => phrase.eval(start, out),
            Self::Any(parts) => parts.iter_mut().try_for_each(|part| part.eval(start, out)),
            Self::Bool(parts) => parts.eval(start, out),
        }
    }
}

impl<'a> Union<'a> {
    pub(crate) fn new(cursors: Vec<Cursor<'a>>) -> Self {
        Self { cursors, frequencies: vec![0; WINDOW as usize], norms: vec![0; WINDOW as usize] }
    }

    fn eval(&mut self, scorer: &TermScorer, start: u32, out: &mut Window) -> Result<()> {
        let mut mask = [0u64; WINDOW_WORDS];
        for cursor in &mut self.cursors {
            cursor.visit(start, start + WINDOW, |document, frequency, norm| {
                let place = (document - start) as usize;
                mask[place / 64] |= 1 << (place % 64);
                self.frequencies[place] = self.frequencies[place].saturating_add(frequency);
                self.norms[place] = norm;
            })?;
        }
        Window::places(&mask, |place| {
            out.add(place as u32, scorer.score(self.frequencies[place], self.norms[place]));
            self.frequencies[place] = 0;
        });
        Ok(())
    }
}

impl<'a> Phrase<'a> {
    pub(crate) fn new(cursors: Vec<(Cursor<'a>, u32)>, slop: u32, scorer: TermScorer) -> Self {
        let mut order: Vec<usize> = (0..cursors.len()).collect();
        order.sort_by_key(|index| cursors[*index].0.document_frequency());
        let positions = vec![Vec::new(); cursors.len()];
        Self { cursors, slop, scorer, positions, order }
    }

    fn eval(&mut self, start: u32, out: &mut Window) -> Result<()> {
        let end = start + WINDOW;
        let mut document = self.next_common(start)?;
        while document < end {
            let frequency = self.frequency()?;
            if frequency > 0 {
                let (_, norm) = self.cursors[0].0.frequency_and_norm();
                out.add(document - start, self.scorer.score(frequency, norm));
            }
            document = self.next_common(document + 1)?;
        }
        Ok(())
    }

    /// Moves all cursors to the first document from `from` on that all have.
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

    /// Counts how often the phrase stands in the document the cursors are at.
    fn frequency(&mut self) -> Result<u32> {
        for ((cursor, _), positions) in self.cursors.iter().zip(&mut self.positions) {
            cursor.put_positions(positions)?;
        }
        Ok(if self.slop == 0 { self.count_exact() } else { self.count_loose() })
    }

    fn count_exact(&self) -> u32 {
        let lead = self.order[0];
        let lead_place = self.cursors[lead].1;
        let mut from = vec![0usize; self.cursors.len()];
        let mut count = 0;
        'starts: for position in &self.positions[lead] {
            for index in self.order.iter().skip(1) {
                let Some(wanted) = (position + self.cursors[*index].1).checked_sub(lead_place) else {
                    continue 'starts;
                };
                let others = &self.positions[*index];
                while others.get(from[*index]).is_some_and(|other| *other < wanted) {
                    from[*index] += 1;
                }
                if others.get(from[*index]) != Some(&wanted) {
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

impl<'a> Bool<'a> {
    pub(crate) fn new(must: Vec<Eval<'a>>, should: Vec<Eval<'a>>, must_not: Vec<Eval<'a>>) -> Self {
        Self { must, should, must_not, own: Window::new(), part: Window::new() }
    }

    fn eval(&mut self, start: u32, out: &mut Window) -> Result<()> {
        let Self { must, should, must_not, own, part } = self;
        for (index, wanted) in must.iter_mut().enumerate() {
            if index == 0 {
                wanted.eval(start, own)?;
                continue;
            }
            if own.is_empty() {
                return Ok(());
            }
            wanted.eval(start, part)?;
            own.retain(|word| part.mask[word]);
            own.absorb(part, false);
            part.clear();
        }
        for optional in should {
            optional.eval(start, part)?;
            own.absorb(part, must.is_empty());
            part.clear();
        }
        for unwanted in must_not {
            if own.is_empty() {
                break;
            }
            unwanted.eval(start, part)?;
            own.retain(|word| !part.mask[word]);
            part.clear();
        }
        out.absorb(own, true);
        own.clear();
        Ok(())
    }
}

fn least(documents: impl Iterator<Item = Result<u32>>) -> Result<u32> {
    documents.into_iter().try_fold(END, |least, document| Ok(least.min(document?)))
}

fn greatest(documents: impl Iterator<Item = Result<u32>>) -> Result<u32> {
    documents.into_iter().try_fold(0, |greatest, document| Ok(greatest.max(document?)))
}
