//! Disjunctions of terms: MaxScore, with the partition recomputed in each window of documents.
//!
//! Terms whose bounds in a window are not competitive even together are non-essential: they
//! contribute no candidates, and only add points to the candidates of the essential terms (Turtle
//! and Flood, "Query Evaluation: Strategies and Optimizations", 1995). A non-essential term is
//! scanned if it has few postings in the window, and otherwise looked up for the candidates that
//! may become competitive. A posting of an essential term becomes a candidate only if it could be
//! competitive together with the bounds of all other terms.

use super::super::cursor::END;
use super::super::evaluator::Term;
use super::super::top_k::TopK;
use super::super::window::WINDOW;
use super::accumulator::{Accumulator, Threshold};
use super::term::best_first;
use super::{Collector, filtered_disjunction, select};
use crate::encoding::docset::BitSet;
use crate::error::Result;
use crate::score::Points;
use crate::segment::BLOCK;

/// A term with more postings in a window per candidate than this is looked up instead of scanned.
const LOOKUP_COST: u64 = 8;
/// If a list has at least this many blocks, its best blocks are read first.
const LONG_LIST: usize = 8;
const FIRST_BLOCKS: usize = 6;

/// One term of the disjunction.
struct Part<'t, 'a> {
    term: &'t mut Term<'a>,
    /// The bound in the current window.
    upper: Points,
    /// The average number of postings in a window.
    per_window: u64,
}

pub(super) fn collect(terms: &mut [&mut Term<'_>], collector: &mut Collector<'_, '_>) -> Result<()> {
    let sparse = collector.allowed.filter(|allowed| allowed.is_sparse());
    if let Some(allowed) = sparse
        && filtered_disjunction::applies_to(terms)
    {
        return filtered_disjunction::collect(terms, allowed, collector);
    }
    let mut parts: Vec<Part<'_, '_>> = terms.iter_mut().map(|term| Part::new(term)).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let mut accumulator = Accumulator::new();
    let least = if collector.is_counting { 0 } else { lower_bound_of_last_hit(&mut parts, collector)? };
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
        if collector.allowed_in(start).is_some_and(|allowed| allowed.iter().all(|word| *word == 0)) {
            continue;
        }
        let floor = collector.floor().max(least);
        // The terms are bounded and sorted.
        collector.account.charge(parts.len())?;
        let optional = order_by_bound(&mut parts, &mut order, start, floor);
        if optional == parts.len() {
            continue;
        }
        let all: Points = if floor == 0 { 0 } else { parts.iter().map(|part| part.upper).sum() };
        let mut candidates = 0;
        for index in &order[optional..] {
            let need = parts[*index].need(floor, all);
            candidates += match sparse {
                Some(allowed) => parts[*index].read_allowed(start, allowed, need, &mut accumulator)?,
                None => parts[*index].read(start, need, &mut accumulator)?,
            };
        }
        if candidates == 0 {
            continue;
        }
        let mut looked_up = optional;
        while looked_up > 0 && parts[order[looked_up - 1]].per_window <= LOOKUP_COST * candidates {
            looked_up -= 1;
            parts[order[looked_up]].add(start, &mut accumulator)?;
        }
        offer(&mut parts, &order[..looked_up], (start, least), &mut accumulator, collector)?;
    }
}

/// Returns a lower bound of the points of the last hit, from the best blocks of one term.
fn lower_bound_of_last_hit(parts: &mut [Part<'_, '_>], collector: &Collector<'_, '_>) -> Result<Points> {
    let best = parts.iter_mut().max_by_key(|part| part.term.cursor.uppers().iter().max().copied());
    let Some(part) = best.filter(|part| part.term.cursor.block_count() >= LONG_LIST) else { return Ok(0) };
    let mut top = TopK::of_segment(collector.top.limit());
    for (_, block) in best_first(part.term.cursor.uppers(), FIRST_BLOCKS).into_iter().take(FIRST_BLOCKS) {
        part.term.cursor.enter_block(block as usize)?;
        let (documents, points) = part.term.cursor.points(&part.term.scorer)?;
        for (document, points) in documents.iter().zip(points) {
            if *points >= top.floor() && collector.is_allowed(*document) {
                top.offer(*points, *document);
            }
        }
    }
    part.term.cursor.rewind();
    Ok(top.floor())
}

