//! Segments: immutable, sorted and divided into pages.

mod bloom;
mod build;
mod column;
mod header;
mod list;
mod salvage;
mod stored;
mod stream;
mod table;
mod writer;

pub(crate) use bloom::hash as cid_hash;
pub use build::build_segment;
pub(crate) use column::{Column, ColumnPlace, Number, encode as encode_column};
pub(crate) use list::{BLOCK, Directory, InlineList, ListPlace, PlaceKind, visit_positions};
pub use salvage::{Salvaged, salvage_cids, salvage_documents};
pub(crate) use stored::stored_page;
pub(crate) use stream::PagedBytes;
pub(crate) use table::{Entries, TableCursor, TableEntry};
pub(crate) use writer::{SegmentWriter, SetPlace, decode_set_value};

use column::ColumnFetch;
use header::{Header, norm_pages};

use crate::encoding::docset::{self, BitSet};
use crate::encoding::wire::Reader;
use crate::error::{Error, Result};
use crate::keys::{self, ColumnKind, FIELDS};
use crate::page::fetch::Fetcher;
use crate::page::{DocId, PAGE_BYTES, PAGE_PREFIX, Page, PageClass, PageId, SegmentId};
use crate::score::norm_of_length;

/// An open segment. Only its counts, statistics and top indexes are resident, which are small;
/// everything else is in pages.
///
/// ```
/// use cim_ipld_index::{Analyzer, Deletes, Document, Memtable, PageMap, Segment, SegmentId, build_segment};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// memtable.insert(&Document::new(cid))?;
/// let (id, mut pages) = (SegmentId([1; 16]), PageMap::new());
/// build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(id))?;
///
/// let segment = Segment::open(id, &pages.header(id))?;
/// assert_eq!(segment.document_count(), 1);
/// assert_eq!(segment.page_ids().count(), pages.iter().count());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Segment {
    id: SegmentId,
    header: Header,
}

/// The result of building or merging a segment.
///
/// ```
/// use cim_ipld_index::{Analyzer, Deletes, DocId, Document, Memtable, PageMap, SegmentId, build_segment};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// memtable.insert(&Document::new(cid))?;
/// let summary = build_segment(&memtable.view(), &Deletes::new(), &mut PageMap::new().sink(SegmentId([1; 16])))?;
/// assert_eq!((summary.document_count, summary.document_maps), (1, vec![vec![Some(DocId(0))]]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentSummary {
    /// The number of pages of each class. Classes without pages are omitted.
    pub pages: Vec<(PageClass, u32)>,
    /// The total size of all pages, in bytes.
    pub bytes: u64,
    /// The number of documents.
    pub document_count: u32,
    /// For each input, the new id of each of its documents, or `None` if it was deleted or a later
    /// input has the same CID.
    pub document_maps: Vec<Vec<Option<DocId>>>,
}

/// The length codes of one field, whose pages are all available.
#[derive(Debug, Clone)]
pub(crate) struct Norms {
    pages: Vec<Page>,
}

