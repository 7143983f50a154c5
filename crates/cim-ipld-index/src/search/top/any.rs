//! A choice of words: MaxScore, decided anew in each window of documents.
//!
//! The words whose bounds in a window do not reach the best documents together bring no candidates; they only add to
//! those that the other words bring (Turtle and Flood, "Query Evaluation: Strategies and Optimizations", 1995). A word
//! with few postings in the window is read for that, one with many is looked up for the candidates that are close. And a
//! posting brings no candidate if it could not reach the best with the most of all other words added.

use super::super::collect::TopK;
use super::super::cursor::END;
use super::super::eval::{Term, WINDOW, Window};
use super::Run;
use super::term::best_first;
use crate::error::Result;
use crate::score::Points;

/// A word with so many postings in a window per candidate is looked up instead of read.
const LOOKUP_COST: u64 = 8;
/// A list of so many blocks is worth a look at its best before anything else.
const LONG_LIST: usize = 32;
const FIRST_BLOCKS: usize = 6;

/// One word of the choice.
struct Part<'t, 'a> {
    term: &'t mut Term<'a>,
    /// The bound of every block.
    uppers: Vec<Points>,
    /// The bound in the current window.
    upper: Points,
    /// Its postings in a window, on average.
    per_window: u64,
}

pub(super) fn run(terms: &mut [&mut Term<'_>], run: &mut Run<'_, '_>) -> Result<()> {
    let mut parts: Vec<Part<'_, '_>> = terms.iter_mut().map(|term| Part::new(term)).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let mut window = Window::new();
    let least = if run.is_counting { 0 } else { least_of_the_best(&mut parts, run)? };
    let mut from = 0;
    loop {
        for part in &mut parts {
            part.term.cursor.seek_block(from);
        }
        let next = parts.iter().map(|part| part.term.cursor.next_possible()).min().unwrap_or(END);
        if next == END {
            return Ok(());
        }
        let start = next.max(from) / WINDOW * WINDOW;
        from = start + WINDOW;
        if run.allowed_in(start).is_some_and(|allowed| allowed.iter().all(|word| *word == 0)) {
            continue;
        }
        let floor = run.floor().max(least);
        let optional = order_by_bound(&mut parts, &mut order, start, floor);
        if optional == parts.len() {
            continue;
        }
        let all: Points = if floor == 0 { 0 } else { parts.iter().map(|part| part.upper).sum() };
        let mut candidates = 0;
        for index in &order[optional..] {
            candidates += parts[*index].read(start, floor, all, &mut window)?;
        }
        if candidates == 0 {
            continue;
        }
        let mut looked_up = optional;
        while looked_up > 0 && parts[order[looked_up - 1]].per_window <= LOOKUP_COST * candidates {
            looked_up -= 1;
            parts[order[looked_up]].add(start, &mut window)?;
        }
        offer(&mut parts, &order[..looked_up], (start, least), &window, run)?;
        window.clear();
    }
}

/// Returns points that the last of the best documents has at least, by a look at the best postings of one word.
fn least_of_the_best(parts: &mut [Part<'_, '_>], run: &Run<'_, '_>) -> Result<Points> {
    let best = parts.iter_mut().max_by_key(|part| part.uppers.iter().max().copied());
    let Some(part) = best.filter(|part| part.uppers.len() >= LONG_LIST) else { return Ok(0) };
    let mut top = TopK::of_segment(run.top.limit());
    for (_, block) in best_first(&part.uppers, FIRST_BLOCKS).into_iter().take(FIRST_BLOCKS) {
        part.term.cursor.enter_block(block as usize)?;
        let (documents, frequencies, norms) = part.term.cursor.postings()?;
        for ((document, frequency), norm) in documents.iter().zip(frequencies).zip(norms) {
            let points = part.term.scorer.points(*frequency, *norm);
            if points >= top.floor() && run.is_allowed(*document) {
                top.offer(points, *document);
            }
        }
    }
    part.term.cursor.rewind();
    Ok(top.floor())
}

/// Orders the parts by their bounds in the window; returns how many of the first cannot reach `floor` together.
fn order_by_bound(parts: &mut [Part<'_, '_>], order: &mut [usize], start: u32, floor: Points) -> usize {
    if floor == 0 {
        return 0;
    }
    parts.iter_mut().for_each(|part| part.bound(start, start + WINDOW));
    order.sort_unstable_by_key(|index| parts[*index].upper);
    let (mut optional, mut rest) = (0, 0);
    for index in &*order {
        rest += parts[*index].upper;
        if rest >= floor {
            break;
        }
        optional += 1;
    }
    optional
}

/// Offers the candidates of a window, completed by the parts that are looked up where that can matter.
fn offer(
    parts: &mut [Part<'_, '_>],
    looked_up: &[usize],
    (start, least): (u32, Points),
    window: &Window,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let mut mask = window.mask;
    run.restrict(start, &mut mask);
    if run.is_counting {
        run.total += mask.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
    }
    let rest = looked_up.iter().map(|index| parts[*index].upper).sum();
    let mut floor = run.top.floor_in_order().max(least);
    for (index, word) in mask.iter().enumerate() {
        let mut word = *word;
        while word != 0 {
            let place = index * 64 + word.trailing_zeros() as usize;
            word &= word - 1;
            let points = window.points[place];
            if points + rest < floor {
                continue;
            }
            let document = start + place as u32;
            let points = complete(parts, looked_up, document, points, rest, floor)?;
            run.top.offer(points, document);
            run.total += u64::from(!run.is_counting);
            floor = run.top.floor_in_order().max(least);
        }
    }
    Ok(())
}

/// Adds the points of the parts that are looked up, the strongest first, as long as the document can be among the best.
fn complete(
    parts: &mut [Part<'_, '_>],
    looked_up: &[usize],
    document: u32,
    mut points: Points,
    mut rest: Points,
    floor: Points,
) -> Result<Points> {
    for index in looked_up.iter().rev() {
        if points + rest < floor {
            break;
        }
        let Part { term, upper, .. } = &mut parts[*index];
        rest -= *upper;
        if term.cursor.seek(document)? == document {
            let (frequency, norm) = term.cursor.frequency_and_norm()?;
            points += term.scorer.points(frequency, norm);
        }
    }
    Ok(points)
}

impl<'t, 'a> Part<'t, 'a> {
    fn new(term: &'t mut Term<'a>) -> Self {
        let uppers = term.cursor.uppers(&term.scorer);
        let blocks = term.cursor.block_count();
        let span = blocks.checked_sub(1).map_or(1, |block| u64::from(term.cursor.last_of(block)) + 1);
        let per_window = u64::from(term.cursor.document_frequency()) * u64::from(WINDOW) / span;
        Self { term, uppers, upper: 0, per_window }
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

    /// Adds the postings of a window as candidates if they can reach `floor`, where `all` is the most of all parts; returns
    /// how many were added.
    fn read(&mut self, start: u32, floor: Points, all: Points, window: &mut Window) -> Result<u64> {
        let need = floor.saturating_sub(all - self.upper.min(all));
        let mut added = 0;
        let Term { cursor, scorer } = &mut *self.term;
        cursor.visit(start, start + WINDOW, |document, frequency, norm| {
            let points = scorer.points(frequency, norm);
            if points >= need {
                window.add(document - start, points);
                added += 1;
            }
        })?;
        Ok(added)
    }

    /// Adds the points of the postings of a window to the candidates that are there.
    fn add(&mut self, start: u32, window: &mut Window) -> Result<()> {
        let Term { cursor, scorer } = &mut *self.term;
        cursor.visit_weights(start, start + WINDOW, |documents, frequencies, norms| {
            for (place, (document, frequency)) in documents.iter().zip(frequencies).enumerate() {
                let offset = (document - start) as usize % WINDOW as usize;
                if window.mask[offset / 64] >> (offset % 64) & 1 == 1 {
                    window.points[offset] += scorer.points(*frequency, norms.of(place, *document));
                }
            }
        })
    }
}
