//! Writes posting lists.

use bitpacking::{BitPacker, BitPacker4x};

use super::super::stream::{Emitter, StreamWriter, too_large};
use super::{BLOCK, MAX_INLINE, MAX_INLINE_POSITIONS};
use crate::encoding::wire::put_varint;
use crate::error::Result;
use crate::score::{Bound, BoundBuilder};

/// Writes one list after another.
pub(in crate::segment) struct ListWriter {
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
    value: Vec<u8>,
}

/// The streams to which lists are written.
pub(in crate::segment) struct ListStreams {
    pub(in crate::segment) postings: StreamWriter,
    pub(in crate::segment) positions: StreamWriter,
}

struct BlockMeta {
    last: u32,
    positions_end: u32,
    widths: [u8; 3],
    bound: Bound,
}

impl ListWriter {
    pub(in crate::segment) fn new() -> Self {
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
            value: Vec::new(),
        }
    }

    /// Adds a posting. Documents and positions come in increasing order.
    #[inline]
    pub(in crate::segment) fn push(
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
        if let [only] = positions {
            self.positions.push(*only);
            return Ok(());
        }
        let mut last = 0;
        self.positions.extend(positions.iter().map(|position| position - std::mem::replace(&mut last, *position)));
        Ok(())
    }

    /// Completes the list and returns its dictionary value.
    pub(in crate::segment) fn finish(&mut self, streams: &mut ListStreams, out: &mut Emitter<'_>) -> Result<&[u8]> {
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        let is_inline = self.document_frequency as usize <= MAX_INLINE && self.positions.len() <= MAX_INLINE_POSITIONS;
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
        self.value = value;
        Ok(&self.value)
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
        let positions_width = self.flush_positions(streams, out)?;
        self.positions_end(streams)?;
        let bytes = &mut self.bytes;
        bytes.clear();
        let mut before = self.last_document.map_or(0, |last| last + 1);
        for (document, frequency) in self.documents.iter().zip(&self.frequencies) {
            put_varint(bytes, u64::from(document - before) << 1 | u64::from(*frequency == 1));
            if *frequency != 1 {
                put_varint(bytes, u64::from(*frequency));
            }
            before = document + 1;
        }
        let metas = &self.metas;
        metas.iter().for_each(|meta| bytes.extend(meta.last.to_le_bytes()));
        metas.iter().for_each(|meta| bytes.extend(meta.positions_end.to_le_bytes()));
        for part in 0..3 {
            bytes.extend(metas.iter().map(|meta| meta.widths[part]));
        }
        for part in 0..4 {
            bytes.extend(metas.iter().map(|meta| meta.bound.to_bytes()[part]));
        }
        if !self.documents.is_empty() {
            let bound = std::mem::take(&mut self.bound).finish();
            bytes.push(positions_width);
            bytes.extend(bound.to_bytes());
        }
        streams.postings.write(bytes, out)
    }

    fn flush_positions(&mut self, streams: &mut ListStreams, out: &mut Emitter<'_>) -> Result<u8> {
        let width = 32 - self.positions.iter().fold(0, |all, position| all | position).leading_zeros();
        let bytes = &mut self.bytes;
        bytes.clear();
        let (mut word, mut filled) = (0u64, 0);
        for position in self.positions.drain(..) {
            word |= u64::from(position) << filled;
            filled += width;
            if filled >= 32 {
                bytes.extend((word as u32).to_le_bytes());
                word >>= 32;
                filled -= 32;
            }
        }
        bytes.extend_from_slice(&word.to_le_bytes()[..filled.div_ceil(8) as usize]);
        streams.positions.write(bytes, out)?;
        Ok(width as u8)
    }

    fn positions_end(&self, streams: &ListStreams) -> Result<u32> {
        u32::try_from(streams.positions.len() - self.positions_start).map_err(|_| too_large())
    }
}
