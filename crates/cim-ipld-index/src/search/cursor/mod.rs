//! Cursors over posting lists, which advance block by block.
//!
//! A block is decoded lazily: its documents when one of them is needed, its frequencies and lengths
//! only when they are read.

mod bounds;
mod buffer;
mod decode;

use std::rc::Rc;

use crate::budget::meter::Account;
use crate::error::Result;
use crate::memtable::MemtableList;
use crate::score::{Points, TermScorer};
use crate::segment::{BLOCK, InlineList, Norms, PagedBytes};

use super::pool::Pooled;
use buffer::Buffer;

/// The document number after the end of a list.
pub(crate) const END: u32 = u32::MAX;

/// Returns the smallest document.
pub(crate) fn least(documents: impl Iterator<Item = Result<u32>>) -> Result<u32> {
    documents.into_iter().try_fold(END, |least, document| Ok(least.min(document?)))
}

/// Returns the largest document.
pub(crate) fn greatest(documents: impl Iterator<Item = Result<u32>>) -> Result<u32> {
    documents.into_iter().try_fold(0, |greatest, document| Ok(greatest.max(document?)))
}

/// A cursor over a posting list.
pub(crate) struct Cursor<'a> {
    list: List<'a>,
    /// The last document of every block, and the bound of every block once computed. Both vectors
    /// are borrowed from the buffer.
    last: Vec<u32>,
    uppers: Vec<Points>,
    /// Computes bounds on demand.
    scorer: Option<TermScorer>,
    document_frequency: u32,
    block: usize,
    /// The number of decoded postings in the block, or 0 if it is not loaded.
    len: usize,
    at: usize,
    account: Account,
    buffer: Pooled<Buffer>,
}

/// The postings, by where they are stored.
pub(crate) enum List<'a> {
    Inline { list: InlineList, norms: Rc<Norms> },
    Segment { postings: PagedBytes, positions: Option<PagedBytes>, norms: Rc<Norms>, documents: u32 },
    Memtable(MemtableList<'a>),
}

/// The length codes of a block's postings, read on demand.
pub(crate) enum LengthCodes<'c> {
    ByDocument(&'c Norms),
    ByPlace(&'c [u8]),
}

impl LengthCodes<'_> {
    /// Returns the length code of a document, given also its place in the block.
    #[inline]
    pub(crate) fn of(&self, place: usize, document: u32) -> u8 {
        match self {
            Self::ByDocument(norms) => norms.at(document),
            Self::ByPlace(codes) => codes[place],
        }
    }
}

impl<'a> Cursor<'a> {
    /// The size of a cursor's working memory, in bytes, apart from its list of blocks.
    pub(crate) const BYTES: usize = size_of::<Self>() + size_of::<Buffer>();

    /// Creates a cursor before the first posting; [`seek`](Self::seek) moves it there. The account
    /// is charged for every block and every list of positions that is decoded.
    pub(crate) fn new(list: List<'a>, document_frequency: u32, account: Account) -> Result<Self> {
        const OPENING: usize = 16;
        account.charge(OPENING + document_frequency as usize / BLOCK)?;
        let mut buffer = Pooled::new();
        let Buffer { directory, last, uppers, .. } = &mut *buffer;
        match &list {
            List::Inline { list, .. } => last.extend(list.documents().last()),
            List::Segment { postings, documents, .. } => {
                directory.read(postings, document_frequency, *documents, last)?;
            }
            List::Memtable(list) => last.extend(list.blocks.iter().map(|block| block.last)),
        }
        let (last, uppers) = (std::mem::take(last), std::mem::take(uppers));
        Ok(Self { list, last, uppers, scorer: None, document_frequency, block: 0, len: 0, at: 0, account, buffer })
    }

    pub(crate) fn document_frequency(&self) -> u32 {
        self.document_frequency
    }

    /// Returns the current document. It is [`END`] after the last document and before a block is
    /// loaded.
    #[inline]
    pub(crate) fn document(&self) -> u32 {
        if self.at < self.len { self.buffer.documents[self.at] } else { END }
    }

    /// Returns a lower bound of the next document without decoding anything. It is [`END`] after
    /// the last document.
    #[inline]
    pub(crate) fn next_possible(&self) -> u32 {
        match (self.at < self.len, self.block < self.last.len()) {
            (true, _) => self.buffer.documents[self.at],
            (false, true) => self.first_possible(self.block),
            (false, false) => END,
        }
    }

    /// Moves to the first document that is at least `target`, and returns it.
    #[inline]
    pub(crate) fn seek(&mut self, target: u32) -> Result<u32> {
        loop {
            if !self.seek_block(target) {
                return Ok(END);
            }
            self.load()?;
            self.at += before(&self.buffer.documents[self.at..self.len], target);
            if self.at < self.len {
                return Ok(self.buffer.documents[self.at]);
            }
            // The loaded block can end below `target` only if it is the tail, whose recorded last
            // document is an upper bound until the tail is decoded.
            self.leave_block();
        }
    }

    /// Moves, without decoding, to the first block that may contain a document of at least
    /// `target`.
    #[inline]
    pub(crate) fn seek_block(&mut self, target: u32) -> bool {
        let blocks = self.last.len();
        if self.block < blocks && self.last[self.block] >= target {
            return true;
        }
        let mut step = 1;
        let mut low = self.block;
        let mut high = low + 1;
        while high < blocks && self.last[high] < target {
            low = high;
            step *= 2;
            high = low + step;
        }
        let high = high.min(blocks);
        self.block = low + self.last[low.min(blocks)..high].partition_point(|last| *last < target);
        self.unload();
        self.block < blocks
    }

