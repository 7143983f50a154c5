//! A choice of words: MaxScore, decided anew in each window of documents.
//!
//! The words whose bounds in a window do not reach the best documents together are not read; they are only looked up for
//! documents that the other words bring close (Turtle and Flood, "Query Evaluation: Strategies and Optimizations", 1995).

use super::super::cursor::END;
use super::super::eval::{Term, WINDOW, Window};
use super::Run;
use crate::error::Result;
use crate::score::Points;

/// One word of the choice.
struct Part<'t, 'a> {
    term: &'t mut Term<'a>,
    /// The bound of every block.
    uppers: Vec<Points>,
    /// The bound in the current window.
    upper: Points,
}

pub(super) fn run(terms: &mut [&mut Term<'_>], run: &mut Run<'_, '_>) -> Result<()> {
    let mut parts: Vec<Part<'_, '_>> = terms.iter_mut().map(|term| Part::new(term)).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let mut window = Window::new();
    let mut from = 0;
    loop {
        parts.iter_mut().for_each(|part| {
            part.term.cursor.seek_block(from);
        });
        let next = parts.iter().map(|part| part.term.cursor.next_possible()).min().unwrap_or(END);
        if next == END {
            return Ok(());
        }
        let start = next.max(from) / WINDOW * WINDOW;
        from = start + WINDOW;
        if run.allowed_in(start).is_some_and(|allowed| allowed.iter().all(|word| *word == 0)) {
            continue;
        }
        let (optional, rest) = split(&mut parts, &mut order, start, run.floor());
        if optional == parts.len() {
            continue;
        }
        for index in &order[optional..] {
            let Term { cursor, scorer } = &mut *parts[*index].term;
            cursor.visit(start, from, |document, frequency, norm| {
                window.add(document - start, scorer.points(frequency, norm));
            })?;
        }
        offer(&mut parts, &order[..optional], rest, start, &window, run)?;
        window.clear();
    }
}

/// Orders the parts by their bounds in the window; returns how many of the first cannot reach `floor` together, and what
/// they can reach.
fn split(parts: &mut [Part<'_, '_>], order: &mut [usize], start: u32, floor: Points) -> (usize, Points) {
    if floor == 0 {
        return (0, 0);
    }
    parts.iter_mut().for_each(|part| part.bound(start, start + WINDOW));
    order.sort_unstable_by_key(|index| parts[*index].upper);
    let (mut optional, mut rest) = (0, 0);
    for index in &*order {
        if rest + parts[*index].upper >= floor {
            break;
        }
        rest += parts[*index].upper;
        optional += 1;
    }
    (optional, rest)
}

/// Offers the matches of a window, completed by the optional parts where that can matter.
fn offer(
    parts: &mut [Part<'_, '_>],
    optional: &[usize],
    rest: Points,
    start: u32,
    window: &Window,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let mut mask = window.mask;
    run.restrict(start, &mut mask);
    if run.is_counting {
        run.total += mask.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
    }
    for (index, word) in mask.iter().enumerate() {
        let mut word = *word;
        while word != 0 {
            let place = index * 64 + word.trailing_zeros() as usize;
            word &= word - 1;
            let points = window.points[place];
            if points + rest < run.top.floor_in_order() {
                continue;
            }
            let document = start + place as u32;
            let points = complete(parts, optional, document, points, rest, run.top.floor_in_order())?;
            run.top.offer(points, document);
            run.total += u64::from(!run.is_counting);
        }
    }
    Ok(())
}

/// Adds the points of the optional parts, the strongest first, as long as the document can still be among the best.
fn complete(
    parts: &mut [Part<'_, '_>],
    optional: &[usize],
    document: u32,
    mut points: Points,
    mut rest: Points,
    floor: Points,
) -> Result<Points> {
    for index in optional.iter().rev() {
        if points + rest < floor {
            break;
        }
        let part = &mut parts[*index];
        rest -= part.upper;
        if part.term.cursor.seek(document)? == document {
            let (frequency, norm) = part.term.cursor.frequency_and_norm()?;
            points += part.term.scorer.points(frequency, norm);
        }
    }
    Ok(points)
}

impl<'t, 'a> Part<'t, 'a> {
    fn new(term: &'t mut Term<'a>) -> Self {
        let uppers =
            (0..term.cursor.block_count()).map(|block| term.scorer.upper(term.cursor.bound_of(block))).collect();
        Self { term, uppers, upper: 0 }
    }

    /// Finds the bound of the postings with documents in `start..end`.
    fn bound(&mut self, start: u32, end: u32) {
        let cursor = &mut self.term.cursor;
        self.upper = 0;
        if cursor.seek_block(start) {
            for block in cursor.block()..cursor.block_count() {
                if cursor.first_possible(block) >= end {
                    break;
                }
                self.upper = self.upper.max(self.uppers[block]);
            }
        }
    }
}
