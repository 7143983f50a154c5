//! Posting lists of a segment.
//!
//! A dictionary value starts with `document frequency << 1 | inline`. An inline list (at most four postings) follows at
//! once: per posting the document's distance from the one before (varint), the frequency (varint), the positions (varint
//! differences). Any other value gives the places of the list in the postings stream and of its positions in theirs:
//! two offsets and two lengths (varints).
//!
//! A list in the postings stream is its full blocks of 128 postings, its tail, and what a reader needs first:
//!
//! * block: documents (strictly sorted, bit-packed differences), then frequencies less one (bit-packed);
//! * tail: per posting `distance << 1 | frequency is 1` and, if it is not 1, the frequency (varints);
//! * per block, each as an array over all blocks: last document (u32), end of its positions (u32), width of documents,
//!   width of frequencies, width of positions, bound's frequency, bound's length code (u8 each);
//! * if there is a tail: width of its positions, bound's frequency, bound's length code (u8 each).
//!
//! Positions of a block are its postings' positions in order, in the width of the largest, least significant bits first;
//! the first of a posting stands as it is, the others as differences.

use bitpacking::{BitPacker, BitPacker4x};

use super::stream::{Emitter, PagedBytes, StreamWriter, too_large};
use crate::error::{Error, Result};
use crate::page::MAX_SEGMENT_DOCUMENTS;
use crate::score::{Bound, BoundBuilder};
use crate::wire::{Reader, put_varint};

/// Postings of a full block.
pub(crate) const BLOCK: usize = BitPacker4x::BLOCK_LEN;
/// The longest list that stands in the dictionary itself.
pub(crate) const MAX_INLINE: u32 = 4;
/// The most positions of a list that stands in the dictionary itself.
const MAX_INLINE_POSITIONS: usize = 32;
/// The bytes of a block in the arrays that follow the tail.
const BLOCK_META: usize = 13;
const TAIL_META: usize = 3;
/// The widest document difference: sums of 128 of them stay below 2^32.
const MAX_DOCUMENT_WIDTH: u8 = 24;

/// Writes one list after another.
pub(super) struct ListWriter {
    documents: Vec<u32>,
    frequencies: Vec<u32>,
    positions: Vec<u32>,
    bound: BoundBuilder,
    metas: Vec<BlockMeta>,
    last_document: Option<u32>,
    postings_start: u64,
    positions_start: u64,
    document_frequency: u32,
    bytes: Vec<u8>,
}

/// The streams that lists go to.
pub(super) struct ListStreams {
    pub(super) postings: StreamWriter,
    pub(super) positions: StreamWriter,
}

struct BlockMeta {
    last: u32,
    positions_end: u32,
    widths: [u8; 3],
    bound: Bound,
}

/// A dictionary value.
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

/// The directory of a list: everything but the postings themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    /// The last document of every block, a tail included.
    pub(crate) last: Vec<u32>,
    pub(crate) bounds: Vec<Bound>,
    /// The start of every full block, and of the tail, in the list.
    starts: Vec<u32>,
    widths: Vec<[u8; 3]>,
    positions_ends: Vec<u32>,
    tail_len: usize,
    tail_end: usize,
}

/// One posting of an inline list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InlinePosting {
    pub(crate) document: u32,
    pub(crate) frequency: u32,
    pub(crate) positions: Vec<u32>,
}

impl ListWriter {
    pub(super) fn new() -> Self {
        Self {
            documents: Vec::with_capacity(BLOCK),
            frequencies: Vec::with_capacity(BLOCK),
            positions: Vec::new(),
            bound: BoundBuilder::default(),
            metas: Vec::new(),
            last_document: None,
            postings_start: 0,
            positions_start: 0,
            document_frequency: 0,
            bytes: Vec::new(),
        }
    }

    /// Adds a posting: documents and positions come in increasing order.
    pub(super) fn push(
        &mut self,
        document: u32,
        norm: u8,
        positions: &[u32],
        streams: &mut ListStreams,
        out: &mut Emitter<'_>,
    ) -> Result<()> {
        if self.document_frequency == 0 {
            (self.postings_start, self.positions_start) = (streams.postings.len(), streams.positions.len());
        }
        if self.documents.len() == BLOCK {
            self.flush_block(streams, out)?;
        }
        self.document_frequency += 1;
        self.documents.push(document);
        self.frequencies.push(positions.len() as u32);
        self.bound.add(positions.len() as u32, norm);
        let mut last = 0;
        for position in positions {
            self.positions.push(position - last);
            last = *position;
        }
        Ok(())
    }