impl Segment {
    /// Opens a segment from its header pages, in order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) for a newer format,
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) for malformed bytes.
    pub fn open(id: SegmentId, header: &[Page]) -> Result<Self> {
        Ok(Self { id, header: Header::open(id, header)? })
    }

    /// Returns the id of the segment.
    pub fn id(&self) -> SegmentId {
        self.id
    }

    /// Returns the identity of the analyzer that the segment was built with.
    pub fn analyzer(&self) -> &str {
        &self.header.analyzer
    }

    /// Returns the number of documents, including deleted ones.
    pub fn document_count(&self) -> u32 {
        self.header.document_count
    }

    /// Returns the memory that the open segment occupies, in bytes.
    pub fn resident_bytes(&self) -> usize {
        size_of::<Self>() - size_of::<Header>() + self.header.resident_bytes()
    }

    /// Iterates over the ids of all pages, including the header.
    pub fn page_ids(&self) -> impl Iterator<Item = PageId> + '_ {
        PageClass::ALL
            .into_iter()
            .flat_map(|class| (0..self.header.page_count(class)).map(move |ordinal| PageId::new(class, ordinal)))
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Finds a key in a table. The outer option is `None` if a page is missing.
    pub(crate) fn find(
        &self,
        fetcher: &Fetcher<'_>,
        class: PageClass,
        key: &[u8],
    ) -> Result<Option<Option<TableEntry>>> {
        self.header.table(class).find(fetcher, self.id, key)
    }

    /// Returns the number of keys in a table that are at most `key`, or `None` if a page is
    /// missing.
    pub(crate) fn rank_above(&self, fetcher: &Fetcher<'_>, class: PageClass, key: &[u8]) -> Result<Option<u32>> {
        self.header.table(class).rank_above(fetcher, self.id, key)
    }

    /// Iterates over all entries of a table in order.
    pub(crate) fn entries<'a>(&'a self, fetcher: &'a Fetcher<'a>, class: PageClass) -> TableCursor<'a> {
        TableCursor::new(self.header.table(class), self.id, fetcher)
    }

    /// Returns a range of a stream, or `None` if a page is missing.
    pub(crate) fn stream(
        &self,
        fetcher: &Fetcher<'_>,
        class: PageClass,
        (offset, len): (u64, u64),
    ) -> Result<Option<PagedBytes>> {
        let Some(end) = offset.checked_add(len) else {
            return Err(Error::damaged("a range is outside its stream"));
        };
        PagedBytes::fetch(fetcher, self.id, class, offset..end, self.header.stream_len(class))
    }

    /// Returns the length codes of a field, or `None` if a page is missing.
    pub(crate) fn norms(&self, fetcher: &Fetcher<'_>, field: usize) -> Result<Option<Norms>> {
        let per_field = norm_pages(self.document_count());
        let mut pages = Vec::with_capacity(per_field as usize);
        for index in 0..per_field {
            let id = PageId::new(PageClass::Norms, field as u32 * per_field + index);
            let Some(page) = fetcher.page(self.id, id) else { continue };
            let expected = (self.document_count() as usize - index as usize * PAGE_BYTES).min(PAGE_BYTES);
            if page.payload(id).map_err(|error| error.at(self.id, id))?.len() != expected {
                return Err(Error::damaged("a page of lengths has the wrong length").at(self.id, id));
            }
            pages.push(page);
        }
        Ok((pages.len() == per_field as usize).then_some(Norms { pages }))
    }

    /// Finds a column. The outer option is `None` if a page is missing.
    pub(crate) fn find_column(
        &self,
        fetcher: &Fetcher<'_>,
        kind: ColumnKind,
        name: &str,
    ) -> Result<Option<Option<TableEntry>>> {
        self.find(fetcher, PageClass::Fields, &keys::column(kind, name))
    }

    /// Decodes the table entry of a column.
    pub(crate) fn column_place<'a>(&self, kind: ColumnKind, value: &'a [u8]) -> Result<ColumnPlace<'a>> {
        ColumnPlace::decode(kind, value, self.document_count())
    }

    /// Returns what is needed to read the columns of this segment.
    pub(crate) fn column_fetch<'a>(&self, fetcher: &'a Fetcher<'a>) -> ColumnFetch<'a> {
        ColumnFetch { fetcher, segment: self.id, stream_len: self.header.stream_len(PageClass::Columns) }
    }

    /// Opens a column. Returns `None` if a page is missing.
    pub(crate) fn open_column(&self, fetcher: &Fetcher<'_>, kind: ColumnKind, value: &[u8]) -> Result<Option<Column>> {
        self.column_place(kind, value)?.open(&self.column_fetch(fetcher), self.document_count())
    }

    /// Builds the length codes of an attribute from the table entry of its lengths. Returns `None`
    /// if a page is missing.
    pub(crate) fn attribute_norms(&self, fetcher: &Fetcher<'_>, lengths: &[u8]) -> Result<Option<Norms>> {
        let Some(column) = self.open_column(fetcher, ColumnKind::Length, lengths)? else { return Ok(None) };
        let mut codes = vec![0; self.document_count() as usize];
        for (document, length) in column.iter() {
            codes[document as usize] = norm_of_length(u32::try_from(length).unwrap_or(u32::MAX));
        }
        let pages = codes.chunks(PAGE_BYTES).map(|part| [&[0; PAGE_PREFIX], part].concat().into());
        Ok(Some(Norms { pages: pages.collect() }))
    }

    /// Returns whether the segment may contain a CID, or `None` if the filter's page is missing.
    pub(crate) fn may_contain(&self, fetcher: &Fetcher<'_>, cid: &[u8]) -> Result<Option<bool>> {
        if self.document_count() == 0 {
            return Ok(Some(false));
        }
        let len = self.header.stream_len(PageClass::CidFilter);
        let block = PagedBytes::fetch(fetcher, self.id, PageClass::CidFilter, bloom::range_of(cid, len), len)?;
        block.map(|block| bloom::may_contain(&block, cid)).transpose()
    }

    /// Returns an encoded document, or `None` if a page is missing.
    pub(crate) fn stored(&self, fetcher: &Fetcher<'_>, id: DocId) -> Result<Option<Vec<u8>>> {
        self.header.stored.document(fetcher, self.id, id.0)
    }

    /// Requests the pages that a set needs besides its table.
    pub(crate) fn request_set(&self, fetcher: &Fetcher<'_>, class: PageClass, value: &[u8]) -> Result<()> {
        if let SetPlace::Stream { offset, len } = decode_set_value(value)?.1 {
            self.stream(fetcher, stream_of(class), (offset, len))?;
        }
        Ok(())
    }

    /// Visits the documents of a tag, keyword or type, as far as pages are available.
    pub(crate) fn visit_set(
        &self,
        fetcher: &Fetcher<'_>,
        class: PageClass,
        value: &[u8],
        each: impl FnMut(u32),
    ) -> Result<()> {
        let (count, place) = decode_set_value(value)?;
        fetcher.meter().charge_current(1 + u64::from(count))?;
        match place {
            SetPlace::Table(bytes) => docset::decode(&mut Reader::new(bytes), each),
            SetPlace::Stream { offset, len } => match self.stream(fetcher, stream_of(class), (offset, len))? {
                Some(bytes) => docset::decode(&mut Reader::new(&bytes.slice(0..bytes.len())?), each),
                None => Ok(()),
            },
        }
    }

    /// Adds the documents of a tag, keyword or type to `set`. Returns whether all pages were
    /// available.
    pub(crate) fn insert_set(
        &self,
        fetcher: &Fetcher<'_>,
        class: PageClass,
        value: &[u8],
        set: &mut BitSet,
    ) -> Result<bool> {
        let (count, place) = decode_set_value(value)?;
        fetcher.meter().charge_current(1 + u64::from(count))?;
        match place {
            SetPlace::Table(bytes) => set.insert_encoded(&mut Reader::new(bytes))?,
            SetPlace::Stream { offset, len } => {
                let Some(bytes) = self.stream(fetcher, stream_of(class), (offset, len))? else { return Ok(false) };
                set.insert_encoded(&mut Reader::new(&bytes.slice(0..bytes.len())?))?;
            }
        }
        Ok(true)
    }
}

