//! Words that must all be there: the rarest leads, block by block, and blocks whose bounds do not reach the best together
//! are passed over.
//!
//! Two lists of like length are not walked side by side, where every step is a guess: the documents of a block of the one
//! become bits, against which those of the other are tested.

use super::super::cursor::{Cursor, before};
use super::super::eval::Term;
use super::Run;
use crate::error::Result;
use crate::score::Points;
use crate::segment::BLOCK;

/// A list that is so many times longer than the leading one is only looked up.
const MUCH_LONGER: u32 = 16;
/// A block whose documents lie further apart is only looked up too.
const MAX_SPAN: usize = 1 << 15;
const NO_BLOCK: usize = usize::MAX;

/// A word that follows the leading one.
struct Follower<'t, 'a> {
    term: &'t mut Term<'a>,
    uppers: Vec<Points>,
    /// The most that this one and those after it can add in the current block of the lead.
    rest: Points,
    bits: Bits,
}

/// The documents of one block as bits.
struct Bits {
    block: usize,
    base: u32,
    words: Vec<u64>,
}

/// A document of the leading block that is in all lists so far.
#[derive(Clone, Copy, Default)]
struct Match {
    document: u32,
    norm: u8,
    points: Points,
}

pub(super) fn run(terms: &mut [&mut Term<'_>], run: &mut Run<'_, '_>) -> Result<()> {
    terms.sort_by_key(|term| term.cursor.document_frequency());
    let Some((lead, others)) = terms.split_first_mut() else { return Ok(()) };
    let mut others: Vec<Follower<'_, '_>> = others.iter_mut().map(|term| Follower::new(term)).collect();
    let mut matches = [Match::default(); BLOCK];
    let mut from = 0;
    while lead.cursor.seek_block(from) {
        let block = lead.cursor.block();
        let (first, last) = (lead.cursor.first_possible(block).max(from), lead.cursor.last_of(block));
        let upper = lead.scorer.upper(lead.cursor.bound_of(block));
        from = last + 1;
        let mut rest = 0;
        for other in others.iter_mut().rev() {
            let Some(upper) = other.bound(first, last) else { return Ok(()) };
            rest += upper;
            other.rest = rest;
        }
        if upper + rest < run.floor() {
            continue;
        }
        let count = read(lead, &mut others, upper, &mut matches, run)?;
        run.total += count as u64;
        for found in &matches[..count] {
            run.top.offer(found.points, found.document);
        }
    }
    Ok(())
}

/// Finds the documents of the lead's current block that all lists have; returns how many there are.
fn read(
    lead: &mut Term<'_>,
    others: &mut [Follower<'_, '_>],
    upper: Points,
    matches: &mut [Match; BLOCK],
    run: &Run<'_, '_>,
) -> Result<usize> {
    lead.cursor.enter_block(lead.cursor.block())?;
    let mut places = [0u8; BLOCK];
    let mut frequencies = [0u32; BLOCK];
    let mut count = 0;
    match others.split_first_mut() {
        None => {
            for place in 0..lead.cursor.documents().len() {
                places[count] = place as u8;
                count += usize::from(run.is_allowed(lead.cursor.documents()[place]));
            }
            score_lead(lead, &places[..count], matches)?;
            return Ok(count);
        }
        Some((second, later)) => {
            let later = later.first().map_or(0, |third| third.rest);
            let is_looked_up = second.term.cursor.document_frequency() / MUCH_LONGER > lead.cursor.document_frequency();
            count = match is_looked_up {
                true => second.look_up(&lead.cursor, &mut places, &mut frequencies, run)?,
                false => second.intersect(&lead.cursor, upper + later, &mut places, &mut frequencies, run)?,
            };
        }
    }
    score_lead(lead, &places[..count], matches)?;
    for (found, frequency) in matches[..count].iter_mut().zip(frequencies) {
        found.points += others[0].term.scorer.points(frequency, found.norm);
    }
    for other in &mut others[1..] {
        count = other.retain(matches, count, run.floor())?;
    }
    Ok(count)
}

fn score_lead(lead: &mut Term<'_>, places: &[u8], matches: &mut [Match; BLOCK]) -> Result<()> {
    let Term { cursor, scorer } = lead;
    for (place, found) in places.iter().zip(matches) {
        let (frequency, norm) = cursor.weight(usize::from(*place))?;
        let document = cursor.documents()[usize::from(*place)];
        *found = Match { document, norm, points: scorer.points(frequency, norm) };
    }
    Ok(())
}

impl<'t, 'a> Follower<'t, 'a> {
    fn new(term: &'t mut Term<'a>) -> Self {
        let uppers =
            (0..term.cursor.block_count()).map(|block| term.scorer.upper(term.cursor.bound_of(block))).collect();
        Self { term, uppers, rest: 0, bits: Bits { block: NO_BLOCK, base: 0, words: Vec::new() } }
    }

    /// Returns the most that a document in `first..=last` can have of this word; `None` after its last document.
    fn bound(&mut self, first: u32, last: u32) -> Option<Points> {
        let cursor = &mut self.term.cursor;
        if !cursor.seek_block(first) {
            return None;
        }
        let mut upper = 0;
        for block in cursor.block()..cursor.block_count() {
            if cursor.first_possible(block) > last {
                break;
            }
            upper = upper.max(self.uppers[block]);
        }
        Some(upper)
    }

    /// Finds which documents of the lead's block this list has too, by looking each of them up.
    fn look_up(
        &mut self,
        lead: &Cursor<'_>,
        places: &mut [u8; BLOCK],
        frequencies: &mut [u32; BLOCK],
        run: &Run<'_, '_>,
    ) -> Result<usize> {
        let cursor = &mut self.term.cursor;
        let mut count = 0;
        for (place, document) in lead.documents().iter().enumerate() {
            if run.is_allowed(*document) && cursor.seek(*document)? == *document {
                places[count] = place as u8;
                frequencies[count] = cursor.frequency_and_norm()?.0;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Finds which documents of the lead's block this list has too, by testing them against the bits of its blocks.
    ///
    /// The other lists add at most `elsewhere` to this one.
    fn intersect(
        &mut self,
        lead: &Cursor<'_>,
        elsewhere: Points,
        places: &mut [u8; BLOCK],
        frequencies: &mut [u32; BLOCK],
        run: &Run<'_, '_>,
    ) -> Result<usize> {
        let documents = lead.documents();
        let floor = run.floor();
        let cursor = &mut self.term.cursor;
        let (mut at, mut count) = (0, 0);
        while at < documents.len() && cursor.seek_block(documents[at]) {
            let block = cursor.block();
            let upto = at + before(&documents[at..], cursor.last_of(block) + 1);
            if elsewhere + self.uppers[block] < floor {
                at = upto;
                continue;
            }
            cursor.enter_block(block)?;
            let start = count;
            count = self.bits.test(cursor, documents, at..upto, places, count, run);
            for index in start..count {
                let place = before_sorted(cursor.documents(), documents[usize::from(places[index])]);
                frequencies[index] = cursor.weight(place)?.0;
            }
            at = upto;
        }
        Ok(count)
    }

    /// Keeps the matches that this list has too, and that can still be among the best.
    fn retain(&mut self, matches: &mut [Match; BLOCK], count: usize, floor: Points) -> Result<usize> {
        let Term { cursor, scorer } = &mut *self.term;
        let mut kept = 0;
        for index in 0..count {
            let mut found = matches[index];
            if found.points + self.rest >= floor && cursor.seek(found.document)? == found.document {
                let (frequency, _) = cursor.frequency_and_norm()?;
                found.points += scorer.points(frequency, found.norm);
                matches[kept] = found;
                kept += 1;
            }
        }
        Ok(kept)
    }
}

impl Bits {
    /// Appends the places of those `documents[range]` that the loaded block of the cursor has; returns the new count.
    fn test(
        &mut self,
        cursor: &Cursor<'_>,
        documents: &[u32],
        range: std::ops::Range<usize>,
        places: &mut [u8; BLOCK],
        mut count: usize,
        run: &Run<'_, '_>,
    ) -> usize {
        let own = cursor.documents();
        let (Some(first), Some(last)) = (own.first(), own.last()) else { return count };
        if (last - first) as usize >= MAX_SPAN {
            for place in range {
                places[count] = place as u8;
                let is_there = own.get(before_sorted(own, documents[place])) == Some(&documents[place]);
                count += usize::from(is_there && run.is_allowed(documents[place]));
            }
            return count;
        }
        if self.block != cursor.block() {
            self.fill(own, *first, *last);
            self.block = cursor.block();
        }
        for place in range {
            let offset = documents[place].wrapping_sub(self.base) as usize;
            places[count] = place as u8;
            // What lies before the first document is far beyond the last word.
            let word = self.words.get(offset / 64).copied().unwrap_or(0);
            count += (word >> (offset % 64) & 1) as usize;
        }
        if run.allowed.is_some() { keep_allowed(documents, places, count, run) } else { count }
    }

    fn fill(&mut self, documents: &[u32], first: u32, last: u32) {
        self.base = first;
        self.words.clear();
        self.words.resize((last - first) as usize / 64 + 1, 0);
        let (mut current, mut word) = (0, 0u64);
        for document in documents {
            let offset = (document - first) as usize;
            if offset / 64 != current {
                self.words[current] = word;
                (current, word) = (offset / 64, 0);
            }
            word |= 1 << (offset % 64);
        }
        self.words[current] = word;
    }
}

fn keep_allowed(documents: &[u32], places: &mut [u8; BLOCK], count: usize, run: &Run<'_, '_>) -> usize {
    let mut kept = 0;
    for index in 0..count {
        let place = places[index];
        places[kept] = place;
        kept += usize::from(run.is_allowed(documents[usize::from(place)]));
    }
    kept
}

/// Counts the documents below `target`.
#[inline]
fn before_sorted(documents: &[u32], target: u32) -> usize {
    documents.partition_point(|document| *document < target)
}
