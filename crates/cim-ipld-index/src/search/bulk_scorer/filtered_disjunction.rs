//! Disjunctions of terms behind a selective filter. The matching postings are gathered list by
//! list, then summed.

use super::super::evaluator::Term;
use super::{Collector, select};
use crate::encoding::docset::BitSet;
use crate::error::Result;
use crate::score::Points;
use crate::segment::BLOCK;

/// The maximum number of postings to gather, which bounds memory.
const MAX_POSTINGS: u64 = 1 << 16;

/// Returns whether the lists are short enough to be gathered.
pub(super) fn applies_to(terms: &[&mut Term<'_>]) -> bool {
    terms.iter().map(|term| u64::from(term.cursor.document_frequency())).sum::<u64>() <= MAX_POSTINGS
}

pub(super) fn collect(terms: &mut [&mut Term<'_>], allowed: &BitSet, collector: &mut Collector<'_, '_>) -> Result<()> {
    let mut found: Vec<(u32, Points)> = Vec::new();
    let mut places = [0; BLOCK];
    for Term { cursor, scorer } in terms.iter_mut().map(|term| &mut **term) {
        for block in 0..cursor.block_count() {
            cursor.enter_block(block)?;
            let count = select(cursor.documents(), |document| allowed.contains(*document), &mut places);
            for place in &places[..count] {
                let place = usize::from(*place);
                let (frequency, norm) = cursor.weight(place)?;
                found.push((cursor.documents()[place], scorer.points(frequency, norm)));
            }
        }
    }
    found.sort_unstable_by_key(|(document, _)| *document);
    for parts in found.chunk_by(|a, b| a.0 == b.0) {
        collector.total += 1;
        collector.top.offer(parts.iter().map(|(_, points)| points).sum(), parts[0].0);
    }
    Ok(())
}
