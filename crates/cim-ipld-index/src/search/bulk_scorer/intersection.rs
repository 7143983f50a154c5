//! Intersects two posting lists block by block, skipping blocks that are not competitive.
//!
//! Two lists of similar length are not merged step by step, where every step risks a branch
//! misprediction. Instead, the places of the documents in a block of one list are written to a map
//! indexed by document, in which the documents of the other list are looked up.

use std::cell::RefCell;
use std::thread::LocalKey;

use super::super::cursor::{Cursor, before};
use super::super::pool::{Pool, Pooled, Recycle};
use crate::encoding::docset::BitSet;
use crate::error::Result;
use crate::score::Points;
use crate::segment::BLOCK;

/// A block is binary-searched for each document of the leading list if the lead has this many times
/// fewer documents in the block's range.
const SEARCH_RATIO: usize = 8;
/// A block whose documents span more than this is also binary-searched.
const MAX_SPAN: usize = 1 << 14;
const NO_BLOCK: usize = usize::MAX;

/// The postings of common documents in two blocks, as pairs of places.
pub(super) struct Pairs {
    pub(super) count: usize,
    pub(super) leads: [u8; BLOCK],
    pub(super) seconds: [u8; BLOCK],
}

/// A map from the documents of one block to their places.
pub(super) struct PlaceMap {
    block: usize,
    base: u32,
    /// The place of each document plus one, indexed by the document's distance from the base; 0 if
    /// absent.
    places: Vec<u8>,
    /// The number of entries in use.
    span: usize,
}

/// The documents to intersect.
pub(super) struct Wanted<'r> {
    pub(super) allowed: Option<&'r BitSet>,
    /// Blocks whose documents cannot reach these points are skipped.
    pub(super) floor: Points,
}

impl Pairs {
    pub(super) fn new() -> Self {
        Self { count: 0, leads: [0; BLOCK], seconds: [0; BLOCK] }
    }
}

impl PlaceMap {
    pub(super) fn new() -> Pooled<Self> {
        Pooled::new()
    }

    /// Finds pairs of postings with a common document, starting at place `at` of the lead's loaded
    /// block. Moves `second` to its next block that has such a pair, and returns the place in the
    /// lead's block at which to continue, or `None` if there are no more pairs.
    ///
    /// `upper` returns the bound of a document, given the bound of its block in the second list.
    pub(super) fn next(
        &mut self,
        lead: &Cursor<'_>,
        second: &mut Cursor<'_>,
        mut at: usize,
        wanted: &Wanted<'_>,
        upper: impl Fn(Points) -> Points,
        pairs: &mut Pairs,
    ) -> Result<Option<usize>> {
        let documents = lead.documents();
        pairs.count = 0;
        while at < documents.len() && second.seek_block(documents[at]) {
            let block = second.block();
            let end = at + before(&documents[at..], second.last_of(block) + 1);
            if upper(second.upper(block)) < wanted.floor {
                at = end;
                continue;
            }
            second.enter_block(block)?;
            self.pair(&documents[at..end], at, second, pairs);
            if let Some(allowed) = wanted.allowed {
                pairs.retain(|lead| allowed.contains(documents[lead]));
            }
            at = end;
            if pairs.count > 0 {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn pair(&mut self, documents: &[u32], first: usize, second: &Cursor<'_>, pairs: &mut Pairs) {
        let own = second.documents();
        let (Some(base), Some(last)) = (own.first(), own.last()) else { return };
        // The last document of a tail is unknown until it is decoded.
        let documents = &documents[..before(documents, last + 1)];
        let skipped = before(documents, *base);
        let mut count = 0;
        let is_in_map = self.block == second.block();
        let is_searched = !is_in_map && (documents.len() - skipped) * SEARCH_RATIO < own.len();
        if is_searched || (last - base) as usize >= MAX_SPAN {
            for (place, document) in documents.iter().enumerate().skip(skipped) {
                let found = own.partition_point(|own| own < document);
                pairs.leads[count % BLOCK] = (first + place) as u8;
                pairs.seconds[count % BLOCK] = found as u8;
                count += usize::from(own.get(found) == Some(document));
            }
        } else {
            self.fill(second.block(), own, *base);
            let places = &self.places[..];
            for (place, document) in documents.iter().enumerate().skip(skipped) {
                // `documents` ends with the last document of the block of `second` at the latest,
                // so all of them are within the map.
                let found = places.get((document - base) as usize).copied().unwrap_or(0);
                pairs.leads[count % BLOCK] = (first + place) as u8;
                pairs.seconds[count % BLOCK] = found.wrapping_sub(1);
                count += usize::from(found != 0);
            }
        }
        pairs.count = count;
    }

    fn fill(&mut self, block: usize, documents: &[u32], base: u32) {
        if self.block == block {
            return;
        }
        self.empty();
        let span = documents.last().map_or(0, |last| (last - base) as usize + 1);
        if self.places.len() < span {
            self.places.resize(span.next_multiple_of(1024), 0);
        }
        let places = &mut self.places[..span];
        for (place, document) in (1..).zip(documents) {
            places[(document - base) as usize] = place;
        }
        (self.block, self.base, self.span) = (block, base, span);
    }

    fn empty(&mut self) {
        self.places[..self.span].fill(0);
        (self.block, self.span) = (NO_BLOCK, 0);
    }
}

thread_local! {
    static POOL: Pool<PlaceMap> = const { RefCell::new(Vec::new()) };
}

impl Recycle for PlaceMap {
    fn make() -> Self {
        Self { block: NO_BLOCK, base: 0, places: Vec::new(), span: 0 }
    }

    fn reset(&mut self) -> bool {
        self.empty();
        true
    }

    fn pool() -> &'static LocalKey<Pool<Self>> {
        &POOL
    }
}

impl Pairs {
    fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let mut kept = 0;
        for index in 0..self.count {
            let (lead, second) = (self.leads[index], self.seconds[index]);
            (self.leads[kept], self.seconds[kept]) = (lead, second);
            kept += usize::from(keep(usize::from(lead)));
        }
        self.count = kept;
    }
}