    /// Ends the list and returns its dictionary value.
    pub(super) fn finish(&mut self, streams: &mut ListStreams, out: &mut Emitter<'_>) -> Result<Vec<u8>> {
        let mut value = Vec::new();
        let is_inline = self.document_frequency <= MAX_INLINE && self.positions.len() <= MAX_INLINE_POSITIONS;
        put_varint(&mut value, u64::from(self.document_frequency) << 1 | u64::from(is_inline));
        if is_inline {
            self.put_inline(&mut value);
        } else {
            if self.documents.len() == BLOCK {
                self.flush_block(streams, out)?;
            }
            self.flush_tail(streams, out)?;
            put_varint(&mut value, self.postings_start);
            put_varint(&mut value, streams.postings.len() - self.postings_start);
            put_varint(&mut value, self.positions_start);
            put_varint(&mut value, streams.positions.len() - self.positions_start);
        }
        self.documents.clear();
        self.frequencies.clear();
        self.positions.clear();
        self.metas.clear();
        self.bound = BoundBuilder::default();
        self.last_document = None;
        self.document_frequency = 0;
        Ok(value)
    }

    fn put_inline(&self, value: &mut Vec<u8>) {
        let mut positions = self.positions.iter();
        let mut before = 0;
        for (document, frequency) in self.documents.iter().zip(&self.frequencies) {
            put_varint(value, u64::from(document - before));
            put_varint(value, u64::from(*frequency));
            positions.by_ref().take(*frequency as usize).for_each(|p| put_varint(value, u64::from(*p)));
            before = document + 1;
        }
    }

    fn flush_block(&mut self, streams: &mut ListStreams, out: &mut Emitter<'_>) -> Result<()> {
        let packer = BitPacker4x::new();
        let width = packer.num_bits_strictly_sorted(self.last_document, &self.documents);
        self.bytes.resize(2 * 4 * BLOCK, 0);
        let mut len = packer.compress_strictly_sorted(self.last_document, &self.documents, &mut self.bytes, width);
        self.frequencies.iter_mut().for_each(|frequency| *frequency -= 1);
        let frequency_width = packer.num_bits(&self.frequencies);
        len += packer.compress(&self.frequencies, &mut self.bytes[len..], frequency_width);
        streams.postings.write(&self.bytes[..len], out)?;
        let last = self.documents[BLOCK - 1];
        let positions_width = self.flush_positions(streams, out)?;
        let positions_end = self.positions_end(streams)?;
        let bound = std::mem::take(&mut self.bound).finish();
        self.metas.push(BlockMeta { last, positions_end, widths: [width, frequency_width, positions_width], bound });
        self.last_document = Some(last);
        self.documents.clear();
        self.frequencies.clear();
        Ok(())
    }

    fn flush_tail(&mut self, streams: &mut ListStreams, out: &mut Emitter<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        let mut before = self.last_document.map_or(0, |last| last + 1);
        for (document, frequency) in self.documents.iter().zip(&self.frequencies) {
            put_varint(&mut bytes, u64::from(document - before) << 1 | u64::from(*frequency == 1));
            if *frequency != 1 {
                put_varint(&mut bytes, u64::from(*frequency));
            }
            before = document + 1;
        }
        let positions_width = self.flush_positions(streams, out)?;
        self.positions_end(streams)?;
        let metas = &self.metas;
        metas.iter().for_each(|meta| bytes.extend(meta.last.to_le_bytes()));
        metas.iter().for_each(|meta| bytes.extend(meta.positions_end.to_le_bytes()));
        for part in 0..3 {
            bytes.extend(metas.iter().map(|meta| meta.widths[part]));
        }
        bytes.extend(metas.iter().map(|meta| meta.bound.frequency));
        bytes.extend(metas.iter().map(|meta| meta.bound.norm));
        if !self.documents.is_empty() {
            let bound = std::mem::take(&mut self.bound).finish();
            bytes.extend([positions_width, bound.frequency, bound.norm]);
        }
        streams.postings.write(&bytes, out)
    }

    fn flush_positions(&mut self, streams: &mut ListStreams, out: &mut Emitter<'_>) -> Result<u8> {
        let width = self.positions.iter().max().map_or(0, |max| 32 - max.leading_zeros());
        let mut bytes = Vec::with_capacity((self.positions.len() * width as usize).div_ceil(8));
        let (mut word, mut filled) = (0u64, 0);
        for position in self.positions.drain(..) {
            word |= u64::from(position) << filled;
            filled += width;
            while filled >= 8 {
                bytes.push(word as u8);
                word >>= 8;
                filled -= 8;
            }
        }
        if filled > 0 {
            bytes.push(word as u8);
        }
        streams.positions.write(&bytes, out)?;
        Ok(width as u8)
    }

