use std::num::NonZeroUsize;

use super::Settings;

/// The size of most pages.
const PAGE_BYTES: usize = 64 << 10;

/// How [`Settings::memory_budget_bytes`] is divided. This is the only place where a share is
/// computed.
///
/// | share | of the budget | at 256 MiB | at 64 MiB |
/// |---|---|---|---|
/// | two memtables: one accepts writes, one is being folded | 6/16 | 2 × 48 MiB | 2 × 12 MiB |
/// | merges: their pages, and the numbers and lengths of their documents | 4/16 | 64 MiB | 16 MiB |
/// | cached pages | 3/16 | 48 MiB | 12 MiB |
/// | the caches and memtables of an embedded store | 2/16 | 32 MiB | 8 MiB |
/// | documents and pages in flight: read, encoded or sealed, but not stored | 1/16 | 16 MiB | 4 MiB |
///
/// What is resident of an open segment, about a thousandth of its size, is held in addition.
///
/// ```
/// use cim_ipld_persistence::Settings;
///
/// let mut settings = Settings::default();
/// settings.memory_budget_bytes = 64 << 20;
/// let budget = settings.budget();
/// assert_eq!((budget.memtable_bytes(), budget.cache_bytes(), budget.store_bytes()), (12 << 20, 12 << 20, 8 << 20));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    total_bytes: usize,
    memtable_bytes: usize,
    parallel_transfers: NonZeroUsize,
}

impl MemoryBudget {
    pub(super) fn new(settings: &Settings) -> Self {
        let total_bytes = settings.memory_budget_bytes;
        let share = sixteenths(total_bytes, 3);
        Self {
            total_bytes,
            memtable_bytes: settings.memtable_budget_bytes.map_or(share, |bytes| bytes.min(share)).max(1),
            parallel_transfers: settings.parallel_transfers,
        }
    }

    /// Returns the size in bytes at which the memtable is folded into a segment. While a fold is
    /// under way, writes continue until both memtables hold twice as much plus one record.
    #[must_use]
    pub fn memtable_bytes(&self) -> usize {
        self.memtable_bytes
    }

    /// Returns the maximum size of the cached pages in bytes.
    #[must_use]
    pub fn cache_bytes(&self) -> usize {
        sixteenths(self.total_bytes, 3)
    }

    /// Returns the memory in bytes that an embedded store may occupy.
    #[must_use]
    pub fn store_bytes(&self) -> usize {
        sixteenths(self.total_bytes, 2)
    }

    /// Returns the maximum total size in bytes of the documents that a caller reads ahead.
    #[must_use]
    pub fn input_bytes(&self) -> usize {
        sixteenths(self.total_bytes, 1) / 2
    }

    /// Returns the total size in bytes of the pages that a merge or verification holds, at least
    /// the pages that it reads alternately.
    pub(crate) fn pass_bytes(&self) -> usize {
        /// The pages of four classes of each of the most segments that one merge reads.
        const LEAST: usize = 4 * 16 * PAGE_BYTES;
        sixteenths(self.total_bytes, 1).max(LEAST)
    }

    /// Returns the maximum number of documents of one merge.
    pub(crate) fn merge_documents(&self) -> u32 {
        /// The new number of a document, its lengths in the inputs and in the output, the hash of
        /// its CID, and one column or set at a time.
        const DOCUMENT_BYTES: usize = 24;
        u32::try_from(sixteenths(self.total_bytes, 4) / 2 / DOCUMENT_BYTES).unwrap_or(u32::MAX)
    }

    /// Returns the number of pages that are fetched or stored concurrently: as configured, unless
    /// the budget is too small for that many pages and their sealed copies.
    pub(crate) fn parallel_transfers(&self) -> NonZeroUsize {
        let fitting = sixteenths(self.total_bytes, 1) / 2 / (2 * PAGE_BYTES);
        NonZeroUsize::new(fitting.max(2))
            .map_or(self.parallel_transfers, |fitting| fitting.min(self.parallel_transfers))
    }
}

fn sixteenths(bytes: usize, parts: usize) -> usize {
    bytes / 16 * parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_a_memtable_never_exceeds_its_share() {
        for total in [0, 1 << 20, 24 << 20, 64 << 20, 256 << 20, usize::MAX] {
            let mut settings = Settings { memory_budget_bytes: total, ..Settings::default() };
            let budget = settings.budget();
            let shares =
                [2 * budget.memtable_bytes(), budget.cache_bytes(), budget.store_bytes(), budget.input_bytes()];
            assert!(shares.into_iter().map(|share| share as u128).sum::<u128>() <= total.max(2) as u128);
            for (limit, expected) in
                [(None, budget.memtable_bytes()), (Some(usize::MAX), budget.memtable_bytes()), (Some(1), 1)]
            {
                settings.memtable_budget_bytes = limit;
                assert_eq!(settings.budget().memtable_bytes(), expected, "{total} {limit:?}");
            }
        }
    }

    #[test]
    fn a_small_budget_transfers_fewer_pages_at_once() {
        for (total, expected) in [(0, 2), (16 << 20, 4), (64 << 20, 16), (1 << 30, 16)] {
            let settings = Settings { memory_budget_bytes: total, ..Settings::default() };
            assert_eq!(settings.budget().parallel_transfers().get(), expected, "{total}");
        }
    }
}