/// Sorts the terms by their bounds in the window. Returns the number of non-essential terms, which
/// together cannot reach `floor`.
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

/// Offers the candidates of a window, after adding the points of the looked-up terms where they
/// matter.
fn offer(
    parts: &mut [Part<'_, '_>],
    looked_up: &[usize],
    (start, least): (u32, Points),
    accumulator: &mut Accumulator,
    collector: &mut Collector<'_, '_>,
) -> Result<()> {
    let rest: Points = looked_up.iter().map(|index| parts[*index].upper).sum();
    // Candidates within a window are unordered, but all of them come after those of earlier
    // windows.
    let before = collector.top.floor_in_order().max(least);
    let threshold = Threshold { points: before.saturating_sub(rest), allowed: collector.allowed };
    let (passed, found) = accumulator.select(start, &threshold, !looked_up.is_empty());
    collector.total += if collector.is_counting { passed } else { 0 };
    for (place, points) in found {
        let floor = collector.top.floor().max(before);
        if *points + rest >= floor {
            collector.account.charge(looked_up.len())?;
            let document = start + u32::from(*place);
            let points = complete(parts, looked_up, document, *points, rest, floor)?;
            collector.top.offer(points, document);
            collector.total += u64::from(!collector.is_counting);
        }
    }
    Ok(())
}

/// Adds the points of the looked-up terms, strongest first, as long as the document can be
/// competitive.
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
        term.cursor.bound(&term.scorer);
        let blocks = term.cursor.block_count();
        let span = blocks.checked_sub(1).map_or(1, |block| u64::from(term.cursor.last_of(block)) + 1);
        let per_window = u64::from(term.cursor.document_frequency()) * u64::from(WINDOW) / span;
        Self { term, upper: 0, per_window }
    }

    /// Computes the bound of the postings with documents in `start..end`.
    fn bound(&mut self, start: u32, end: u32) {
        self.upper = self.term.cursor.upper_within(start, end - 1).unwrap_or(0);
    }

    /// Returns the points that a posting needs for its document to reach `floor`, where `all` is
    /// the sum of all terms' bounds.
    fn need(&self, floor: Points, all: Points) -> Points {
        floor.saturating_sub(all - self.upper.min(all))
    }

    /// Adds the postings of a window with at least `need` points as candidates. Returns their
    /// number.
    fn read(&mut self, start: u32, need: Points, accumulator: &mut Accumulator) -> Result<u64> {
        let mut added = 0;
        let Term { cursor, scorer } = &mut *self.term;
        cursor.visit(start, start + WINDOW, |cursor, end| {
            let (documents, points) = cursor.points(scorer)?;
            added += accumulator.add_all(start, &documents[..end], &points[..end], need);
            Ok(())
        })?;
        Ok(added)
    }

    /// Like [`read`](Self::read), for a selective filter: only documents that pass it are scored.
    fn read_allowed(
        &mut self,
        start: u32,
        allowed: &BitSet,
        need: Points,
        accumulator: &mut Accumulator,
    ) -> Result<u64> {
        let mut added = 0;
        let Term { cursor, scorer } = &mut *self.term;
        let mut places = [0u8; BLOCK];
        cursor.visit(start, start + WINDOW, |cursor, end| {
            let count = select(&cursor.documents()[..end], |document| allowed.contains(*document), &mut places);
            for place in &places[..count] {
                let place = usize::from(*place);
                let (frequency, norm) = cursor.weight(place)?;
                let points = scorer.points(frequency, norm);
                added += accumulator.add_all(start, &cursor.documents()[place..=place], &[points], need);
            }
            Ok(())
        })?;
        Ok(added)
    }

    /// Adds the points of the postings of a window to existing candidates.
    fn add(&mut self, start: u32, accumulator: &mut Accumulator) -> Result<()> {
        let Term { cursor, scorer } = &mut *self.term;
        cursor.visit(start, start + WINDOW, |cursor, end| {
            let (documents, frequencies, norms) = cursor.weights()?;
            for (place, (document, frequency)) in documents[..end].iter().zip(frequencies).enumerate() {
                accumulator.add_to_set(start, *document, || scorer.points(*frequency, norms.of(place, *document)));
            }
            Ok(())
        })
    }
}