    /// Returns the current block.
    #[inline]
    pub(crate) fn block(&self) -> usize {
        self.block
    }

    pub(crate) fn block_count(&self) -> usize {
        self.last.len()
    }

    /// Returns the last document of a block, or an upper bound of it for the tail.
    #[inline]
    pub(crate) fn last_of(&self, block: usize) -> u32 {
        self.last[block]
    }

    /// Returns a lower bound of the first document of a block.
    #[inline]
    pub(crate) fn first_possible(&self, block: usize) -> u32 {
        block.checked_sub(1).map_or(0, |before| self.last[before] + 1)
    }

    /// Moves to a block, in either direction, and decodes its documents.
    pub(crate) fn enter_block(&mut self, block: usize) -> Result<()> {
        if self.block != block || self.len == 0 {
            self.block = block;
            self.unload();
            self.load()?;
        }
        self.at = 0;
        Ok(())
    }

    /// Returns the length codes of the list's field, if they are stored by document.
    pub(crate) fn norms(&self) -> Option<&Rc<Norms>> {
        match &self.list {
            List::Inline { norms, .. } | List::Segment { norms, .. } => Some(norms),
            List::Memtable(_) => None,
        }
    }

    /// Moves back before the first posting.
    pub(crate) fn rewind(&mut self) {
        self.block = 0;
        self.unload();
    }

    /// Returns the documents of the loaded block from the current posting on.
    #[inline]
    pub(crate) fn documents(&self) -> &[u32] {
        &self.buffer.documents[self.at..self.len]
    }

    /// Advances by this many postings in the loaded block.
    #[inline]
    pub(crate) fn skip(&mut self, postings: usize) {
        self.at = (self.at + postings).min(self.len);
        if self.at == self.len {
            self.leave_block();
        }
    }

    /// Returns the frequency and length code of the current posting.
    #[inline]
    pub(crate) fn frequency_and_norm(&mut self) -> Result<(u32, u8)> {
        self.weight(0)
    }

    /// Returns the frequency and length code of the posting `ahead` places after the current one.
    #[inline]
    pub(crate) fn weight(&mut self, ahead: usize) -> Result<(u32, u8)> {
        self.fill_frequencies()?;
        let at = self.at + ahead;
        let norm = match &self.list {
            List::Inline { norms, .. } | List::Segment { norms, .. } => norms.at(self.buffer.documents[at]),
            List::Memtable(_) => self.buffer.norms[at],
        };
        Ok((self.buffer.frequencies[at], norm))
    }

    /// Returns the documents and points of the loaded block from the current posting on. All calls
    /// on a cursor must pass the same scorer.
    #[inline]
    pub(crate) fn points(&mut self, scorer: &TermScorer) -> Result<(&[u32], &[Points])> {
        self.fill_points(scorer)?;
        let range = self.at..self.len;
        let Buffer { documents, points, .. } = &*self.buffer;
        Ok((&documents[range.clone()], &points[range]))
    }

    /// Visits the postings with documents in `from..to`, one block at a time. `each` receives the
    /// number of postings, counted from the current one.
    #[inline]
    pub(crate) fn visit(
        &mut self,
        from: u32,
        to: u32,
        mut each: impl FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        let mut document = self.seek(from)?;
        while document < to {
            let end = before(self.documents(), to);
            each(self, end)?;
            self.skip(end);
            if self.len > 0 || self.block >= self.last.len() {
                break;
            }
            self.load()?;
            document = self.document();
        }
        Ok(())
    }

    /// Returns the frequency of the posting `ahead` places after the current one.
    #[inline]
    pub(crate) fn frequency(&mut self, ahead: usize) -> Result<u32> {
        self.fill_frequencies()?;
        Ok(self.buffer.frequencies[self.at + ahead])
    }

    /// Returns the documents and frequencies of the loaded block from the current posting on, and
    /// access to their length codes.
    #[inline]
    pub(crate) fn weights(&mut self) -> Result<(&[u32], &[u32], LengthCodes<'_>)> {
        self.fill_frequencies()?;
        let range = self.at..self.len;
        let codes = match &self.list {
            List::Inline { norms, .. } | List::Segment { norms, .. } => LengthCodes::ByDocument(norms),
            List::Memtable(_) => LengthCodes::ByPlace(&self.buffer.norms[range.clone()]),
        };
        Ok((&self.buffer.documents[range.clone()], &self.buffer.frequencies[range], codes))
    }

    fn unload(&mut self) {
        (self.len, self.at) = (0, 0);
    }

    fn leave_block(&mut self) {
        self.block += 1;
        self.unload();
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        self.buffer.last = std::mem::take(&mut self.last);
        self.buffer.uppers = std::mem::take(&mut self.uppers);
    }
}

/// Returns the number of documents below `target` in a sorted slice.
#[inline]
pub(super) fn before(documents: &[u32], target: u32) -> usize {
    // Most seeks are short.
    let near = documents.len().min(4);
    for (index, document) in documents[..near].iter().enumerate() {
        if *document >= target {
            return index;
        }
    }
    near + documents[near..].partition_point(|document| *document < target)
}
