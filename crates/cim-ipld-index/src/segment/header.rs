//! The header: the part of a segment that is resident while it is open.

use super::bloom;
use super::stored::StoredTop;
use super::stream::{Emitter, new_page, page_count};
use super::table::TableTop;
use crate::encoding::wire::{Reader, put_bytes, put_varint};
use crate::error::{Error, Result};
use crate::keys::FIELDS;
use crate::page::{MAX_SEGMENT_DOCUMENTS, PAGE_BYTES, Page, PageClass, PageId, SegmentId};

/// The payload size of a header page.
const PART_BYTES: usize = 256 * 1024;

/// The tables, in header order.
pub(super) const TABLES: [PageClass; 5] =
    [PageClass::Dictionary, PageClass::Cids, PageClass::Tags, PageClass::Types, PageClass::Fields];
/// The streams, in header order.
pub(super) const STREAMS: [PageClass; 6] = [
    PageClass::Postings,
    PageClass::Positions,
    PageClass::TagSets,
    PageClass::TypeSets,
    PageClass::CidFilter,
    PageClass::Columns,
];

/// The counts, statistics and top indexes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) analyzer: String,
    pub(crate) document_count: u32,
    pub(crate) total_words: [u64; FIELDS],
    /// The number of distinct words, tags and content types.
    pub(crate) distinct: [u64; 3],
    pub(crate) kinds: [u32; 4],
    pub(crate) streams: [u64; STREAMS.len()],
    pub(crate) tables: [TableTop; TABLES.len()],
    pub(crate) stored: StoredTop,
}

impl Header {
    pub(crate) fn table(&self, class: PageClass) -> &TableTop {
        match TABLES.iter().position(|table| *table == class) {
            Some(index) => &self.tables[index],
            None => unreachable!("only tables are asked for"),
        }
    }

    pub(crate) fn stream_len(&self, class: PageClass) -> u64 {
        STREAMS.iter().position(|stream| *stream == class).map_or(0, |index| self.streams[index])
    }

    /// Returns the number of pages of a class; for headers, the number that the encoded header
    /// takes.
    pub(crate) fn page_count(&self, class: PageClass) -> u32 {
        match class {
            PageClass::Header => self.encode().len().div_ceil(PART_BYTES) as u32,
            PageClass::Norms => FIELDS as u32 * norm_pages(self.document_count),
            PageClass::Stored => self.stored.page_count(),
            class if TABLES.contains(&class) => self.table(class).page_count(),
            class => page_count(self.stream_len(class)) as u32,
        }
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        size_of::<Self>()
            + self.analyzer.capacity()
            + self.tables.iter().map(TableTop::resident_bytes).sum::<usize>()
            + self.stored.resident_bytes()
    }

    pub(super) fn emit(&self, out: &mut Emitter<'_>) -> Result<()> {
        let bytes = self.encode();
        for part in bytes.chunks(PART_BYTES) {
            let mut page = new_page(PageClass::Header);
            page.extend_from_slice(part);
            out.emit(PageClass::Header, page)?;
        }
        Ok(())
    }

    pub(super) fn open(segment: SegmentId, pages: &[Page]) -> Result<Self> {
        let mut bytes = Vec::new();
        for (ordinal, page) in pages.iter().enumerate() {
            let id = PageId::new(PageClass::Header, ordinal as u32);
            bytes.extend_from_slice(page.payload(id).map_err(|error| error.at(segment, id))?);
        }
        Self::decode(&bytes).map_err(|error| error.at(segment, PageId::new(PageClass::Header, 0)))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, self.analyzer.as_bytes());
        put_varint(&mut out, u64::from(self.document_count));
        for number in self.total_words.iter().chain(&self.distinct) {
            put_varint(&mut out, *number);
        }
        self.kinds.iter().for_each(|kind| put_varint(&mut out, u64::from(*kind)));
        self.streams.iter().for_each(|len| put_varint(&mut out, *len));
        self.tables.iter().for_each(|table| table.encode(&mut out));
        self.stored.encode(&mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let analyzer = reader.str()?.to_owned();
        let document_count = reader.varint_u32()?;
        if document_count > MAX_SEGMENT_DOCUMENTS {
            return Err(Error::damaged("a segment's number of documents exceeds the maximum"));
        }
        let mut numbers = [0u64; FIELDS + 3 + 4 + STREAMS.len()];
        for number in &mut numbers {
            *number = reader.varint()?;
        }
        let (total_words, rest) = numbers.split_at(FIELDS);
        let (distinct, rest) = rest.split_at(3);
        let (kinds, streams) = rest.split_at(4);
        if kinds.iter().fold(0u64, |sum, kind| sum.saturating_add(*kind)) != u64::from(document_count) {
            return Err(Error::damaged("a segment's document kinds do not add up to its documents"));
        }
        let mut tables = TABLES.map(TableTop::new);
        for (table, class) in tables.iter_mut().zip(TABLES) {
            *table = TableTop::decode(class, &mut reader)?;
        }
        let header = Self {
            analyzer,
            document_count,
            total_words: copy(total_words),
            distinct: copy(distinct),
            kinds: copy(kinds).map(|kind: u64| kind as u32),
            streams: copy(streams),
            tables,
            stored: StoredTop::decode(&mut reader, document_count)?,
        };
        header.check()?;
        if reader.is_empty() { Ok(header) } else { Err(Error::damaged("trailing bytes follow a header")) }
    }

    fn check(&self) -> Result<()> {
        if self.table(PageClass::Cids).entry_count() != self.document_count {
            return Err(Error::damaged("a segment has a different number of CIDs than documents"));
        }
        if self.stream_len(PageClass::CidFilter) != bloom::stream_len(self.document_count) {
            return Err(Error::damaged("a segment's CID filter has the wrong size"));
        }
        if self.streams.iter().any(|len| page_count(*len) > u64::from(u32::MAX)) {
            return Err(Error::damaged("a stream exceeds the maximum length"));
        }
        Ok(())
    }
}

/// Returns the number of pages for the lengths of one field.
pub(crate) fn norm_pages(document_count: u32) -> u32 {
    document_count.div_ceil(PAGE_BYTES as u32)
}

fn copy<T: Copy + Default, const N: usize>(from: &[T]) -> [T; N] {
    std::array::from_fn(|index| from.get(index).copied().unwrap_or_default())
}
