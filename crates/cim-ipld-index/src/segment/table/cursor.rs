//! Iterates over a whole table.

use std::ops::Range;

use super::{Entries, TableTop};
use crate::error::{Error, Result};
use crate::page::fetch::Fetcher;
use crate::page::{Page, PageId, SegmentId};

/// Iterates over all entries of a table in order. Every page must be available.
pub(crate) struct TableCursor<'a> {
    top: &'a TableTop,
    fetcher: &'a Fetcher<'a>,
    segment: SegmentId,
    page: Option<Page>,
    next_page: u32,
    /// The start of the next entry in the page.
    offset: usize,
    key: Vec<u8>,
    value: Range<usize>,
    /// The number of entries read, including the current one.
    read: u32,
    is_at_entry: bool,
}

impl<'a> TableCursor<'a> {
    /// Creates a cursor before the first entry.
    pub(in crate::segment) fn new(top: &'a TableTop, segment: SegmentId, fetcher: &'a Fetcher<'a>) -> Self {
        Self {
            top,
            fetcher,
            segment,
            page: None,
            next_page: 0,
            offset: 0,
            key: Vec::new(),
            value: 0..0,
            read: 0,
            is_at_entry: false,
        }
    }

    /// Returns the key of the current entry, or `None` at the end.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.is_at_entry.then_some(&self.key)
    }

    pub(crate) fn value(&self) -> &[u8] {
        self.page.as_ref().map_or(&[], |page| &page[self.value.clone()])
    }

    /// Returns the number of entries before the current one.
    pub(crate) fn rank(&self) -> u32 {
        self.read - 1
    }

    /// Advances to the next entry. Returns whether there is one.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        while self.page.as_ref().is_none_or(|page| self.offset == page.len()) {
            if self.read != self.top.entries_before(self.next_page as usize) {
                return Err(Error::damaged("a page of a table does not have its recorded number of entries"));
            }
            if self.next_page == self.top.page_count() {
                self.is_at_entry = false;
                return Ok(false);
            }
            self.open_page()?;
        }
        let Some(page) = &self.page else { return Ok(false) };
        let before = self.is_at_entry.then(|| self.key.clone());
        let mut entries = Entries::resume(&page[self.offset..], std::mem::take(&mut self.key));
        let Some(value) = entries.next()? else { return Ok(false) };
        let end = page.len() - entries.reader.remaining();
        self.value = end - value.len()..end;
        self.offset = end;
        self.key = entries.key;
        self.read += 1;
        self.is_at_entry = true;
        if before.is_some_and(|before| before >= self.key) || self.read > self.top.entry_count() {
            return Err(Error::damaged("the entries of a table are out of order"));
        }
        Ok(true)
    }

    fn open_page(&mut self) -> Result<()> {
        let id = PageId::new(self.top.class, self.next_page);
        let Some(page) = self.fetcher.page(self.segment, id) else {
            return Err(Error::damaged("a page of a table is missing").at(self.segment, id));
        };
        let entries = Entries::new(page.payload(id).map_err(|error| error.at(self.segment, id))?)?;
        self.offset = page.len() - entries.entries.len();
        self.page = Some(page);
        self.next_page += 1;
        Ok(())
    }
}
