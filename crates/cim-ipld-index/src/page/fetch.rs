//! Reads pages and records those that are missing, so that they can be requested together.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::budget::meter::Meter;
use crate::page::{Page, PageId, PageSource, Progress, SegmentId};

/// The maximum number of pages requested at once. This many pages hold gigabytes; only a forged
/// header describes longer streams.
const MAX_MISSING: usize = 1 << 16;

pub(crate) struct Fetcher<'a> {
    source: &'a dyn PageSource,
    /// Counts the work that is done on the pages.
    meter: Rc<Meter>,
    missing: RefCell<BTreeSet<(SegmentId, PageId)>>,
}

impl<'a> Fetcher<'a> {
    /// Creates a fetcher for a computation without limits.
    pub(crate) fn new(source: &'a dyn PageSource) -> Self {
        Self::metered(source, Meter::unlimited())
    }

    pub(crate) fn metered(source: &'a dyn PageSource, meter: Rc<Meter>) -> Self {
        Self { source, meter, missing: RefCell::default() }
    }

    pub(crate) fn meter(&self) -> &Rc<Meter> {
        &self.meter
    }

    /// Returns the page, or records it as missing unless the limit is reached. The remaining pages
    /// are requested in a later round.
    pub(crate) fn page(&self, segment: SegmentId, id: PageId) -> Option<Page> {
        let page = self.source.page(segment, id);
        if page.is_none() && !self.is_full() {
            self.missing.borrow_mut().insert((segment, id));
        }
        page
    }

    /// Returns whether the limit of missing pages is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.missing_count() >= MAX_MISSING
    }

    pub(crate) fn has_missing(&self) -> bool {
        !self.missing.borrow().is_empty()
    }

    pub(crate) fn missing_count(&self) -> usize {
        self.missing.borrow().len()
    }

    /// Returns the missing pages recorded so far.
    pub(crate) fn need<T>(&self) -> Progress<T> {
        Progress::Need(self.missing.take().into_iter().collect())
    }
}
