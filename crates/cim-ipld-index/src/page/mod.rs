//! Pages: the units in which a segment is written, stored and read.

pub(crate) mod fetch;

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
pub(crate) use crate::page_id::{DocId, PageClass, PageId, SegmentId};

/// The maximum size of a page that a builder emits, in bytes.
pub const MAX_PAGE_BYTES: usize = 512 * 1024;

/// The maximum number of documents in a segment or memtable.
///
/// With 24-bit ids, a sum of 128 packed differences cannot overflow 32 bits, so even forged
/// postings decode in increasing order.
pub const MAX_SEGMENT_DOCUMENTS: u32 = 1 << 24;

/// The target size of a page, in bytes.
pub(crate) const PAGE_BYTES: usize = 64 * 1024;

/// The format version, the first byte of every page.
pub(crate) const FORMAT_VERSION: u8 = 1;

/// The size of the prefix of every page: format version, class code.
pub(crate) const PAGE_PREFIX: usize = 2;

/// The bytes of one page. Cloning copies a pointer.
///
/// ```
/// use cim_ipld_index::Page;
///
/// let page = Page::from(vec![1, 2, 3]);
/// assert_eq!(&page.clone()[..], &[1, 2, 3]);
/// ```
#[derive(Clone)]
pub struct Page(Arc<[u8]>);

/// A source of pages. A source for searches should return only pages that are already in memory,
/// and neither block nor fetch; a source for merges and verification may fetch each page on demand.
///
/// For a missing page, a source returns `None`. A search or verification then returns
/// [`Progress::Need`]; a merge fails with [`ErrorKind::Damaged`](crate::ErrorKind::Damaged).
///
/// ```
/// use std::collections::HashMap;
/// use cim_ipld_index::{Page, PageClass, PageId, PageSource, SegmentId};
///
/// #[derive(Default)]
/// struct Cache(HashMap<(SegmentId, PageId), Page>);
///
/// impl PageSource for Cache {
///     fn page(&self, segment: SegmentId, page: PageId) -> Option<Page> {
///         self.0.get(&(segment, page)).cloned()
///     }
/// }
///
/// let cache = Cache::default();
/// assert!(cache.page(SegmentId([1; 16]), PageId::new(PageClass::Stored, 0)).is_none());
/// ```
pub trait PageSource {
    /// Returns the page if it is available.
    ///
    /// ```
    /// use cim_ipld_index::{Page, PageClass, PageId, PageMap, PageSource, SegmentId};
    ///
    /// let (segment, id) = (SegmentId([1; 16]), PageId::new(PageClass::Stored, 0));
    /// let mut pages = PageMap::new();
    /// assert!(pages.page(segment, id).is_none());
    /// pages.insert(segment, id, Page::from(vec![1, 6]));
    /// assert_eq!(pages.page(segment, id).as_deref(), Some(&[1, 6][..]));
    /// ```
    fn page(&self, segment: SegmentId, page: PageId) -> Option<Page>;
}

/// Receives the pages of a segment as they are built, in no particular order.
///
/// ```
/// use cim_ipld_index::{Analyzer, Deletes, Memtable, PageId, PageSink, PageSinkError, build_segment};
///
/// /// Counts pages instead of storing them.
/// struct Counter(usize);
///
/// impl PageSink for Counter {
///     fn page(&mut self, _: PageId, _: Vec<u8>) -> Result<(), PageSinkError> {
///         self.0 += 1;
///         Ok(())
///     }
/// }
///
/// let mut counter = Counter(0);
/// let summary = build_segment(&Memtable::new(Analyzer::default()).view(), &Deletes::new(), &mut counter)?;
/// assert_eq!(summary.pages.iter().map(|(_, count)| *count as usize).sum::<usize>(), counter.0);
/// # Ok::<(), cim_ipld_index::Error>(())
/// ```
pub trait PageSink {
    /// Receives one page of at most [`MAX_PAGE_BYTES`].
    ///
    /// # Errors
    ///
    /// Any error aborts the build, which returns it with kind [`ErrorKind::Sink`].
    fn page(&mut self, id: PageId, bytes: Vec<u8>) -> std::result::Result<(), PageSinkError>;
}

