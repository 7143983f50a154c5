//! Identifiers of segments, pages and documents.

use std::fmt;

/// Identifies a segment: 16 bytes, chosen at random by the builder's caller.
///
/// ```
/// use cim_ipld_index::SegmentId;
///
/// assert_eq!(SegmentId([0xab; 16]).to_string(), "ab".repeat(16));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub [u8; 16]);

/// The number of a document within one segment or memtable. Numbers are consecutive and start at 0.
///
/// In a segment the numbers follow the byte order of the CIDs.
///
/// ```
/// use cim_ipld_index::{Analyzer, DocId, Document, Memtable};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// assert_eq!(memtable.insert(&Document::new(cid))?, DocId(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocId(pub u32);

/// The content of a page. The codes are part of the format and never change.
///
/// ```
/// use cim_ipld_index::{PageClass, SubIndex};
///
/// assert_eq!(PageClass::from_code(PageClass::Postings.code()), Some(PageClass::Postings));
/// assert_eq!(PageClass::Postings.sub_index(), SubIndex::Text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum PageClass {
    /// Counts, statistics and, for every table, its top index (the first key of each page);
    /// resident while the segment is open.
    Header = 1,
    /// Sorted terms with their statistics and the locations of their lists.
    Dictionary = 2,
    /// Posting lists: blocks of 128 document ids and frequencies, with bounds.
    Postings = 3,
    /// Positions of the words in the documents.
    Positions = 4,
    /// The quantized field length, one byte per document and built-in text field. (The lengths of
    /// text attributes are columns.)
    Norms = 5,
    /// The documents in the form in which they were inserted.
    Stored = 6,
    /// Sorted CIDs; the rank of a CID is its document id.
    Cids = 7,
    /// A Bloom filter over the CIDs.
    CidFilter = 8,
    /// Sorted tags and keywords with the documents that carry them.
    Tags = 9,
    /// Sorted content types and document kinds with the documents that have them.
    Types = 10,
    /// Document sets of tags and keywords that are too large for the table.
    TagSets = 11,
    /// Document sets of types that are too large for the table.
    TypeSets = 12,
    /// Sorted numeric fields with the bounds and locations of their columns.
    Fields = 13,
    /// Columns that are too large for the table: the documents with a number, and the numbers.
    Columns = 14,
}

/// The sub-index of a page. The persistence layer has a bucket for each.
///
/// ```
/// use cim_ipld_index::{PageClass, SubIndex};
///
/// let of_metadata = PageClass::ALL.iter().filter(|class| class.sub_index() == SubIndex::Metadata);
/// assert!(of_metadata.clone().any(|class| *class == PageClass::Stored));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SubIndex {
    /// Words: dictionary, postings, positions, lengths.
    Text,
    /// Tags and keywords.
    Tag,
    /// Content types and kinds.
    Type,
    /// Stored documents, columns of numbers and times, CIDs, and the segment's header.
    Metadata,
}

/// Identifies a page within its segment.
///
/// ```
/// use cim_ipld_index::{PageClass, PageId};
///
/// let id = PageId::new(PageClass::Dictionary, 3);
/// assert_eq!((id.class, id.ordinal), (PageClass::Dictionary, 3));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageId {
    /// The content of the page.
    pub class: PageClass,
    /// The number of the page within its class, consecutively from 0.
    pub ordinal: u32,
}

impl PageClass {
    /// All classes, in order of their codes.
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

    /// Returns the class with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Returns the sub-index to which pages of this class belong.
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
    /// Creates the id of page `ordinal` of `class`.
    pub const fn new(class: PageClass, ordinal: u32) -> Self {
        Self { class, ordinal }
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
