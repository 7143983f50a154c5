//! Decodes a cursor's documents, frequencies, lengths and positions on demand.

use super::buffer::Buffer;
use super::{Cursor, List};
use crate::error::Result;
use crate::score::TermScorer;
use crate::segment::{BLOCK, visit_positions};

impl Cursor<'_> {
    #[inline]
    pub(super) fn load(&mut self) -> Result<()> {
        if self.len > 0 {
            return Ok(());
        }
        let buffer = &mut *self.buffer;
        buffer.has_points = false;
        buffer.before.start = None;
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
        self.account.charge(self.len)
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
        // Iterations have a fixed count for a full block, so the loop vectorizes; values beyond
        // `len` are unspecified.
        match len {
            BLOCK => scorer.put_points(&frequencies[..], &saturations[..], &mut points[..]),
            _ => {
                let end = len.next_multiple_of(16);
                scorer.put_points(&frequencies[..end], &saturations[..end], &mut points[..end]);
            }
        }
        *has_points = true;
        Ok(())
    }

    /// Writes the positions of the current posting to `out`, replacing its contents.
    pub(crate) fn put_positions(&mut self, out: &mut Vec<u32>) -> Result<()> {
        self.put_positions_ahead(0, out)
    }

    /// Writes the positions of the posting `ahead` places after the current one to `out`, replacing
    /// its contents.
    pub(crate) fn put_positions_ahead(&mut self, ahead: usize, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        self.visit_positions(ahead, |position| out.push(position))
    }

    /// Visits the positions of the posting `ahead` places after the current one, in increasing
    /// order.
    #[inline]
    pub(crate) fn visit_positions(&mut self, ahead: usize, each: impl FnMut(u32)) -> Result<()> {
        let at = self.at + ahead;
        self.fill_frequencies()?;
        self.account.charge(self.buffer.frequencies[at] as usize)?;
        match &self.list {
            List::Inline { list, .. } => list.visit_positions(at, each),
            List::Memtable(list) => {
                list.visit_positions(list.position(self.block, at), each);
                Ok(())
            }
            List::Segment { positions, .. } => {
                let Some(positions) = positions else { return Ok(()) };
                let Buffer { directory, frequencies, before, .. } = &mut *self.buffer;
                if before.start.is_none() {
                    before.fill(directory.positions_of(self.block), frequencies);
                }
                let (place, skip) = (before.start.unwrap_or_default(), before.sums[at] as usize);
                visit_positions(positions, place, skip, frequencies[at] as usize, each)
            }
        }
    }
}
