//! Conjunctions of terms. The rarest term leads block by block, and blocks whose combined bounds
//! are not competitive are skipped.

use super::super::evaluator::Term;
use super::intersection::{Pairs, PlaceMap, Wanted};
use super::{Collector, select, term};
use crate::error::Result;
use crate::score::Points;
use crate::segment::BLOCK;

/// A block with more candidates than this is intersected instead of looked up one by one.
const MAX_LOOKUPS: usize = 24;

/// A term after the leading two.
struct Follower<'t, 'a> {
    term: &'t mut Term<'a>,
    /// The bound of this term and the following ones within the current block of the lead.
    rest: Points,
}

pub(super) fn collect(terms: &mut [&mut Term<'_>], collector: &mut Collector<'_, '_>) -> Result<()> {
    terms.sort_by_key(|term| term.cursor.document_frequency());
    let [lead, second, others @ ..] = terms else {
        return terms.first_mut().map_or(Ok(()), |only| term::collect(only, collector));
    };
    lead.cursor.bound_each(&lead.scorer);
    second.cursor.bound_each(&second.scorer);
    let mut others: Vec<Follower<'_, '_>> = others.iter_mut().map(|term| Follower::new(term)).collect();
    let (mut map, mut pairs) = (PlaceMap::new(), Pairs::new());
    let mut from = 0;
    while lead.cursor.seek_block(from) {
        let block = lead.cursor.block();
        let (first, last) = (lead.cursor.first_possible(block).max(from), lead.cursor.last_of(block));
        from = last + 1;
        let mut rest = 0;
        for other in others.iter_mut().rev() {
            let Some(upper) = other.term.cursor.upper_about(first, last) else { return Ok(()) };
            rest += upper;
            other.rest = rest;
        }
        let Some(upper) = second.cursor.upper_about(first, last) else { return Ok(()) };
        let elsewhere = lead.cursor.upper(block) + rest;
        if elsewhere + upper < collector.floor() {
            continue;
        }
        lead.cursor.enter_block(block)?;
        if look_up_few(lead, second, &mut others, upper + rest, collector)? {
            continue;
        }
        let mut at = 0;
        loop {
            let wanted = Wanted { allowed: collector.allowed, floor: collector.floor() };
            let upper = |second| elsewhere + second;
            let next = map.next(&lead.cursor, &mut second.cursor, at, &wanted, upper, &mut pairs)?;
            let Some(next) = next else { break };
            at = next;
            score(lead, second, &mut others, &pairs, collector)?;
        }
    }
    Ok(())
}

/// Scores the lead's block by lookups in the other lists, if only a few of its documents pass the
/// filter or can be competitive. Returns whether it did. The other lists add at most `elsewhere`
/// points.
fn look_up_few(
    lead: &mut Term<'_>,
    second: &mut Term<'_>,
    others: &mut [Follower<'_, '_>],
    elsewhere: Points,
    collector: &mut Collector<'_, '_>,
) -> Result<bool> {
    let mut places = [0u8; BLOCK];
    let mut count = BLOCK;
    if let Some(allowed) = collector.allowed {
        count = select(lead.cursor.documents(), |document| allowed.contains(*document), &mut places);
    }
    if count > MAX_LOOKUPS && collector.floor() > 0 {
        let need = collector.floor().saturating_sub(elsewhere);
        let (_, points) = lead.cursor.points(&lead.scorer)?;
        count = select(points, |points| *points >= need, &mut places);
    }
    if count > MAX_LOOKUPS {
        return Ok(false);
    }
    for place in &places[..count] {
        let place = usize::from(*place);
        let document = lead.cursor.documents()[place];
        if !collector.is_allowed(document) {
            continue;
        }
        let (frequency, norm) = lead.cursor.weight(place)?;
        let points = lead.scorer.points(frequency, norm);
        if points + elsewhere >= collector.floor() && second.cursor.seek(document)? == document {
            let (frequency, norm) = second.cursor.frequency_and_norm()?;
            complete(others, document, points + second.scorer.points(frequency, norm), collector)?;
        }
    }
    Ok(true)
}

/// Offers the paired documents that are also in the other lists.
fn score(
    lead: &mut Term<'_>,
    second: &mut Term<'_>,
    others: &mut [Follower<'_, '_>],
    pairs: &Pairs,
    collector: &mut Collector<'_, '_>,
) -> Result<()> {
    let (_, lead_points) = lead.cursor.points(&lead.scorer)?;
    let (documents, frequencies, norms) = second.cursor.weights()?;
    for (place, second_place) in pairs.leads[..pairs.count].iter().zip(&pairs.seconds) {
        let at = usize::from(*second_place);
        let norm = norms.of(at, documents[at]);
        let points = lead_points[usize::from(*place)] + second.scorer.points(frequencies[at], norm);
        complete(others, documents[at], points, collector)?;
    }
    Ok(())
}

/// Offers a document of the first two lists if it is also in the others.
#[inline]
fn complete(
    others: &mut [Follower<'_, '_>],
    document: u32,
    mut points: Points,
    collector: &mut Collector<'_, '_>,
) -> Result<()> {
    let rest = others.first().map_or(0, |other| other.rest);
    if points + rest < collector.floor() {
        return Ok(());
    }
    for other in others {
        if !other.add(document, collector.floor(), &mut points)? {
            return Ok(());
        }
    }
    collector.total += 1;
    collector.top.offer(points, document);
    Ok(())
}

impl<'t, 'a> Follower<'t, 'a> {
    fn new(term: &'t mut Term<'a>) -> Self {
        term.cursor.bound_each(&term.scorer);
        Self { term, rest: 0 }
    }

    /// Adds the points of a document. Returns whether it is in the list and can still be
    /// competitive.
    fn add(&mut self, document: u32, floor: Points, points: &mut Points) -> Result<bool> {
        if *points + self.rest < floor || self.term.cursor.seek(document)? != document {
            return Ok(false);
        }
        let (frequency, norm) = self.term.cursor.frequency_and_norm()?;
        *points += self.term.scorer.points(frequency, norm);
        Ok(true)
    }
}
