//! Reads posting lists.

use bitpacking::{BitPacker, BitPacker4x};

use super::super::stream::PagedBytes;
use super::{BLOCK, BLOCK_META, MAX_DOCUMENT_WIDTH, MAX_INLINE, MAX_INLINE_POSITIONS, TAIL_META};
use crate::encoding::wire::Reader;
use crate::error::{Error, Result};
use crate::page::MAX_SEGMENT_DOCUMENTS;
use crate::score::Bound;

/// A decoded dictionary value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListPlace<'a> {
    pub(crate) document_frequency: u32,
    pub(crate) kind: PlaceKind<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceKind<'a> {
    Inline(&'a [u8]),
    Streams { postings: (u64, u64), positions: (u64, u64) },
}

/// The directory of a list: everything except the postings themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    /// The start of every full block and of the tail within the list.
    starts: Vec<u32>,
    /// The ends of positions, the widths and the bounds, in stored form.
    columns: Vec<u8>,
    tail_len: usize,
    tail_end: usize,
}

/// An inline list.
#[derive(Debug, Clone)]
pub(crate) struct InlineList {
    bytes: Box<[u8]>,
    count: usize,
    documents: [u32; MAX_INLINE],
    frequencies: [u32; MAX_INLINE],
    /// The start of each posting's positions in the bytes.
    positions_at: [usize; MAX_INLINE],
}

impl<'a> ListPlace<'a> {
    pub(crate) fn decode(value: &'a [u8], document_count: u32) -> Result<Self> {
        let mut reader = Reader::new(value);
        let head = reader.varint()?;
        let document_frequency = u32::try_from(head >> 1).ok().filter(|df| (1..=document_count).contains(df));
        let Some(document_frequency) = document_frequency else {
            return Err(Error::damaged("a word has a document frequency of zero or above the number of documents"));
        };
        if head & 1 == 1 {
            if document_frequency as usize > MAX_INLINE {
                return Err(Error::damaged("an inline list is too long"));
            }
            let rest = reader.take(reader.remaining())?;
            return Ok(Self { document_frequency, kind: PlaceKind::Inline(rest) });
        }
        let postings = (reader.varint()?, reader.varint()?);
        let positions = (reader.varint()?, reader.varint()?);
        Ok(Self { document_frequency, kind: PlaceKind::Streams { postings, positions } })
    }
}

impl InlineList {
    /// Decodes and checks a list of `document_frequency` postings.
    pub(crate) fn decode(bytes: &[u8], document_frequency: u32, document_count: u32) -> Result<Self> {
        let mut list = Self {
            bytes: bytes.into(),
            count: document_frequency as usize,
            documents: [0; MAX_INLINE],
            frequencies: [0; MAX_INLINE],
            positions_at: [0; MAX_INLINE],
        };
        let mut index = 0;
        Self::visit(bytes, document_frequency, document_count, |document, frequency, positions_at| {
            list.documents[index] = document;
            list.frequencies[index] = frequency;
            list.positions_at[index] = positions_at;
            index += 1;
        })?;
        Ok(list)
    }

    /// Decodes and checks an inline list of `document_frequency` postings, and calls `each` with
    /// every document, its frequency, and the start of its positions.
    #[inline]
    pub(crate) fn visit(
        bytes: &[u8],
        document_frequency: u32,
        document_count: u32,
        mut each: impl FnMut(u32, u32, usize),
    ) -> Result<()> {
        let mut reader = Reader::new(bytes);
        let mut next = 0u32;
        for _ in 0..document_frequency.min(MAX_INLINE as u32) {
            let document = next.checked_add(reader.varint_u32()?).filter(|document| *document < document_count);
            let document = document.ok_or_else(|| Error::damaged("a list contains a document that does not exist"))?;
            let frequency = reader.varint_u32()?;
            if frequency == 0 || frequency as usize > MAX_INLINE_POSITIONS {
                return Err(Error::damaged("an inline list has an impossible frequency"));
            }
            each(document, frequency, bytes.len() - reader.remaining());
            let mut last = 0u32;
            for _ in 0..frequency {
                let sum = last.checked_add(reader.varint_u32()?);
                last = sum.ok_or_else(|| Error::damaged("a position is too large"))?;
            }
            next = document + 1;
        }
        if reader.is_empty() { Ok(()) } else { Err(Error::damaged("trailing bytes follow an inline list")) }
    }

    pub(crate) fn documents(&self) -> &[u32] {
        &self.documents[..self.count]
    }

    pub(crate) fn frequencies(&self) -> &[u32] {
        &self.frequencies[..self.count]
    }

    /// Visits the positions of one posting.
    pub(crate) fn visit_positions(&self, index: usize, mut each: impl FnMut(u32)) -> Result<()> {
        let mut reader = Reader::new(&self.bytes[self.positions_at[index]..]);
        let mut last = 0u32;
        for _ in 0..self.frequencies[index] {
            last = last.saturating_add(reader.varint_u32()?);
            each(last);
        }
        Ok(())
    }
}

