//! Reading pages that may not be at hand: what is missing is noted, and all of it is asked for at once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::page::{Page, PageId, PageSource, Progress, SegmentId};

pub(crate) struct Fetcher<'a> {
    source: &'a dyn PageSource,
    missing: RefCell<BTreeSet<(SegmentId, PageId)>>,
}

impl<'a> Fetcher<'a> {
    pub(crate) fn new(source: &'a dyn PageSource) -> Self {
        Self { source, missing: RefCell::default() }
    }

    /// Returns the page, or notes that it is missing.
    pub(crate) fn page(&self, segment: SegmentId, id: PageId) -> Option<Page> {
        let page = self.source.page(segment, id);
        if page.is_none() {
            self.missing.borrow_mut().insert((segment, id));
        }
        page
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