    fn positions_end(&self, streams: &ListStreams) -> Result<u32> {
        u32::try_from(streams.positions.len() - self.positions_start).map_err(|_| too_large())
    }
}

impl<'a> ListPlace<'a> {
    pub(crate) fn decode(value: &'a [u8], document_count: u32) -> Result<Self> {
        let mut reader = Reader::new(value);
        let head = reader.varint()?;
        let document_frequency = u32::try_from(head >> 1).ok().filter(|df| (1..=document_count).contains(df));
        let Some(document_frequency) = document_frequency else {
            return Err(Error::damaged("a word is in more documents than there are, or in none"));
        };
        if head & 1 == 1 {
            if document_frequency > MAX_INLINE {
                return Err(Error::damaged("a list in the dictionary is too long"));
            }
            let rest = reader.take(reader.remaining())?;
            return Ok(Self { document_frequency, kind: PlaceKind::Inline(rest) });
        }
        let postings = (reader.varint()?, reader.varint()?);
        let positions = (reader.varint()?, reader.varint()?);
        Ok(Self { document_frequency, kind: PlaceKind::Streams { postings, positions } })
    }
}

/// Reads an inline list.
pub(crate) fn decode_inline(bytes: &[u8], df: u32, document_count: u32) -> Result<Vec<InlinePosting>> {
    let mut reader = Reader::new(bytes);
    let mut postings = Vec::with_capacity(df as usize);
    let mut next = 0u32;
    for _ in 0..df {
        let document = next.checked_add(reader.varint_u32()?).filter(|document| *document < document_count);
        let document = document.ok_or_else(|| Error::damaged("a list names a document that is not there"))?;
        let frequency = reader.varint_u32()?;
        if frequency == 0 || frequency as usize > MAX_INLINE_POSITIONS {
            return Err(Error::damaged("a list in the dictionary has an impossible frequency"));
        }
        let mut positions = Vec::with_capacity(frequency as usize);
        let mut last = 0u32;
        for _ in 0..frequency {
            last = last.checked_add(reader.varint_u32()?).ok_or_else(|| Error::damaged("a position is too large"))?;
            positions.push(last);
        }
        postings.push(InlinePosting { document, frequency, positions });
        next = document + 1;
    }
    if reader.is_empty() { Ok(postings) } else { Err(Error::damaged("bytes follow a list in the dictionary")) }
}

impl Directory {
    /// Reads the arrays behind the tail and checks that they can be true.
    pub(crate) fn decode(list: &PagedBytes, df: u32, document_count: u32) -> Result<Self> {
        let blocks = df as usize / BLOCK;
        let tail_len = df as usize % BLOCK;
        let meta_len = blocks * BLOCK_META + if tail_len > 0 { TAIL_META } else { 0 };
        let Some(tail_end) = list.len().checked_sub(meta_len) else {
            return Err(Error::damaged("a list is shorter than its blocks"));
        };
        let meta = list.slice(tail_end..list.len())?;
        let (lasts, rest) = meta.split_at(4 * blocks);
        let (ends, rest) = rest.split_at(4 * blocks);
        let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let column = |index: usize| &rest[index * blocks..(index + 1) * blocks];
        let (document_widths, frequency_widths, position_widths) = (column(0), column(1), column(2));
        let mut directory = Self {
            last: Vec::with_capacity(blocks + 1),
            starts: Vec::with_capacity(blocks + 1),
            tail_len,
            tail_end,
            ..Self::default()
        };
        directory.last.extend(lasts.chunks_exact(4).map(word));
        directory.positions_ends = ends.chunks_exact(4).map(word).collect();
        directory.bounds = column(3).iter().zip(column(4)).map(|(f, n)| Bound { frequency: *f, norm: *n }).collect();
        let mut start = 0u32;
        for block in 0..blocks {
            let widths = [document_widths[block], frequency_widths[block], position_widths[block]];
            if widths[0] > MAX_DOCUMENT_WIDTH || widths[1] > 32 || widths[2] > 32 {
                return Err(Error::damaged("a block is packed wider than can be"));
            }
            directory.widths.push(widths);
            directory.starts.push(start);
            start += 16 * u32::from(widths[0] + widths[1]);
        }
        directory.starts.push(start);
        let is_sorted = directory.last.windows(2).all(|pair| pair[0] < pair[1]);
        if !is_sorted || directory.last.last().is_some_and(|last| *last >= document_count) || start as usize > tail_end
        {
            return Err(Error::damaged("the blocks of a list cannot be where they say"));
        }
        if tail_len > 0 {
            let tail = &rest[5 * blocks..];
            if tail[0] > 32 {
                return Err(Error::damaged("a block is packed wider than can be"));
            }
            directory.widths.push([0, 0, tail[0]]);
            directory.bounds.push(Bound { frequency: tail[1], norm: tail[2] });
            // The tail's last document is known once it is decoded; until then no document is beyond it.
            directory.last.push(document_count - 1);
        } else if start as usize != tail_end {
            return Err(Error::damaged("bytes follow the last block of a list"));
        }
        Ok(directory)
    }

