//! Byte streams in pages of a fixed size, so that an offset determines the page.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::page::fetch::Fetcher;
use crate::page::{FORMAT_VERSION, PAGE_BYTES, PAGE_PREFIX, Page, PageClass, PageId, PageSink, SegmentId};

/// Passes finished pages to the sink and counts them.
pub(super) struct Emitter<'a> {
    sink: &'a mut dyn PageSink,
    counts: [u32; PageClass::ALL.len()],
    bytes: u64,
}

/// Writes a stream.
pub(super) struct StreamWriter {
    class: PageClass,
    page: Vec<u8>,
    len: u64,
}

/// A range of a stream whose pages are all available.
#[derive(Debug, Clone)]
pub(crate) struct PagedBytes {
    pages: Vec<(PageId, Page)>,
    /// The start of the range in the first page's payload.
    start: usize,
    len: usize,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(sink: &'a mut dyn PageSink) -> Self {
        Self { sink, counts: Default::default(), bytes: 0 }
    }

    /// Emits a page that [`new_page`] created, and returns its number.
    pub(super) fn emit(&mut self, class: PageClass, page: Vec<u8>) -> Result<u32> {
        let count = &mut self.counts[usize::from(class.code()) - 1];
        let ordinal = *count;
        *count = ordinal.checked_add(1).ok_or_else(too_large)?;
        self.bytes += page.len() as u64;
        self.sink.page(PageId::new(class, ordinal), page).map_err(|source| {
            Error::new(ErrorKind::Sink, format!("the sink refused page {}", PageId::new(class, ordinal)))
                .caused_by(source)
        })?;
        Ok(ordinal)
    }

    pub(super) fn count(&self, class: PageClass) -> u32 {
        self.counts[usize::from(class.code()) - 1]
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Creates a page with its prefix.
pub(super) fn new_page(class: PageClass) -> Vec<u8> {
    vec![FORMAT_VERSION, class.code()]
}

pub(super) fn too_large() -> Error {
    Error::new(ErrorKind::Full, "the segment exceeds the capacity of its format; build smaller segments")
}

impl StreamWriter {
    pub(super) fn new(class: PageClass) -> Self {
        Self { class, page: new_page(class), len: 0 }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn write(&mut self, mut bytes: &[u8], out: &mut Emitter<'_>) -> Result<()> {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = PAGE_PREFIX + PAGE_BYTES - self.page.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.page.extend_from_slice(now);
            bytes = later;
            if now.len() == room {
                // A stream that filled one page will probably fill the next.
                let mut next = Vec::with_capacity(PAGE_PREFIX + PAGE_BYTES);
                next.append(&mut new_page(self.class));
                out.emit(self.class, std::mem::replace(&mut self.page, next))?;
            }
        }
        Ok(())
    }

    /// Emits the last page and returns the stream's length.
    pub(super) fn finish(self, out: &mut Emitter<'_>) -> Result<u64> {
        let mut page = self.page;
        if page.len() > PAGE_PREFIX {
            page.shrink_to_fit();
            out.emit(self.class, page)?;
        }
        Ok(self.len)
    }
}

/// Returns the number of pages of a stream of `len` bytes.
pub(super) fn page_count(len: u64) -> u64 {
    len.div_ceil(PAGE_BYTES as u64)
}

impl PagedBytes {
    /// Returns the pages of a range of a stream, or `None` if some are missing, which the fetcher
    /// records.
    pub(crate) fn fetch(
        fetcher: &Fetcher<'_>,
        segment: SegmentId,
        class: PageClass,
        range: Range<u64>,
        stream_len: u64,
    ) -> Result<Option<Self>> {
        if range.start > range.end || range.end > stream_len {
            return Err(Error::damaged("a range is outside its stream"));
        }
        let len = usize::try_from(range.end - range.start).map_err(|_| Error::damaged("a range is too long"))?;
        let first = range.start / PAGE_BYTES as u64;
        let mut pages = Vec::new();
        let mut is_complete = true;
        for ordinal in first..if len == 0 { first } else { page_count(range.end) } {
            let id = PageId::new(class, u32::try_from(ordinal).map_err(|_| Error::damaged("a stream is too long"))?);
            let Some(page) = fetcher.page(segment, id) else {
                is_complete = false;
                if fetcher.is_full() {
                    break;
                }
                continue;
            };
            let expected = (stream_len - ordinal * PAGE_BYTES as u64).min(PAGE_BYTES as u64);
            let payload = page.payload(id).map_err(|error| error.at(segment, id))?;
            if payload.len() as u64 != expected {
                return Err(Error::damaged("a page of a stream has the wrong length").at(segment, id));
            }
            pages.push((id, page));
        }
        Ok(is_complete.then_some(Self { pages, start: (range.start % PAGE_BYTES as u64) as usize, len }))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns a part of the range, without copying if it lies within one page.
    #[inline]
    pub(crate) fn slice(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>> {
        if range.start > range.end || range.end > self.len {
            return Err(Error::damaged("a part of a list is outside the list"));
        }
        let (start, len) = (self.start + range.start, range.end - range.start);
        let offset = start % PAGE_BYTES;
        if offset + len <= PAGE_BYTES {
            return Ok(Cow::Borrowed(if len == 0 {
                &[]
            } else {
                &self.payload(start / PAGE_BYTES)[offset..offset + len]
            }));
        }
        let mut copy = Vec::with_capacity(len);
        let mut at = start;
        while copy.len() < len {
            let payload = &self.payload(at / PAGE_BYTES)[at % PAGE_BYTES..];
            let part = &payload[..payload.len().min(len - copy.len())];
            copy.extend_from_slice(part);
            at += part.len();
        }
        Ok(Cow::Owned(copy))
    }

    /// Returns eight bytes as a little-endian number. Bytes beyond the range's last page read as 0.
    #[inline]
    pub(crate) fn u64_at(&self, at: usize) -> u64 {
        let at = self.start + at;
        let (page, offset) = (at / PAGE_BYTES, at % PAGE_BYTES);
        let page = self.pages.get(page).and_then(|(_, page)| page.get(PAGE_PREFIX + offset..));
        match page.and_then(|rest| rest.first_chunk::<8>()) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => self.u64_over_pages(at),
        }
    }

    #[cold]
    fn u64_over_pages(&self, at: usize) -> u64 {
        (0..8).fold(0, |word, index| word | u64::from(self.byte(at + index)) << (8 * index))
    }

    fn byte(&self, at: usize) -> u8 {
        let (page, offset) = (at / PAGE_BYTES, at % PAGE_BYTES);
        if page < self.pages.len() { self.payload(page).get(offset).copied().unwrap_or(0) } else { 0 }
    }

    #[inline]
    fn payload(&self, index: usize) -> &[u8] {
        &self.pages[index].1[PAGE_PREFIX..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{PageMap, Progress};

    #[test]
    fn a_stream_that_is_said_to_be_endless_is_not_asked_for_at_once() {
        let (segment, pages) = (SegmentId([1; 16]), PageMap::new());
        for (page_count, expected) in [(100, 100), (1 << 20, 1 << 16), (u64::from(u32::MAX), 1 << 16)] {
            let fetcher = Fetcher::new(&pages);
            let len = page_count * PAGE_BYTES as u64;
            let found = PagedBytes::fetch(&fetcher, segment, PageClass::Postings, 0..len, len).unwrap();
            assert!(found.is_none());
            let Progress::Need(missing) = fetcher.need::<()>() else { panic!("no page is available") };
            assert_eq!(missing.len(), expected, "{page_count}");
        }
    }
}
