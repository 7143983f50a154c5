//! From the parts of a query to the best documents of one source.
//!
//! A query of any form is evaluated window by window. A single word, many words as one, a choice of
//! words, words that must all be there and a phrase have ways of their own, which pass over blocks
//! and documents whose bounds say that they cannot be among the best. They find the same documents
//! with the same points.

mod all;
mod any;
mod filtered;
mod pairing;
mod phrase;
mod sums;
mod term;
mod union;

use super::collect::TopK;
use super::cursor::END;
use super::eval::{Eval, Term};
use super::window::{WINDOW, WINDOW_WORDS, Window};
use crate::docset::BitSet;
use crate::error::Result;
use crate::score::Points;
use crate::segment::BLOCK;

/// One evaluation: what may match, the best so far, how many matched.
pub(super) struct Run<'r, 'a> {
    /// The documents that pass the filters and live; all if there is none.
    pub(super) allowed: Option<&'r BitSet>,
    pub(super) top: TopK<'a>,
    /// Whether every match must be counted.
    pub(super) is_counting: bool,
    pub(super) total: u64,
}

impl Run<'_, '_> {
    /// Evaluates a query over the source.
    pub(super) fn evaluate(&mut self, eval: &mut Eval<'_>) -> Result<()> {
        match eval {
            Eval::Nothing => Ok(()),
            Eval::Term(term) => term::run(term, self),
            Eval::Any(parts) if parts.iter().all(Eval::is_term) => any::run(&mut terms(parts), self),
            Eval::Bool(parts) if parts.has_only_terms_to_match() => all::run(&mut terms(&mut parts.must), self),
            Eval::Phrase(phrase) => phrase::run(phrase, self),
            Eval::Union(union) => {
                union::run(union, self);
                Ok(())
            }
            other => self.windows(other),
        }
    }

    /// Returns the points that a document needs which comes after those that were offered; 0 while
    /// all are counted.
    #[inline]
    fn floor(&self) -> Points {
        if self.is_counting { 0 } else { self.top.floor_in_order() }
    }

    #[inline]
    fn is_allowed(&self, document: u32) -> bool {
        self.allowed.is_none_or(|allowed| allowed.contains(document))
    }

    /// Returns which documents of a window are allowed.
    #[inline]
    fn allowed_in(&self, start: u32) -> Option<&[u64]> {
        let words = self.allowed?.words();
        let start = (start / 64) as usize;
        Some(&words[start.min(words.len())..(start + WINDOW_WORDS).min(words.len())])
    }

    /// Takes away from a window what is not allowed.
    #[inline]
    fn restrict(&self, start: u32, mask: &mut [u64; WINDOW_WORDS]) {
        if let Some(allowed) = self.allowed_in(start) {
            let (kept, gone) = mask.split_at_mut(allowed.len());
            kept.iter_mut().zip(allowed).for_each(|(word, allowed)| *word &= allowed);
            gone.fill(0);
        }
    }

    fn windows(&mut self, eval: &mut Eval<'_>) -> Result<()> {
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
            Window::places(&mask, |place| {
                self.total += 1;
                self.top.offer(window.points[place], start + place as u32);
            });
            window.clear();
        }
    }
}

fn terms<'t, 'a>(parts: &'t mut [Eval<'a>]) -> Vec<&'t mut Term<'a>> {
    let term = |part: &'t mut Eval<'a>| match part {
        Eval::Term(term) => Some(&mut **term),
        _ => None,
    };
    parts.iter_mut().filter_map(term).collect()
}

/// Writes the places of those that are wanted; returns how many they are.
#[inline]
fn select<T>(all: &[T], is_wanted: impl Fn(&T) -> bool, places: &mut [u8; BLOCK]) -> usize {
    let mut count = 0;
    for (place, one) in all.iter().enumerate() {
        places[count % BLOCK] = place as u8;
        count += usize::from(is_wanted(one));
    }
    count
}
