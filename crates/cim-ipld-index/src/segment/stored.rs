//! Stored documents: pages of several whole documents, and large documents that take several pages.
//!
//! A page's payload starts with its kind. A packed page then contains the number of documents,
//! their lengths (varints) and their bytes; a part contains the next bytes of one large document.

use std::ops::Range;

use super::stream::{Emitter, new_page};
use crate::encoding::wire::{Reader, put_varint};
use crate::error::{Error, Result};
use crate::page::fetch::Fetcher;
use crate::page::{PAGE_BYTES, PAGE_PREFIX, PageClass, PageId, SegmentId};

const PACKED: u8 = 0;
const PART: u8 = 1;
const PART_BYTES: usize = 256 * 1024;
/// The maximum number of bytes before the lengths in a packed page.
const HEAD_BYTES: usize = 6;

/// Writes documents in the order of their ids.
#[derive(Default)]
pub(super) struct StoredWriter {
    lengths: Vec<u8>,
    bytes: Vec<u8>,
    count: u32,
    next: u32,
    first_documents: Vec<u32>,
}

/// The resident part: the first document of every page. All pages of a large document have the same
/// entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StoredTop {
    first_documents: Vec<u32>,
}

impl StoredWriter {
    pub(super) fn push(&mut self, document: &[u8], out: &mut Emitter<'_>) -> Result<()> {
        if document.len() >= PAGE_BYTES {
            self.flush(out)?;
            for part in document.chunks(PART_BYTES) {
                let mut page = new_page(PageClass::Stored);
                page.push(PART);
                page.extend_from_slice(part);
                out.emit(PageClass::Stored, page)?;
                self.first_documents.push(self.next);
            }
            self.next += 1;
            return Ok(());
        }
        if self.bytes.len() + document.len() > PAGE_BYTES {
            self.flush(out)?;
        }
        put_varint(&mut self.lengths, document.len() as u64);
        self.bytes.extend_from_slice(document);
        self.count += 1;
        self.next += 1;
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Emitter<'_>) -> Result<StoredTop> {
        self.flush(out)?;
        Ok(StoredTop { first_documents: self.first_documents })
    }

    fn flush(&mut self, out: &mut Emitter<'_>) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let mut page = new_page(PageClass::Stored);
        page.reserve_exact(HEAD_BYTES + self.lengths.len() + self.bytes.len());
        page.push(PACKED);
        put_varint(&mut page, u64::from(self.count));
        page.append(&mut self.lengths);
        page.append(&mut self.bytes);
        out.emit(PageClass::Stored, page)?;
        self.first_documents.push(self.next - self.count);
        self.count = 0;
        Ok(())
    }
}

impl StoredTop {
    pub(crate) fn page_count(&self) -> u32 {
        self.first_documents.len() as u32
    }

    pub(super) fn resident_bytes(&self) -> usize {
        self.first_documents.capacity() * size_of::<u32>()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.first_documents.len() as u64);
        let mut last = 0;
        for first in &self.first_documents {
            put_varint(out, u64::from(first - last));
            last = *first;
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>, document_count: u32) -> Result<Self> {
        let mut first_documents = Vec::new();
        let mut last = 0u32;
        for page in 0..reader.count()? {
            last = last
                .checked_add(reader.varint_u32()?)
                .filter(|first| *first < document_count && (page > 0 || *first == 0))
                .ok_or_else(|| Error::damaged("a page starts with a document that does not exist"))?;
            first_documents.push(last);
        }
        if first_documents.is_empty() != (document_count == 0) {
            return Err(Error::damaged("documents without pages or pages without documents"));
        }
        Ok(Self { first_documents })
    }

    /// Returns the pages that contain a document.
    pub(crate) fn pages_of(&self, document: u32) -> Range<u32> {
        let end = self.first_documents.partition_point(|first| *first <= document);
        let start = match end.checked_sub(1) {
            Some(last) => self.first_documents.partition_point(|first| *first < self.first_documents[last]),
            None => 0,
        };
        start as u32..end as u32
    }

    /// Returns the range of pages and the range of documents of the unit at `page`: a packed page
    /// with its documents, or the pages from `page` on that contain one large document, with this
    /// document.
    pub(crate) fn unit_of(&self, page: u32, document_count: u32) -> (Range<u32>, Range<u32>) {
        let first = self.first_documents[page as usize];
        let rest = &self.first_documents[page as usize..];
        let end = page + rest.iter().take_while(|other| **other == first).count() as u32;
        let next = self.first_documents.get(end as usize).copied().unwrap_or(document_count);
        (page..end, first..next)
    }

    /// Returns the bytes of a document, or `None` if a page is missing, which the fetcher records.
    pub(crate) fn document(&self, fetcher: &Fetcher<'_>, segment: SegmentId, document: u32) -> Result<Option<Vec<u8>>> {
        let pages = self.pages_of(document);
        let found: Vec<_> = pages.clone().map(|ordinal| fetcher.page(segment, stored_page(ordinal))).collect();
        let mut bytes = Vec::new();
        for (ordinal, page) in pages.zip(found) {
            let Some(page) = page else { return Ok(None) };
            let first = self.first_documents[ordinal as usize];
            read_page(page.payload(stored_page(ordinal)), document - first, &mut bytes)
                .map_err(|error| error.at(segment, stored_page(ordinal)))?;
        }
        Ok(Some(bytes))
    }

    /// Calls `each` with the id and the bytes of every document in a packed page. For a page of a
    /// large document, the bytes are only the part of the document in this page.
    pub(crate) fn visit_page(
        &self,
        payload: &[u8],
        ordinal: u32,
        mut each: impl FnMut(u32, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let first = self.first_documents[ordinal as usize];
        let mut reader = Reader::new(payload);
        if reader.u8()? == PART {
            return each(first, reader.take(reader.remaining())?);
        }
        let mut lengths = Vec::new();
        for _ in 0..reader.count()? {
            lengths.push(reader.varint()? as usize);
        }
        for (index, length) in lengths.into_iter().enumerate() {
            each(first + index as u32, reader.take(length)?)?;
        }
        if reader.is_empty() {
            Ok(())
        } else {
            Err(Error::damaged("trailing bytes follow the last document of a page"))
        }
    }
}

/// Returns whether a page of this kind holds a part of one large document.
pub(super) fn is_part(kind: u8) -> bool {
    kind == PART
}

/// Appends the bytes of document `index` of a page or, for a large document, the part of it in this
/// page.
fn read_page(payload: Result<&[u8]>, index: u32, out: &mut Vec<u8>) -> Result<()> {
    let mut reader = Reader::new(payload?);
    match reader.u8()? {
        PART if index == 0 => out.extend_from_slice(reader.take(reader.remaining())?),
        PACKED => {
            let count = reader.count()?;
            let (mut offset, mut length) = (0usize, None);
            for at in 0..count {
                let this = reader.count()?;
                if at < index as usize {
                    offset += this;
                } else if at == index as usize {
                    length = Some(this);
                }
            }
            let length = length.ok_or_else(|| Error::damaged("a page has fewer documents than recorded"))?;
            reader.take(offset)?;
            out.extend_from_slice(reader.take(length)?);
        }
        _ => return Err(Error::damaged("a page of documents has an unknown kind")),
    }
    Ok(())
}

pub(crate) fn stored_page(ordinal: u32) -> PageId {
    PageId::new(PageClass::Stored, ordinal)
}

const _: () = assert!(PART_BYTES + PAGE_PREFIX < crate::page::MAX_PAGE_BYTES);
