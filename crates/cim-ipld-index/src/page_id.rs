//! The names of segments, of their pages and of their documents.

use std::fmt;

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
    /// Counts, statistics and the top index of every table; all of it is resident in an open
    /// segment.
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
