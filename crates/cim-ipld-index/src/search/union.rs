//! Unions of many lists, such as those of all words with a prefix, treated as one list.
//!
//! Most of the lists are short, so they are read one after the other into an array indexed by
//! document, rather than merged.

use std::rc::Rc;

use super::cursor::END;
use super::window::{WINDOW, WINDOW_WORDS, Window};
use crate::memtable::MemtableView;
use crate::score::{Points, TermScorer};
use crate::segment::Norms;

/// The union of many lists: the documents that are in any of them, and the sum of their
/// frequencies.
pub(crate) struct Union {
    words: Vec<u64>,
    frequencies: Vec<u16>,
    /// The length codes of a field in a segment.
    norms: Option<Rc<Norms>>,
    /// The length codes of postings in a memtable.
    own_norms: Vec<u8>,
    scorer: TermScorer,
}

impl Union {
    /// Creates an empty union over this many documents.
    pub(crate) fn new(documents: u32, scorer: TermScorer) -> Self {
        let documents = (documents as usize).next_multiple_of(WINDOW as usize);
        let (words, frequencies) = (vec![0; documents / 64], vec![0; documents]);
        Self { words, frequencies, norms: None, own_norms: Vec::new(), scorer }
    }

    /// Returns the size of a union over this many documents, in bytes.
    pub(crate) fn bytes(documents: u32, has_own_norms: bool) -> usize {
        let documents = documents as usize;
        documents / 8 + documents * (size_of::<u16>() + usize::from(has_own_norms))
    }

    /// Sets the length codes of a segment.
    pub(crate) fn set_norms(&mut self, norms: &Rc<Norms>) {
        self.norms = Some(norms.clone());
    }

    /// Adds a posting of a segment.
    #[inline]
    pub(crate) fn add(&mut self, document: u32, frequency: u32) {
        let place = document as usize;
        self.words[place / 64] |= 1 << (place % 64);
        let sum = &mut self.frequencies[place];
        *sum = sum.saturating_add(frequency.min(u32::from(u16::MAX)) as u16);
    }

    /// Adds the postings of a term of a memtable.
    pub(crate) fn add_term(&mut self, view: &MemtableView, term: u32) {
        self.own_norms.resize(self.frequencies.len(), 0);
        view.postings(term, |document, frequency, norm| {
            self.add(document, frequency);
            self.own_norms[document as usize] = norm;
        });
    }

    /// Returns the first document at or after `from`.
    pub(crate) fn next(&self, from: u32) -> u32 {
        let (first, bit) = ((from / 64) as usize, from % 64);
        let Some(words) = self.words.get(first..) else { return END };
        let head = words.first().map_or(0, |word| word >> bit << bit);
        if head != 0 {
            return first as u32 * 64 + head.trailing_zeros();
        }
        let next = words.iter().enumerate().skip(1).find(|(_, word)| **word != 0);
        next.map_or(END, |(index, word)| (first + index) as u32 * 64 + word.trailing_zeros())
    }

    pub(crate) fn eval(&self, start: u32, out: &mut Window) {
        for (index, word) in self.window(start).iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let place = index as u32 * 64 + word.trailing_zeros();
                out.add(place, self.points(start + place));
                word &= word - 1;
            }
        }
    }

    /// Returns the bits of the documents of a window that are in the union.
    pub(crate) fn window(&self, start: u32) -> &[u64] {
        let start = (start / 64) as usize;
        self.words.get(start..start + WINDOW_WORDS).unwrap_or_default()
    }

    /// Returns the bits of all documents in the union.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(crate) fn scorer(&self) -> &TermScorer {
        &self.scorer
    }

    #[inline]
    pub(crate) fn points(&self, document: u32) -> Points {
        let (frequency, norm) = self.weight(document);
        self.scorer.points(frequency, norm)
    }

    /// Returns the frequencies and length codes of the documents of a window.
    ///
    /// Values for documents outside the union are unspecified.
    #[inline]
    pub(crate) fn weights(&self, start: u32) -> (&[u16], &[u8]) {
        let range = |len: usize| (start as usize).min(len)..((start + WINDOW) as usize).min(len);
        let norms = match &self.norms {
            Some(norms) => norms.window(start, WINDOW),
            None => &self.own_norms[range(self.own_norms.len())],
        };
        (&self.frequencies[range(self.frequencies.len())], norms)
    }

    /// Returns the frequency and the length code of a document of the union.
    #[inline]
    fn weight(&self, document: u32) -> (u32, u8) {
        let place = document as usize;
        let norm = match &self.norms {
            Some(norms) => norms.at(document),
            None => self.own_norms[place],
        };
        (u32::from(self.frequencies[place]), norm)
    }
}