impl Directory {
    /// Reads the directory and checks its plausibility. Writes the last document of every block to
    /// `last`, including an upper bound for the tail.
    pub(crate) fn read(&mut self, list: &PagedBytes, df: u32, document_count: u32, last: &mut Vec<u32>) -> Result<()> {
        let blocks = df as usize / BLOCK;
        let tail_len = df as usize % BLOCK;
        let meta_len = blocks * BLOCK_META + if tail_len > 0 { TAIL_META } else { 0 };
        let Some(tail_end) = list.len().checked_sub(meta_len) else {
            return Err(Error::damaged("a list is shorter than its blocks"));
        };
        let meta = list.slice(tail_end..list.len())?;
        let (lasts, columns) = meta.split_at(4 * blocks);
        last.clear();
        last.extend(lasts.as_chunks().0.iter().map(|last| u32::from_le_bytes(*last)));
        self.starts.clear();
        self.starts.push(0);
        let mut start = 0u32;
        let widths = &columns[4 * blocks..7 * blocks];
        let (document_widths, other_widths) = widths.split_at(blocks);
        // No early exit, so the loops vectorize.
        let widest = |widths: &[u8]| widths.iter().fold(0, |widest, width| widest.max(*width));
        if widest(document_widths) > MAX_DOCUMENT_WIDTH || widest(other_widths) > 32 {
            return Err(Error::damaged("a block exceeds the maximum bit width"));
        }
        self.starts.extend(document_widths.iter().zip(other_widths).map(|(documents, frequencies)| {
            start += 16 * u32::from(documents + frequencies);
            start
        }));
        let is_sorted = !last.windows(2).fold(false, |is_bad, pair| is_bad | (pair[0] >= pair[1]));
        if !is_sorted || last.last().is_some_and(|last| *last >= document_count) || start as usize > tail_end {
            return Err(Error::damaged("the blocks of a list have impossible locations"));
        }
        if tail_len > 0 {
            if columns[columns.len() - TAIL_META] > 32 {
                return Err(Error::damaged("a block exceeds the maximum bit width"));
            }
            // The tail's last document is unknown until it is decoded; this is its upper bound.
            last.push(document_count - 1);
        } else if start as usize != tail_end {
            return Err(Error::damaged("trailing bytes follow the last block of a list"));
        }
        self.columns.clear();
        self.columns.extend_from_slice(columns);
        (self.tail_len, self.tail_end) = (tail_len, tail_end);
        Ok(())
    }

    /// Returns the bound of a block.
    #[inline]
    pub(crate) fn bound(&self, block: usize) -> Bound {
        let blocks = self.full_blocks();
        match block < blocks {
            true => Bound::from_bytes(std::array::from_fn(|part| self.columns[(7 + part) * blocks + block])),
            false => {
                let tail = &self.columns[self.columns.len() - TAIL_META + 1..];
                Bound::from_bytes([tail[0], tail[1], tail[2], tail[3]])
            }
        }
    }

    /// Returns the bounds of all blocks.
    pub(crate) fn bounds(&self) -> impl Iterator<Item = Bound> {
        let blocks = self.full_blocks();
        let column = |part: usize| &self.columns[(7 + part) * blocks..(8 + part) * blocks];
        let first = column(0).iter().zip(column(1));
        let second = column(2).iter().zip(column(3));
        let full = first.zip(second).map(|((a, b), (c, d))| Bound::from_bytes([*a, *b, *c, *d]));
        full.chain((self.tail_len > 0).then(|| self.bound(blocks)))
    }

    /// Decodes the documents of a block. Returns their number, and whether their frequencies were
    /// decoded too.
    ///
    /// The block is given by its number, the last document of the previous block, and its own last
    /// document.
    #[inline]
    pub(crate) fn load_documents(
        &self,
        list: &PagedBytes,
        (block, before, last): (usize, Option<u32>, u32),
        document_count: u32,
        documents: &mut [u32; BLOCK],
        frequencies: &mut [u32; BLOCK],
    ) -> Result<(usize, bool)> {
        let full_blocks = self.full_blocks();
        if block >= full_blocks {
            let tail = list.slice(self.starts[full_blocks] as usize..self.tail_end)?;
            decode_tail(&tail, before, document_count, &mut documents[..self.tail_len], frequencies)?;
            return Ok((self.tail_len, true));
        }
        let start = self.starts[block] as usize;
        let width = self.width(0, block);
        let bytes = list.slice(start..start + 16 * usize::from(width))?;
        BitPacker4x::new().decompress_strictly_sorted(before, &bytes, &mut documents[..], width);
        // Differences are at least 1 and at most 2^24, so documents increase and the last one
        // bounds them all.
        if documents[BLOCK - 1] != last {
            return Err(Error::damaged("a block does not end with its recorded last document"));
        }
        Ok((BLOCK, false))
    }

