//! Reading pages that may not be at hand: what is missing is noted, and all of it is asked for at
//! once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::page::{Page, PageId, PageSource, Progress, SegmentId};

/// No more pages are asked for at once. They hold gigabytes: only a header that lies has streams
/// that long.
const MOST_MISSING: usize = 1 << 16;

pub(crate) struct Fetcher<'a> {
    source: &'a dyn PageSource,
    missing: RefCell<BTreeSet<(SegmentId, PageId)>>,
}

impl<'a> Fetcher<'a> {
    pub(crate) fn new(source: &'a dyn PageSource) -> Self {
        Self { source, missing: RefCell::default() }
    }

    /// Returns the page, or notes that it is missing, unless too many are: a caller comes back for
    /// the others.
    pub(crate) fn page(&self, segment: SegmentId, id: PageId) -> Option<Page> {
        let page = self.source.page(segment, id);
        if page.is_none() && !self.is_full() {
            self.missing.borrow_mut().insert((segment, id));
        }
        page
    }

    /// Says whether no other missing page will be noted.
    pub(crate) fn is_full(&self) -> bool {
        self.missing_count() >= MOST_MISSING
    }

    pub(crate) fn has_missing(&self) -> bool {
        !self.missing.borrow().is_empty()
    }

    pub(crate) fn missing_count(&self) -> usize {
        self.missing.borrow().len()
    }

    /// Returns what is missing so far, as an answer.
    pub(crate) fn need<T>(&self) -> Progress<T> {
        Progress::Need(self.missing.take().into_iter().collect())
    }
}