    pub(crate) fn block_count(&self) -> usize {
        self.last.len()
    }

    /// Decodes a block; returns how many postings it has.
    #[inline]
    pub(crate) fn load(
        &self,
        list: &PagedBytes,
        block: usize,
        document_count: u32,
        documents: &mut [u32; BLOCK],
        frequencies: &mut [u32; BLOCK],
    ) -> Result<usize> {
        let full_blocks = self.starts.len() - 1;
        if block >= full_blocks {
            let start = self.starts[full_blocks] as usize;
            let before = full_blocks.checked_sub(1).map(|block| self.last[block]);
            let tail = list.slice(start..self.tail_end)?;
            decode_tail(&tail, before, document_count, &mut documents[..self.tail_len], frequencies)?;
            return Ok(self.tail_len);
        }
        let bytes = list.slice(self.starts[block] as usize..self.starts[block + 1] as usize)?;
        let before = block.checked_sub(1).map(|block| self.last[block]);
        let [document_width, frequency_width, _] = self.widths[block];
        let packer = BitPacker4x::new();
        let used = packer.decompress_strictly_sorted(before, &bytes, &mut documents[..], document_width);
        packer.decompress(&bytes[used..], &mut frequencies[..], frequency_width);
        for frequency in frequencies.iter_mut() {
            *frequency = frequency.wrapping_add(1);
        }
        // Differences are at least 1 and at most 2^24, so the documents increase; the last one bounds them all.
        if documents[BLOCK - 1] != self.last[block] {
            return Err(Error::damaged("a block does not end where its list says"));
        }
        Ok(BLOCK)
    }

    /// Returns where the positions of a block start, in bits, and their width.
    pub(crate) fn positions_of(&self, block: usize) -> (usize, u32) {
        let start = block.checked_sub(1).map_or(0, |before| self.positions_ends[before]);
        (start as usize * 8, u32::from(self.widths[block][2]))
    }

    /// Returns the end of a block's positions, in bytes; `None` for a tail, whose positions end with the list's.
    pub(crate) fn positions_end(&self, block: usize) -> Option<u32> {
        self.positions_ends.get(block).copied()
    }
}

fn decode_tail(
    bytes: &[u8],
    before: Option<u32>,
    document_count: u32,
    documents: &mut [u32],
    frequencies: &mut [u32; BLOCK],
) -> Result<()> {
    let mut reader = Reader::new(bytes);
    let mut next = before.map_or(0, |last| last + 1);
    for (document, frequency) in documents.iter_mut().zip(frequencies) {
        let head = reader.varint_u32()?;
        *document = next + (head >> 1);
        if *document >= document_count.min(MAX_SEGMENT_DOCUMENTS) {
            return Err(Error::damaged("a list names a document that is not there"));
        }
        *frequency = if head & 1 == 1 { 1 } else { reader.varint_u32()? };
        if *frequency == 0 {
            return Err(Error::damaged("a list has a posting without occurrences"));
        }
        next = *document + 1;
    }
    if reader.is_empty() { Ok(()) } else { Err(Error::damaged("bytes follow the last posting of a list")) }
}

/// Reads `count` positions of one posting, `skip` positions after the start of their block.
///
/// What lies beyond the bytes reads as 0; a verification finds it.
pub(crate) fn put_positions(
    positions: &PagedBytes,
    (start_bit, width): (usize, u32),
    skip: usize,
    count: usize,
    out: &mut Vec<u32>,
) -> Result<()> {
    let mut bit = start_bit + skip * width as usize;
    let end = bit + count * width as usize;
    if end.div_ceil(8) > positions.len() {
        return Err(Error::damaged("positions lie outside their list"));
    }
    let mask = (1u64 << width) - 1;
    let mut last = 0u32;
    for _ in 0..count {
        let difference = (positions.u64_at(bit / 8) >> (bit % 8)) & mask;
        last = last.saturating_add(difference as u32);
        out.push(last);
        bit += width as usize;
    }
    Ok(())
}