    /// Decodes the frequencies of a full block.
    #[inline]
    pub(crate) fn load_frequencies(
        &self,
        list: &PagedBytes,
        block: usize,
        frequencies: &mut [u32; BLOCK],
    ) -> Result<()> {
        let width = self.width(1, block);
        if width == 0 {
            *frequencies = [1; BLOCK];
            return Ok(());
        }
        let end = self.starts[block + 1] as usize;
        let bytes = list.slice(end - 16 * usize::from(width)..end)?;
        BitPacker4x::new().decompress(&bytes, &mut frequencies[..], width);
        for frequency in frequencies.iter_mut() {
            *frequency = frequency.wrapping_add(1);
        }
        Ok(())
    }

    /// Returns the start of a block's positions, in bits, and their width.
    pub(crate) fn positions_of(&self, block: usize) -> (usize, u32) {
        let start = block.checked_sub(1).and_then(|before| self.positions_end(before)).unwrap_or(0);
        let width = match block < self.full_blocks() {
            true => self.width(2, block),
            false => self.columns[self.columns.len() - TAIL_META],
        };
        (start as usize * 8, u32::from(width))
    }

    /// Returns the end of a block's positions, in bytes, or `None` for a tail, whose positions end
    /// with the list's.
    pub(crate) fn positions_end(&self, block: usize) -> Option<u32> {
        (block < self.full_blocks()).then(|| word(&self.columns[4 * block..4 * block + 4]))
    }

    fn full_blocks(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns the bit width of documents, frequencies or positions of a full block.
    #[inline]
    fn width(&self, part: usize, block: usize) -> u8 {
        let blocks = self.full_blocks();
        self.columns[(4 + part) * blocks + block]
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn decode_tail(
    bytes: &[u8],
    before: Option<u32>,
    document_count: u32,
    documents: &mut [u32],
    frequencies: &mut [u32; BLOCK],
) -> Result<()> {
    let mut rest = bytes;
    let mut next = before.map_or(0, |last| last + 1);
    for (document, frequency) in documents.iter_mut().zip(frequencies) {
        let head;
        (head, *frequency, rest) = match short_posting(rest) {
            Some(posting) => posting,
            None => long_posting(rest)?,
        };
        *document = next + (head >> 1);
        if *document >= document_count.min(MAX_SEGMENT_DOCUMENTS) {
            return Err(Error::damaged("a list contains a document that does not exist"));
        }
        if *frequency == 0 {
            return Err(Error::damaged("a list has a posting without occurrences"));
        }
        next = *document + 1;
    }
    if rest.is_empty() { Ok(()) } else { Err(Error::damaged("trailing bytes follow the last posting of a list")) }
}

/// Decodes a posting of at most three bytes if at least four bytes remain, without branching on the
/// length of the head or the presence of a frequency. Returns the head, the frequency and the
/// remaining bytes.
#[inline]
fn short_posting(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let [a, b, c, _, ..] = *bytes else { return None };
    let has_two = a >> 7;
    let head = u32::from(a & 0x7f) | u32::from(b & (0x7f * has_two)) << 7;
    let is_one = head as u8 & 1;
    let after = if has_two == 1 { c } else { b };
    let frequency = if is_one == 1 { 1 } else { after };
    // A three-byte head or a two-byte frequency is rare.
    if has_two & (b >> 7) | frequency >> 7 == 1 {
        return None;
    }
    Some((head, u32::from(frequency), &bytes[usize::from(1 + has_two + (is_one ^ 1))..]))
}

fn long_posting(bytes: &[u8]) -> Result<(u32, u32, &[u8])> {
    let mut reader = Reader::new(bytes);
    let head = reader.varint_u32()?;
    let frequency = if head & 1 == 1 { 1 } else { reader.varint_u32()? };
    Ok((head, frequency, &bytes[bytes.len() - reader.remaining()..]))
}

/// Visits `count` positions of one posting, which start `skip` positions after the start of their
/// block.
///
/// Returns `Damaged` if the range ends beyond `positions`. Positions that wrongly reach into the
/// next block are not noticed here.
#[inline]
pub(crate) fn visit_positions(
    positions: &PagedBytes,
    (start_bit, width): (usize, u32),
    skip: usize,
    count: usize,
    mut each: impl FnMut(u32),
) -> Result<()> {
    let mut bit = start_bit + skip * width as usize;
    let end = bit + count * width as usize;
    if end.div_ceil(8) > positions.len() {
        return Err(Error::damaged("positions are outside their list"));
    }
    if width == 0 && count > 1 {
        return Err(Error::damaged("a word has a repeated position"));
    }
    let mask = (1u64 << width) - 1;
    let mut last = 0u32;
    for _ in 0..count {
        let difference = (positions.u64_at(bit / 8) >> (bit % 8)) & mask;
        last = last.saturating_add(difference as u32);
        each(last);
        bit += width as usize;
    }
    Ok(())
}
