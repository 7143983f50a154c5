//! A window of 4,096 documents: the matches and their points.

use std::cell::RefCell;
use std::thread::LocalKey;

use super::pool::{Pool, Pooled, Recycle};
use crate::score::Points;

pub(crate) const WINDOW: u32 = 4096;
pub(crate) const WINDOW_WORDS: usize = WINDOW as usize / 64;

/// The matches among the documents of one window, and their points.
pub(crate) struct Window {
    pub(crate) mask: [u64; WINDOW_WORDS],
    /// Zero where the mask is not set.
    pub(crate) points: [Points; WINDOW as usize],
}

impl Window {
    pub(crate) fn new() -> Pooled<Self> {
        Pooled::new()
    }

    #[inline]
    pub(crate) fn add(&mut self, place: u32, points: Points) {
        let place = place as usize % WINDOW as usize;
        self.mask[place / 64] |= 1 << (place % 64);
        self.points[place] += points;
    }

    /// Visits the places that are set.
    #[inline]
    pub(crate) fn places(mask: &[u64; WINDOW_WORDS], mut each: impl FnMut(usize)) {
        for (index, word) in mask.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                each(index * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mask.iter().all(|word| *word == 0)
    }

    pub(crate) fn clear(&mut self) {
        let Self { mask, points } = self;
        Self::places(mask, |place| points[place] = 0);
        *mask = [0; WINDOW_WORDS];
    }

    /// Keeps only the matches that are set in a mask. `keep` returns the mask's word at an index.
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> u64) {
        for index in 0..WINDOW_WORDS {
            let mut gone = self.mask[index] & !keep(index);
            self.mask[index] &= keep(index);
            while gone != 0 {
                self.points[index * 64 + gone.trailing_zeros() as usize] = 0;
                gone &= gone - 1;
            }
        }
    }

    /// Adds the points of `other` to the matches that are in both windows. If `more` is set, also
    /// adds the matches that are only in `other`, with their points.
    pub(super) fn absorb(&mut self, other: &Self, more: bool) {
        for index in 0..WINDOW_WORDS {
            let mut word = if more { other.mask[index] } else { other.mask[index] & self.mask[index] };
            self.mask[index] |= word;
            while word != 0 {
                let place = index * 64 + word.trailing_zeros() as usize;
                self.points[place] += other.points[place];
                word &= word - 1;
            }
        }
    }
}

thread_local! {
    static POOL: Pool<Window> = const { RefCell::new(Vec::new()) };
}

impl Recycle for Window {
    fn make() -> Self {
        Self { mask: [0; WINDOW_WORDS], points: [0; WINDOW as usize] }
    }

    fn reset(&mut self) -> bool {
        // A failed search may have left data behind.
        self.clear();
        true
    }

    fn pool() -> &'static LocalKey<Pool<Self>> {
        &POOL
    }
}
