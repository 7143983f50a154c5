use crate::page::{DocId, SegmentId};

/// Says where a live document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Location {
    /// In a segment.
    Segment {
        /// The segment.
        segment: SegmentId,
        /// The document in it.
        document: DocId,
    },
    /// In a memtable.
    Memtable {
        /// The memtable's place in the list the snapshot was made of.
        index: usize,
        /// The document in it.
        document: DocId,
    },
}