/// An error from a [`PageSink`].
pub type PageSinkError = Box<dyn std::error::Error + Send + Sync>;

/// The outcome of an operation on pages: its result, or the pages that must be available before the
/// same call is repeated.
///
/// ```
/// use cim_ipld_index::{PageClass, PageId, Progress, SegmentId};
///
/// let ready = Progress::Ready(2).map(|hits| hits + 1);
/// assert_eq!(ready.ready(), Some(3));
/// let missing = vec![(SegmentId([1; 16]), PageId::new(PageClass::Postings, 0))];
/// assert_eq!(Progress::<u32>::Need(missing).ready(), None);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Progress<T> {
    /// The pages to fetch before calling again. The list has no duplicates and is not empty.
    Need(Vec<(SegmentId, PageId)>),
    /// The result.
    Ready(T),
}

/// An in-memory store of pages that is both source and sink.
///
/// ```
/// use cim_ipld_index::{PageClass, PageId, PageMap, PageSink, SegmentId};
///
/// let segment = SegmentId([1; 16]);
/// let mut pages = PageMap::new();
/// pages.sink(segment).page(PageId::new(PageClass::Header, 0), vec![1, 1])?;
/// assert_eq!(&pages.header(segment)[0][..], &[1, 1]);
/// pages.remove_segment(segment);
/// assert_eq!(pages.bytes(), 0);
/// # Ok::<(), cim_ipld_index::PageSinkError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct PageMap {
    pages: HashMap<(SegmentId, PageId), Page, foldhash::fast::RandomState>,
}

impl Page {
    /// Returns the payload after checking the prefix.
    pub(crate) fn payload(&self, id: PageId) -> Result<&[u8]> {
        match *self.0 {
            [FORMAT_VERSION, class, ..] if class == id.class.code() => Ok(&self.0[PAGE_PREFIX..]),
            [FORMAT_VERSION, ..] => Err(Error::damaged("a page has a different class than its id")),
            [version, ..] if version > FORMAT_VERSION => Err(Error::new(
                ErrorKind::UnsupportedVersion,
                format!("a page has format version {version}; this version supports up to {FORMAT_VERSION}"),
            )),
            _ => Err(Error::damaged("a page has no valid version byte")),
        }
    }
}

impl<T> Progress<T> {
    /// Transforms the result, if it is ready.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Progress<U> {
        match self {
            Self::Need(pages) => Progress::Need(pages),
            Self::Ready(value) => Progress::Ready(change(value)),
        }
    }

    /// Returns the result, if it is ready.
    pub fn ready(self) -> Option<T> {
        match self {
            Self::Ready(value) => Some(value),
            Self::Need(_) => None,
        }
    }
}

impl PageMap {
    /// Creates an empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inserts a page.
    pub fn insert(&mut self, segment: SegmentId, id: PageId, page: Page) {
        self.pages.insert((segment, id), page);
    }

    /// Returns a sink that stores the pages of `segment`.
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
    /// expects them.
    pub fn header(&self, segment: SegmentId) -> Vec<Page> {
        (0..).map_while(|ordinal| self.page(segment, PageId::new(PageClass::Header, ordinal))).collect()
    }

    /// Removes every page of `segment`.
    pub fn remove_segment(&mut self, segment: SegmentId) {
        self.pages.retain(|(owner, _), _| *owner != segment);
    }

    /// Returns the total size of all pages, in bytes.
    pub fn bytes(&self) -> u64 {
        self.pages.values().map(|page| page.len() as u64).sum()
    }

    /// Iterates over all pages, in no particular order.
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
