//! Reads columns: ranges, single documents, or all values.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::{BLOCK, Block, ColumnPlace, Number, Rest, block_bytes, block_len, width};
use crate::encoding::docset::BitSet;
use crate::encoding::wire::Reader;
use crate::error::{Error, Result};
use crate::page::fetch::Fetcher;
use crate::page::{PageClass, SegmentId};
use crate::segment::PagedBytes;

/// A column whose pages are all available.
pub(crate) struct Column {
    /// The documents with a number, or `None` if all have one.
    presence: Option<BitSet>,
    count: u32,
    blocks: Vec<Values>,
    /// The number of words of the presence set that [`seek`](Self::seek) has passed, and the number
    /// of documents in those words.
    passed: (usize, usize),
}

/// What is needed to read the columns of a segment.
#[derive(Clone, Copy)]
pub(crate) struct ColumnFetch<'a> {
    pub(in crate::segment) fetcher: &'a Fetcher<'a>,
    pub(in crate::segment) segment: SegmentId,
    pub(in crate::segment) stream_len: u64,
}

/// The values of one block.
struct Values {
    part: Part,
    min: u64,
    width: u32,
}

enum Part {
    Table(Box<[u8]>),
    Stream(PagedBytes),
}

impl ColumnPlace<'_> {
    /// Reads a part of the data after the table entry. Returns `None` if a page is missing.
    fn part(&self, fetch: &ColumnFetch<'_>, start: u64, len: u64) -> Result<Option<Part>> {
        match self.rest {
            Rest::Table(bytes) => {
                let part = usize::try_from(start).ok().zip(usize::try_from(start + len).ok());
                let part = part.and_then(|(start, end)| bytes.get(start..end));
                part.map(|part| Some(Part::Table(part.into()))).ok_or_else(|| Error::damaged("a column is truncated"))
            }
            Rest::Stream(offset) => {
                let start = offset.checked_add(start).filter(|start| start.checked_add(len).is_some());
                let start = start.ok_or_else(|| Error::damaged("a range is outside its stream"))?;
                let ColumnFetch { fetcher, segment, stream_len } = *fetch;
                let range = start..start + len;
                Ok(PagedBytes::fetch(fetcher, segment, PageClass::Columns, range, stream_len)?.map(Part::Stream))
            }
        }
    }

    /// Reads the documents with a value. The outer option is `None` if a page is missing, the inner
    /// one if all documents have a value.
    fn presence(&self, fetch: &ColumnFetch<'_>, document_count: u32) -> Result<Option<Option<BitSet>>> {
        if self.presence_len == 0 {
            return Ok(Some(None));
        }
        let Some(part) = self.part(fetch, 0, self.presence_len)? else { return Ok(None) };
        let mut set = BitSet::empty(document_count);
        set.insert_encoded(&mut Reader::new(&part.bytes()?))?;
        if set.count() != u64::from(self.count) {
            return Err(Error::damaged("a column has a different number of values than documents"));
        }
        Ok(Some(Some(set)))
    }

    /// Adds the documents whose value is in the range. Returns whether all required pages were
    /// available.
    ///
    /// Only blocks that straddle a bound are read.
    pub(crate) fn insert_range(
        &self,
        fetch: &ColumnFetch<'_>,
        range: &RangeInclusive<u64>,
        set: &mut BitSet,
    ) -> Result<bool> {
        let overlaps = |block: &Block| block.min <= *range.end() && block.max >= *range.start();
        let is_inside = |block: &Block| range.contains(&block.min) && range.contains(&block.max);
        if !self.blocks.iter().any(overlaps) {
            return Ok(true);
        }
        let presence = self.presence(fetch, set.len())?;
        let mut parts = Vec::with_capacity(self.blocks.len());
        let mut is_complete = presence.is_some();
        for (index, block) in self.blocks.iter().enumerate() {
            let part = if overlaps(block) && !is_inside(block) { self.block(fetch, index)? } else { None };
            is_complete &= part.is_some() || !overlaps(block) || is_inside(block);
            parts.push(part);
        }
        let Some(presence) = presence.filter(|_| is_complete) else { return Ok(false) };
        let mut visit = |rank: usize, document: u32| {
            let block = &self.blocks[rank / BLOCK];
            let is_in = match &parts[rank / BLOCK] {
                Some(values) => range.contains(&values.at(rank % BLOCK)),
                None => is_inside(block),
            };
            if is_in {
                set.insert(document);
            }
        };
        match presence {
            Some(presence) => presence.iter().enumerate().for_each(|(rank, document)| visit(rank, document)),
            None => (0..self.count).for_each(|document| visit(document as usize, document)),
        }
        Ok(true)
    }

    /// Opens the whole column. Returns `None` if a page is missing.
    pub(crate) fn open(&self, fetch: &ColumnFetch<'_>, document_count: u32) -> Result<Option<Column>> {
        let presence = self.presence(fetch, document_count)?;
        let blocks: Vec<_> = (0..self.blocks.len()).map(|index| self.block(fetch, index)).collect::<Result<_>>()?;
        let blocks = blocks.into_iter().collect::<Option<Vec<_>>>();
        Ok(presence.zip(blocks).map(|(presence, blocks)| Column {
            presence,
            count: self.count,
            blocks,
            passed: (0, 0),
        }))
    }

    fn block(&self, fetch: &ColumnFetch<'_>, index: usize) -> Result<Option<Values>> {
        let Block { min, max, start } = self.blocks[index];
        let width = width(min, max);
        let len = block_bytes(block_len(self.count, index), width);
        let part = self.part(fetch, self.presence_len.saturating_add(start), len)?;
        Ok(part.map(|part| Values { part, min, width }))
    }
}

