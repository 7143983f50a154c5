//! Cursors: one posting list of one source, block by block.

use std::rc::Rc;

use crate::error::Result;
use crate::memtable::MemtableList;
use crate::score::{Bound, TermScorer};
use crate::segment::{BLOCK, Directory, InlinePosting, Norms, PagedBytes, put_positions};

/// Stands for "no document".
pub(crate) const END: u32 = u32::MAX;

const NOT_LOADED: usize = usize::MAX;

/// A posting list and a place in it.
pub(crate) struct Cursor<'a> {
    list: List<'a>,
    /// The last document of every block.
    last: Vec<u32>,
    document_frequency: u32,
    block: usize,
    /// Which block the buffers hold.
    loaded: usize,
    len: usize,
    at: usize,
    buffer: Box<Buffer>,
}

/// One decoded block.
struct Buffer {
    documents: [u32; BLOCK],
    frequencies: [u32; BLOCK],
    norms: [u8; BLOCK],
    has_norms: bool,
}

/// The postings, wherever they are.
pub(crate) enum List<'a> {
    Inline {
        postings: Vec<InlinePosting>,
        norms: Rc<Norms>,
    },
    Segment {
        directory: Directory,
        postings: PagedBytes,
        positions: Option<PagedBytes>,
        norms: Rc<Norms>,
        documents: u32,
    },
    Memtable(MemtableList<'a>),
}

impl<'a> Cursor<'a> {
    /// Stands before the first posting: [`seek`](Self::seek) moves it there.
    pub(crate) fn new(list: List<'a>, document_frequency: u32) -> Self {
        let last = match &list {
            List::Inline { postings, .. } => postings.last().map(|posting| posting.document).into_iter().collect(),
            List::Segment { directory, .. } => directory.last.clone(),
            List::Memtable(list) => list.blocks.iter().map(|block| block.last).collect(),
        };
        let buffer =
            Box::new(Buffer { documents: [END; BLOCK], frequencies: [0; BLOCK], norms: [0; BLOCK], has_norms: false });
        Self { list, last, document_frequency, block: 0, loaded: NOT_LOADED, len: 0, at: 0, buffer }
    }

    pub(crate) fn document_frequency(&self) -> u32 {
        self.document_frequency
    }

    /// Returns the document the cursor stands at, [`END`] after the last.
    #[inline]
    pub(crate) fn document(&self) -> u32 {
        if self.at < self.len { self.buffer.documents[self.at] } else { END }
    }

    /// Moves to the first document that is at least `target` and returns it.
    #[inline]
    pub(crate) fn seek(&mut self, target: u32) -> Result<u32> {
        if !self.seek_block(target) {
            return Ok(END);
        }
        self.load()?;
        let rest = &self.buffer.documents[self.at..self.len];
        self.at += rest.iter().position(|document| *document >= target).unwrap_or(rest.len());
        if self.at == self.len {
            // Only a tail, whose last document is not known before it is decoded, ends below its stated last.
            self.block += 1;
            (self.len, self.at) = (0, 0);
            return if self.block < self.last.len() { self.seek(target) } else { Ok(END) };
        }
        Ok(self.buffer.documents[self.at])
    }

