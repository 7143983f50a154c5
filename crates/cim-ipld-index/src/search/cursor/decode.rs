//! Decoding what a cursor stands at: documents, frequencies, lengths and positions, each when it is asked for.

use super::buffer::Buffer;
use super::{Cursor, List};
use crate::error::Result;
use crate::score::TermScorer;
use crate::segment::{only_position, put_positions};

impl Cursor<'_> {
    #[inline]
    pub(super) fn load(&mut self) -> Result<()> {
        if self.len > 0 {
            return Ok(());
        }
        let buffer = &mut *self.buffer;
        buffer.has_points = false;
        buffer.positions_at = None;
        (self.len, buffer.has_frequencies) = match &self.list {
            List::Inline { list, .. } => {
                let len = list.documents().len();
                buffer.documents[..len].copy_from_slice(list.documents());
                buffer.frequencies[..len].copy_from_slice(list.frequencies());
                (len, true)
            }
            List::Segment { postings, documents, .. } => {
                let before = self.block.checked_sub(1).map(|block| self.last[block]);
                let last = self.last[self.block];
                let place = (self.block, before, last);
                let Buffer { directory, documents: ids, frequencies, .. } = buffer;
                directory.load_documents(postings, place, *documents, ids, frequencies)?
            }
            List::Memtable(list) => {
                let len = list.load(self.block, &mut buffer.documents, &mut buffer.frequencies);
                for (norm, frequency) in buffer.norms.iter_mut().zip(&mut buffer.frequencies).take(len) {
                    *norm = *frequency as u8;
                    *frequency >>= 8;
                }
                (len, true)
            }
        };
        self.at = 0;
        Ok(())
    }

    #[inline]
    pub(super) fn fill_frequencies(&mut self) -> Result<()> {
        if !self.buffer.has_frequencies {
            if let List::Segment { postings, .. } = &self.list {
                let Buffer { directory, frequencies, .. } = &mut *self.buffer;
                directory.load_frequencies(postings, self.block, frequencies)?;
            }
            self.buffer.has_frequencies = true;
        }
        Ok(())
    }

    #[inline]
    pub(super) fn fill_points(&mut self, scorer: &TermScorer) -> Result<()> {
        if self.buffer.has_points {
            return Ok(());
        }
        self.fill_frequencies()?;
        let len = self.len;
        let Buffer { documents, frequencies, norms, saturations, points, has_points, .. } = &mut *self.buffer;
        match &self.list {
            List::Inline { norms, .. } | List::Segment { norms, .. } => {
                norms.look_up(&documents[..len], scorer.saturation(), &mut saturations[..len]);
            }
            List::Memtable(_) => {
                for (saturation, norm) in saturations[..len].iter_mut().zip(&norms[..len]) {
                    *saturation = scorer.saturation()[usize::from(*norm)];
                }
            }
        }
        // Whole blocks, so that the loop has a fixed length: what is beyond `len` means nothing.
        scorer.put_points(&frequencies[..], &saturations[..], &mut points[..]);
        *has_points = true;
        Ok(())
    }

    fn fill_skips(&mut self) -> Result<()> {
        if self.buffer.positions_at.is_some() || !matches!(self.list, List::Segment { .. }) {
            return Ok(());
        }
        let place = self.buffer.directory.positions_of(self.block);
        self.fill_frequencies()?;
        let Buffer { frequencies, skips, positions_at, .. } = &mut *self.buffer;
        *positions_at = Some(place);
        skips.clear();
        skips.extend(frequencies[..self.len].iter().scan(0u32, |sum, frequency| {
            let before = *sum;
            *sum = sum.saturating_add(*frequency);
            Some(before)
        }));
        Ok(())
    }

    /// Returns the only position of a posting with frequency 1, `ahead` of the cursor's place.
    #[inline]
    pub(crate) fn only_position(&mut self, ahead: usize) -> Result<u32> {
        if let List::Segment { positions: Some(positions), .. } = &self.list
            && let Some((start, width)) = self.buffer.positions_at
        {
            let bit = start + self.buffer.skips[self.at + ahead] as usize * width as usize;
            return only_position(positions, bit, width);
        }
        let mut one = Vec::with_capacity(1);
        self.put_positions_ahead(ahead, &mut one)?;
        Ok(one.first().copied().unwrap_or(0))
    }

    /// Writes the positions of the posting the cursor stands at.
    pub(crate) fn put_positions(&mut self, out: &mut Vec<u32>) -> Result<()> {
        self.put_positions_ahead(0, out)
    }

    /// Writes the positions of the posting `ahead` of the cursor's place.
    pub(crate) fn put_positions_ahead(&mut self, ahead: usize, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        let at = self.at + ahead;
        self.fill_skips()?;
        match &self.list {
            List::Inline { list, .. } => list.put_positions(at, out)?,
            List::Memtable(list) => list.put_positions(list.position(self.block, at), out),
            List::Segment { positions, .. } => {
                let Some(positions) = positions else { return Ok(()) };
                let (skip, count) = (self.buffer.skips[at] as usize, self.buffer.frequencies[at] as usize);
                let place = self.buffer.positions_at.unwrap_or_default();
                put_positions(positions, place, skip, count, out)?;
            }
        }
        Ok(())
    }
}