impl Column {
    /// Returns the number of a document, if it has one. Documents must be given in increasing
    /// order.
    pub(crate) fn seek(&mut self, document: u32) -> Option<u64> {
        let rank = match &self.presence {
            None => document as usize,
            Some(presence) => {
                let (word, bit) = (document as usize / 64, 1u64 << (document % 64));
                let words = presence.words();
                let (passed, before) = &mut self.passed;
                *before += words[*passed..word].iter().map(|word| word.count_ones() as usize).sum::<usize>();
                *passed = word;
                if words[word] & bit == 0 {
                    return None;
                }
                *before + (words[word] & (bit - 1)).count_ones() as usize
            }
        };
        Some(self.at(rank))
    }

    /// Iterates over the documents with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Number> + '_ {
        let all = if self.presence.is_none() { 0..self.count } else { 0..0 };
        let documents = self.presence.iter().flat_map(BitSet::iter).chain(all);
        documents.enumerate().map(|(rank, document)| (document, self.at(rank)))
    }

    #[inline]
    fn at(&self, rank: usize) -> u64 {
        self.blocks[rank / BLOCK].at(rank % BLOCK)
    }
}

impl Values {
    #[inline]
    fn at(&self, index: usize) -> u64 {
        let bit = index * self.width as usize;
        let (byte, shift) = (bit / 8, (bit % 8) as u32);
        let mut value = u128::from(self.part.u64_at(byte));
        if shift + self.width > 64 {
            value |= u128::from(self.part.u64_at(byte + 8)) << 64;
        }
        let mask = (1u128 << self.width) - 1;
        self.min.wrapping_add(((value >> shift) & mask) as u64)
    }
}

impl Part {
    fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::Table(bytes) => Ok((&**bytes).into()),
            Self::Stream(bytes) => bytes.slice(0..bytes.len()),
        }
    }

    /// Returns eight bytes as a number. Bytes beyond the part are unspecified.
    #[inline]
    fn u64_at(&self, at: usize) -> u64 {
        match self {
            Self::Stream(bytes) => bytes.u64_at(at),
            Self::Table(bytes) => {
                let rest = bytes.get(at..).unwrap_or_default();
                match rest.first_chunk::<8>() {
                    Some(word) => u64::from_le_bytes(*word),
                    None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
                }
            }
        }
    }
}
