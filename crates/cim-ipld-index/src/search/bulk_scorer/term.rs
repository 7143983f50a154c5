//! Single terms. The best blocks are read first, so that most of the others need not be decoded.

use super::super::evaluator::Term;
use super::Collector;
use crate::error::Result;
use crate::score::Points;

/// The number of best blocks to read first.
const FIRST_BLOCKS: usize = 8;

pub(super) fn collect(term: &mut Term<'_>, collector: &mut Collector<'_, '_>) -> Result<()> {
    // Without a filter, the number of matches is the length of the list.
    let is_counted = collector.is_counting || collector.allowed.is_none();
    if is_counted {
        collector.total += count(term, collector)?;
    }
    if term.cursor.block_count() == 1 {
        let seen = read(term, 0, collector)?;
        collector.total += if is_counted { 0 } else { seen };
        return Ok(());
    }
    term.cursor.bound(&term.scorer);
    for (upper, block) in best_first(term.cursor.uppers(), FIRST_BLOCKS) {
        // Blocks are read out of order, so a tie can still win.
        if upper < collector.top.floor() {
            continue;
        }
        let seen = read(term, block as usize, collector)?;
        collector.total += if is_counted { 0 } else { seen };
    }
    Ok(())
}

/// Returns the blocks with their bounds: the `first` best ones, then the others in list order.
pub(super) fn best_first(uppers: &[Points], first: usize) -> Vec<(Points, u32)> {
    let mut blocks: Vec<(Points, u32)> = uppers.iter().copied().zip(0..).collect();
    let first = first.min(blocks.len());
    if first < blocks.len() {
        blocks.select_nth_unstable_by(first, |a, b| b.cmp(a));
        let least = blocks[..first].iter().min().copied().unwrap_or_default();
        // Restores list order without sorting.
        let best: Vec<(Points, u32)> = blocks[..first].to_vec();
        let others = uppers.iter().copied().zip(0..).filter(|block| *block < least);
        blocks = best.into_iter().chain(others).collect();
    }
    blocks[..first].sort_unstable_by(|a, b| b.cmp(a));
    blocks
}

/// Offers the documents of a block. Returns the number of competitive ones.
fn read(term: &mut Term<'_>, block: usize, collector: &mut Collector<'_, '_>) -> Result<u64> {
    let Term { cursor, scorer } = term;
    cursor.enter_block(block)?;
    let (documents, points) = cursor.points(scorer)?;
    let mut seen = 0;
    for (document, points) in documents.iter().zip(points) {
        if *points >= collector.top.floor() && collector.is_allowed(*document) {
            collector.top.offer(*points, *document);
            seen += 1;
        }
    }
    Ok(seen)
}

fn count(term: &mut Term<'_>, collector: &Collector<'_, '_>) -> Result<u64> {
    if collector.allowed.is_none() {
        return Ok(u64::from(term.cursor.document_frequency()));
    }
    let mut count = 0;
    for block in 0..term.cursor.block_count() {
        term.cursor.enter_block(block)?;
        count += term.cursor.documents().iter().map(|document| u64::from(collector.is_allowed(*document))).sum::<u64>();
    }
    Ok(count)
}
