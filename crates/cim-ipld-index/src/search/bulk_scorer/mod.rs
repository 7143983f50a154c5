//! Collects the top documents of one source.
//!
//! A query of any form is evaluated window by window. A single term, a union, a disjunction of
//! terms, a conjunction of terms and a phrase have specialized implementations, which skip blocks
//! and documents whose bounds are not competitive: below the points needed to be among the best.
//! All find the same documents with the same points.

mod accumulator;
mod conjunction;
mod filtered_disjunction;
mod intersection;
mod maxscore;
mod phrase;
mod term;
mod union;

use super::cursor::END;
use super::evaluator::{Evaluator, Term};
use super::top_k::TopK;
use super::window::{WINDOW, WINDOW_WORDS, Window};
use crate::budget::meter::Account;
use crate::encoding::docset::BitSet;
use crate::error::Result;
use crate::score::Points;
use crate::segment::BLOCK;

/// Collects the top documents and the number of matches.
pub(super) struct Collector<'r, 'a> {
    /// The live documents that pass the filters, or `None` for all.
    pub(super) allowed: Option<&'r BitSet>,
    pub(super) top: TopK<'a>,
    /// Whether every match must be counted.
    pub(super) is_counting: bool,
    pub(super) total: u64,
    pub(super) account: Account,
}

impl Collector<'_, '_> {
    /// Evaluates a query over the source.
    pub(super) fn evaluate(&mut self, eval: &mut Evaluator<'_>) -> Result<()> {
        match eval {
            Evaluator::Nothing => Ok(()),
            Evaluator::Term(term) => term::collect(term, self),
            Evaluator::Any(parts, _) if parts.iter().all(Evaluator::is_term) => {
                maxscore::collect(&mut terms(parts), self)
            }
            Evaluator::Bool(parts) if parts.has_only_terms_to_match() => {
                conjunction::collect(&mut terms(&mut parts.must), self)
            }
            Evaluator::Phrase(phrase) => phrase::collect(phrase, self),
            Evaluator::Union(union) => {
                union::collect(union, self);
                Ok(())
            }
            other => self.windows(other),
        }
    }

    /// Returns the minimum competitive points of a document after those that were offered, or 0
    /// while every match is counted.
    #[inline]
    fn floor(&self) -> Points {
        if self.is_counting { 0 } else { self.top.floor_in_order() }
    }

    #[inline]
    fn is_allowed(&self, document: u32) -> bool {
        self.allowed.is_none_or(|allowed| allowed.contains(document))
    }

    /// Returns the bits of the documents of a window that pass the filters.
    #[inline]
    fn allowed_in(&self, start: u32) -> Option<&[u64]> {
        let words = self.allowed?.words();
        let start = (start / 64) as usize;
        Some(&words[start.min(words.len())..(start + WINDOW_WORDS).min(words.len())])
    }

    /// Removes from a window the documents that do not pass the filters.
    #[inline]
    fn restrict(&self, start: u32, mask: &mut [u64; WINDOW_WORDS]) {
        if let Some(allowed) = self.allowed_in(start) {
            let (kept, gone) = mask.split_at_mut(allowed.len());
            kept.iter_mut().zip(allowed).for_each(|(word, allowed)| *word &= allowed);
            gone.fill(0);
        }
    }

    fn windows(&mut self, eval: &mut Evaluator<'_>) -> Result<()> {
        let mut window = Window::new();
        let mut from = 0;
        loop {
            let document = eval.next(from)?;
            if document == END {
                return Ok(());
            }
            let start = document / WINDOW * WINDOW;
            from = start + WINDOW;
            if self.allowed_in(start).is_some_and(|allowed| allowed.iter().all(|word| *word == 0)) {
                continue;
            }
            eval.eval(start, &mut window)?;
            let mut mask = window.mask;
            self.restrict(start, &mut mask);
            self.account.charge(WINDOW_WORDS + mask.iter().map(|word| word.count_ones() as usize).sum::<usize>())?;
            Window::places(&mask, |place| {
                self.total += 1;
                self.top.offer(window.points[place], start + place as u32);
            });
            window.clear();
        }
    }
}

fn terms<'t, 'a>(parts: &'t mut [Evaluator<'a>]) -> Vec<&'t mut Term<'a>> {
    let term = |part: &'t mut Evaluator<'a>| match part {
        Evaluator::Term(term) => Some(&mut **term),
        _ => None,
    };
    parts.iter_mut().filter_map(term).collect()
}

/// Writes the indexes of the wanted elements, without branches. Returns their number.
#[inline]
fn select<T>(all: &[T], is_wanted: impl Fn(&T) -> bool, places: &mut [u8; BLOCK]) -> usize {
    let mut count = 0;
    for (place, one) in all.iter().enumerate() {
        places[count % BLOCK] = place as u8;
        count += usize::from(is_wanted(one));
    }
    count
}