    /// Moves to the first block that may hold a document of at least `target`, without decoding it.
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
        (self.len, self.at) = (0, 0);
        self.block < blocks
    }

    /// Returns the last document of the block the cursor is in, and the bound of its postings.
    #[inline]
    pub(crate) fn block_bound(&self) -> (u32, Bound) {
        let bound = match &self.list {
            List::Inline { .. } => Bound { frequency: u8::MAX, norm: 0 },
            List::Segment { directory, .. } => directory.bounds[self.block],
            List::Memtable(list) => list.blocks[self.block].bound,
        };
        (self.last[self.block], bound)
    }

    /// Returns the largest score of any posting.
    pub(crate) fn max_score(&self, scorer: &TermScorer) -> f32 {
        match &self.list {
            List::Inline { .. } => scorer.ceiling(),
            List::Segment { directory, .. } => upper(scorer, directory.bounds.iter().copied()),
            List::Memtable(list) => upper(scorer, list.blocks.iter().map(|block| block.bound)),
        }
    }

    /// Returns the frequency and the length code of the posting the cursor stands at.
    #[inline]
    pub(crate) fn frequency_and_norm(&mut self) -> (u32, u8) {
        let norm = match &self.list {
            _ if self.buffer.has_norms => self.buffer.norms[self.at],
            List::Inline { norms, .. } | List::Segment { norms, .. } => norms.at(self.buffer.documents[self.at]),
            List::Memtable(_) => self.buffer.norms[self.at],
        };
        (self.buffer.frequencies[self.at], norm)
    }

    /// Visits the postings with documents in `from..to`: document, frequency, length code.
    #[inline]
    pub(crate) fn visit(&mut self, from: u32, to: u32, mut each: impl FnMut(u32, u32, u8)) -> Result<()> {
        let mut document = self.seek(from)?;
        while document < to {
            let rest = &self.buffer.documents[self.at..self.len];
            let end = self.at + rest.iter().position(|document| *document >= to).unwrap_or(rest.len());
            self.fill_norms();
            let buffer = &*self.buffer;
            for index in self.at..end {
                each(buffer.documents[index], buffer.frequencies[index], buffer.norms[index]);
            }
            self.at = end;
            if end < self.len {
                break;
            }
            document = self.next_block()?;
        }
        Ok(())
    }

    /// Writes the positions of the posting the cursor stands at.
    pub(crate) fn put_positions(&self, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        match &self.list {
            List::Inline { postings, .. } => out.extend_from_slice(&postings[self.at].positions),
            List::Memtable(list) => list.put_positions(list.position(self.block, self.at), out),
            List::Segment { directory, positions, .. } => {
                let Some(positions) = positions else { return Ok(()) };
                let frequencies = &self.buffer.frequencies;
                let skip = frequencies[..self.at].iter().map(|frequency| *frequency as usize).sum();
                let count = frequencies[self.at] as usize;
                put_positions(positions, directory.positions_of(self.block), skip, count, out)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn load(&mut self) -> Result<()> {
        if self.loaded == self.block && self.len > 0 {
            return Ok(());
        }
        let buffer = &mut *self.buffer;
        buffer.has_norms = false;
        self.len = match &self.list {
            List::Inline { postings, .. } => {
                for (index, posting) in postings.iter().enumerate() {
                    buffer.documents[index] = posting.document;
                    buffer.frequencies[index] = posting.frequency;
                }
                postings.len()
            }
            List::Segment { directory, postings, documents, .. } => {
                directory.load(postings, self.block, *documents, &mut buffer.documents, &mut buffer.frequencies)?
            }
            List::Memtable(list) => {
                let len = list.load(self.block, &mut buffer.documents, &mut buffer.frequencies);
                for (norm, frequency) in buffer.norms.iter_mut().zip(&mut buffer.frequencies).take(len) {
                    *norm = *frequency as u8;
                    *frequency >>= 8;
                }
                buffer.has_norms = true;
                len
            }
        };
        self.at = 0;
        self.loaded = self.block;
        Ok(())
    }

    fn next_block(&mut self) -> Result<u32> {
        self.block += 1;
        (self.len, self.at) = (0, 0);
        if self.block >= self.last.len() {
            return Ok(END);
        }
        self.load()?;
        Ok(self.document())
    }

    #[inline]
    fn fill_norms(&mut self) {
        if self.buffer.has_norms {
            return;
        }
        let (List::Inline { norms, .. } | List::Segment { norms, .. }) = &self.list else { return };
        let Buffer { documents, norms: codes, has_norms, .. } = &mut *self.buffer;
        for (code, document) in codes.iter_mut().zip(&documents[..self.len]) {
            *code = norms.at(*document);
        }
        *has_norms = true;
    }
}

fn upper(scorer: &TermScorer, bounds: impl Iterator<Item = Bound>) -> f32 {
    bounds.map(|bound| scorer.upper(bound)).fold(0.0, f32::max)
}
