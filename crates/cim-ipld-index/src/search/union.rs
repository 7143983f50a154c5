//! Unions: many lists, such as those of all words with one prefix, as if they were one.
//!
//! Most of the lists are short, so they are not read side by side but one after the other into one place per document.

use super::cursor::END;
use super::eval::{WINDOW, WINDOW_WORDS, Window};
use crate::score::{Points, TermScorer};

/// What many lists come to: which documents are in any of them, and how often the words stand there together.
pub(crate) struct Union {
    words: Vec<u64>,
    frequencies: Vec<u16>,
    norms: Vec<u8>,
    scorer: TermScorer,
}

impl Union {
    /// Makes an empty union over so many documents.
    pub(crate) fn new(documents: u32, scorer: TermScorer) -> Self {
        let documents = (documents as usize).next_multiple_of(WINDOW as usize);
        Self { words: vec![0; documents / 64], frequencies: vec![0; documents], norms: vec![0; documents], scorer }
    }

    /// Adds postings: documents with their frequencies and length codes.
    #[inline]
    pub(crate) fn add(&mut self, documents: &[u32], frequencies: &[u32], norms: &[u8]) {
        for ((document, frequency), norm) in documents.iter().zip(frequencies).zip(norms) {
            let place = *document as usize;
            self.words[place / 64] |= 1 << (place % 64);
            let sum = &mut self.frequencies[place];
            *sum = sum.saturating_add((*frequency).min(u32::from(u16::MAX)) as u16);
            self.norms[place] = *norm;
        }
    }

    /// Returns the first document from `from` on.
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

    /// Returns which documents of a window are in the union.
    pub(crate) fn window(&self, start: u32) -> &[u64] {
        let start = (start / 64) as usize;
        self.words.get(start..start + WINDOW_WORDS).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn points(&self, document: u32) -> Points {
        let place = document as usize;
        self.scorer.points(u32::from(self.frequencies[place]), self.norms[place])
    }
}
