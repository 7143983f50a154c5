//! Pages: the unit in which a segment is written, stored and read.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// The largest page a builder emits, in bytes, whatever the input.
pub const MAX_PAGE_BYTES: usize = 512 * 1024;

/// The most documents of one segment or memtable.
///
/// With ids of 24 bits no sum of 128 packed differences overflows 32 bits, which keeps hostile postings in order.
pub const MAX_SEGMENT_DOCUMENTS: u32 = 1 << 24;

/// The size a builder aims at, in bytes.
pub(crate) const PAGE_BYTES: usize = 64 * 1024;

/// The version byte that starts every page.
pub(crate) const FORMAT_VERSION: u8 = 1;

/// The bytes in front of every page's payload: format version, class code.
pub(crate) const PAGE_PREFIX: usize = 2;

/// Names a segment: 16 bytes, chosen at random by whoever builds it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub [u8; 16]);

/// Numbers a document inside one segment or one memtable, densely from 0.
///
/// In a segment the numbers follow the order of the CIDs' bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocId(pub u32);

/// Says what a page holds. The codes are part of the format and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum PageClass {
    /// Counts, statistics and the top index of every table; all of it is resident in an open segment.
    Header = 1,
    /// Sorted terms with their statistics and the places of their lists.
    Dictionary = 2,
    /// Posting lists: blocks of 128 document ids and frequencies, with bounds.
    Postings = 3,
    /// Positions of the words inside the documents.
    Positions = 4,
    /// One byte of quantised length per document and text field.
    Norms = 5,
    /// The documents as they were indexed.
    Stored = 6,
    /// Sorted CIDs; the rank of a CID is its document id.
    Cids = 7,
    /// A Bloom filter over the CIDs.
    CidFilter = 8,
    /// Sorted tags and keywords with the documents that carry them.
    Tags = 9,
    /// Sorted content types and document kinds with the documents that have them.
    Types = 10,
    /// Document sets of tags and keywords that are too long for their table.
    TagSets = 11,
    /// Document sets of types that are too long for their table.
    TypeSets = 12,
    /// Sorted fields that have numbers, with the bounds and places of their columns.
    Fields = 13,
    /// Columns that are too long for their table: which documents have a number, and the numbers.
    Columns = 14,
}

/// The index a page belongs to, as the persistence layer sorts pages into buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SubIndex {
    /// Words: dictionary, postings, positions, lengths.
    Text,
    /// Tags and keywords.
    Tag,
    /// Content types and kinds.
    Type,
    /// Documents, their numbers and times, CIDs and headers.
    Metadata,
}

/// Names a page inside its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageId {
    /// What the page holds.
    pub class: PageClass,
    /// Its number within the class, from 0 without gaps.
    pub ordinal: u32,
}

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

impl PageClass {
    /// Every class, in the order of its code.
    pub const ALL: [Self; 14] = [
        Self::Header,
        Self::Dictionary,
        Self::Postings,
        Self::Positions,
        Self::Norms,
        Self::Stored,
        Self::Cids,
        Self::CidFilter,
        Self::Tags,
        Self::Types,
        Self::TagSets,
        Self::TypeSets,
        Self::Fields,
        Self::Columns,
    ];

    /// Returns the stable code of the class.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns the class of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Returns the index that pages of this class belong to.
    pub fn sub_index(self) -> SubIndex {
        match self {
            Self::Dictionary | Self::Postings | Self::Positions | Self::Norms => SubIndex::Text,
            Self::Tags | Self::TagSets => SubIndex::Tag,
            Self::Types | Self::TypeSets => SubIndex::Type,
            Self::Header | Self::Stored | Self::Cids | Self::CidFilter | Self::Fields | Self::Columns => {
                SubIndex::Metadata
            }
        }
    }
}

impl PageId {
    /// Names page `ordinal` of `class`.
    pub const fn new(class: PageClass, ordinal: u32) -> Self {
        Self { class, ordinal }
    }
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

    /// Returns the header pages of `segment` in order, as [`Segment::open`](crate::Segment::open) takes them.
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

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentId({self})")
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}", self.class, self.ordinal)
    }
}