/// Returns the stream for the large sets of a table.
fn stream_of(class: PageClass) -> PageClass {
    if class == PageClass::Tags { PageClass::TagSets } else { PageClass::TypeSets }
}

impl Norms {
    /// Maps the codes of documents, given in increasing order, through `table`.
    #[inline]
    pub(crate) fn look_up(&self, documents: &[u32], table: &[f32; 256], out: &mut [f32]) {
        let (Some(first), Some(last)) = (documents.first(), documents.last()) else { return };
        let page = *first as usize / PAGE_BYTES;
        if page == *last as usize / PAGE_BYTES {
            let codes = &self.pages[page][PAGE_PREFIX..];
            for (document, value) in documents.iter().zip(out) {
                let code = codes.get(*document as usize % PAGE_BYTES).copied().unwrap_or_default();
                *value = table[usize::from(code)];
            }
        } else {
            for (document, value) in documents.iter().zip(out) {
                *value = table[usize::from(self.at(*document))];
            }
        }
    }

    /// Returns the code of a document, which must be in the segment.
    #[inline]
    pub(crate) fn at(&self, document: u32) -> u8 {
        let page = &self.pages[document as usize / PAGE_BYTES];
        page[PAGE_PREFIX + document as usize % PAGE_BYTES]
    }

    /// Returns the codes of `len` documents from `start` on, fewer at the end. They must all be in
    /// one page.
    #[inline]
    pub(crate) fn window(&self, start: u32, len: u32) -> &[u8] {
        let Some(page) = self.pages.get(start as usize / PAGE_BYTES) else { return &[] };
        let codes = &page[PAGE_PREFIX..];
        let start = start as usize % PAGE_BYTES;
        &codes[start.min(codes.len())..(start + len as usize).min(codes.len())]
    }
}

const _: () = assert!(FIELDS < 0x10);

/// Returns the expected CID filter of a segment whose CIDs have these hashes.
pub(crate) fn build_filter(cid_hashes: &[u64]) -> Vec<u8> {
    bloom::build(cid_hashes.iter().copied())
}
