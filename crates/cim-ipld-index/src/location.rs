use crate::page::{DocId, SegmentId};

/// The location of a live document.
///
/// ```
/// use cim_ipld_index::{Analyzer, Deletes, DocId, Document, Location, Memtable, PageMap, Progress, ReadView};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// memtable.insert(&Document::new(cid))?;
/// let view = ReadView::new(Analyzer::default(), vec![], vec![(memtable.view(), Deletes::new())])?;
/// let found = view.locate(&[cid], &PageMap::new())?;
/// assert_eq!(found, Progress::Ready(vec![Some(Location::Memtable { index: 0, document: DocId(0) })]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Location {
    /// In a segment.
    Segment {
        /// The segment.
        segment: SegmentId,
        /// The document within the segment.
        document: DocId,
    },
    /// In a memtable.
    Memtable {
        /// The index of the memtable in the list from which the read view was created.
        index: usize,
        /// The document within the memtable.
        document: DocId,
    },
}
