//! Pages: the unit in which a segment is written, stored and read.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
pub(crate) use crate::page_id::{DocId, PageClass, PageId, SegmentId};

/// The largest page a builder emits, in bytes, whatever the input.
pub const MAX_PAGE_BYTES: usize = 512 * 1024;

/// The most documents of one segment or memtable.
///
/// With ids of 24 bits no sum of 128 packed differences overflows 32 bits, which keeps hostile
/// postings in order.
pub const MAX_SEGMENT_DOCUMENTS: u32 = 1 << 24;

/// The size a builder aims at, in bytes.
pub(crate) const PAGE_BYTES: usize = 64 * 1024;

/// The version byte that starts every page.
pub(crate) const FORMAT_VERSION: u8 = 1;

/// The bytes in front of every page's payload: format version, class code.
pub(crate) const PAGE_PREFIX: usize = 2;

/// The bytes of one page, shared.
///
/// Cloning copies a pointer.
///
/// ```
/// use cim_ipld_index::Page;
///
/// let page = Page::from(vec![1, 2, 3]);
/// assert_eq!(&page.clone()[..], &[1, 2, 3]);
/// ```
#[derive(Clone)]
pub struct Page(Arc<[u8]>);

/// Gives the pages that are at hand; never blocks and never fetches.
///
/// What is not at hand is `None`: the operation then answers [`Progress::Need`].
pub trait PageSource {
    /// Returns the page if it is at hand.
    fn page(&self, segment: SegmentId, page: PageId) -> Option<Page>;
}

/// Takes the pages of a segment as the builder finishes them, in no promised order.
pub trait PageSink {
    /// Takes one page, of at most [`MAX_PAGE_BYTES`].
    ///
    /// # Errors
    ///
    /// Any error stops the build, which returns it with kind [`ErrorKind::Sink`].
    fn page(&mut self, id: PageId, bytes: Vec<u8>) -> std::result::Result<(), PageSinkError>;
}

/// Why a [`PageSink`] refused a page: the sink's own error.
pub type PageSinkError = Box<dyn std::error::Error + Send + Sync>;

/// Either the value, or the pages that must be at hand before the same call is made again.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Progress<T> {
    /// Fetch these pages, then call again. Without repeats, never empty.
    Need(Vec<(SegmentId, PageId)>),
    /// The answer.
    Ready(T),
}

/// Keeps pages in a hash map: a sink and a source for indexes that live in memory, and for tests.
#[derive(Debug, Clone, Default)]
pub struct PageMap {
    pages: HashMap<(SegmentId, PageId), Page, foldhash::fast::RandomState>,
}

impl Page {
    /// Returns the payload after checking the prefix.
    pub(crate) fn payload(&self, id: PageId) -> Result<&[u8]> {
        match *self.0 {
            [FORMAT_VERSION, class, ..] if class == id.class.code() => Ok(&self.0[PAGE_PREFIX..]),
            [FORMAT_VERSION, ..] => Err(Error::damaged("a page is not of the class its name says")),
            [version, ..] if version > FORMAT_VERSION => Err(Error::new(
                ErrorKind::UnsupportedVersion,
                format!("a page has format version {version}; this build reads up to {FORMAT_VERSION}"),
            )),
            _ => Err(Error::damaged("a page has no valid version byte")),
        }
    }
}

impl<T> Progress<T> {
    /// Changes the answer, if it is there.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Progress<U> {
        match self {
            Self::Need(pages) => Progress::Need(pages),
            Self::Ready(value) => Progress::Ready(change(value)),
        }
    }

    /// Returns the answer if it is there.
    pub fn ready(self) -> Option<T> {
        match self {
            Self::Ready(value) => Some(value),
            Self::Need(_) => None,
        }
    }
}

impl PageMap {
    /// Makes an empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts one page in.
    pub fn insert(&mut self, segment: SegmentId, id: PageId, page: Page) {
        self.pages.insert((segment, id), page);
    }

    /// Returns a sink that puts pages under `segment`.
    pub fn sink(&mut self, segment: SegmentId) -> impl PageSink + '_ {
        struct Sink<'a>(&'a mut PageMap, SegmentId);
        impl PageSink for Sink<'_> {
            fn page(&mut self, id: PageId, bytes: Vec<u8>) -> std::result::Result<(), PageSinkError> {
                self.0.insert(self.1, id, Page::from(bytes));
                Ok(())
            }
        }
        Sink(self, segment)
    }

    /// Returns the header pages of `segment` in order, as [`Segment::open`](crate::Segment::open)
    /// takes them.
    pub fn header(&self, segment: SegmentId) -> Vec<Page> {
        (0..).map_while(|ordinal| self.page(segment, PageId::new(PageClass::Header, ordinal))).collect()
    }

    /// Removes every page of `segment`.
    pub fn remove_segment(&mut self, segment: SegmentId) {
        self.pages.retain(|(owner, _), _| *owner != segment);
    }

    /// Returns the sum of the pages' sizes in bytes.
    pub fn bytes(&self) -> u64 {
        self.pages.values().map(|page| page.len() as u64).sum()
    }

    /// Visits every page, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (SegmentId, PageId, &Page)> {
        self.pages.iter().map(|((segment, id), page)| (*segment, *id, page))
    }
}

impl PageSource for PageMap {
    fn page(&self, segment: SegmentId, page: PageId) -> Option<Page> {
        self.pages.get(&(segment, page)).cloned()
    }
}

impl From<Vec<u8>> for Page {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<Arc<[u8]>> for Page {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(bytes)
    }
}

impl Deref for Page {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({} bytes)", self.0.len())
    }
}
