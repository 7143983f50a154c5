//! What a cursor works on.

use std::cell::RefCell;
use std::thread::LocalKey;

use super::super::pool::{Pool, Recycle};
use crate::score::Points;
use crate::segment::{BLOCK, Directory};

/// A list of more blocks than this has its own memory, which goes when it is done.
const MOST_KEPT_BLOCKS: usize = 1 << 12;

/// One decoded block, and what is known of all blocks.
///
/// Whatever a flag does not vouch for is left from another list.
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) documents: [u32; BLOCK],
    pub(super) frequencies: [u32; BLOCK],
    /// Of a memtable's postings.
    pub(super) norms: [u8; BLOCK],
    pub(super) saturations: [f32; BLOCK],
    pub(super) points: [Points; BLOCK],
    pub(super) has_frequencies: bool,
    pub(super) has_points: bool,
    pub(super) before: Before,
    /// Of a list in streams.
    pub(super) directory: Directory,
    /// The last document of every block.
    pub(super) last: Vec<u32>,
    /// The most points of every block, once they were needed.
    pub(super) uppers: Vec<Points>,
}

/// Where the positions of a block's postings start.
#[derive(Debug)]
pub(super) struct Before {
    /// The start of the block's, in bits, and their width, once they were needed.
    pub(super) start: Option<(usize, u32)>,
    /// The sums of the frequencies before each posting, likewise.
    pub(super) sums: [u32; BLOCK],
}

impl Before {
    #[inline]
    pub(super) fn fill(&mut self, start: (usize, u32), frequencies: &[u32; BLOCK]) {
        let mut sum = 0u32;
        for (before, frequency) in self.sums.iter_mut().zip(frequencies) {
            *before = sum;
            // A sum that is too large comes from damage, and leads outside the list.
            sum = sum.wrapping_add(*frequency);
        }
        self.start = Some(start);
    }
}

thread_local! {
    static POOL: Pool<Buffer> = const { RefCell::new(Vec::new()) };
}

impl Recycle for Buffer {
    fn make() -> Self {
        Self::new()
    }

    fn reset(&mut self) -> bool {
        self.last.clear();
        self.uppers.clear();
        self.last.capacity() <= MOST_KEPT_BLOCKS
    }

    fn pool() -> &'static LocalKey<Pool<Self>> {
        &POOL
    }
}

impl Buffer {
    fn new() -> Self {
        Self {
            documents: [0; BLOCK],
            frequencies: [0; BLOCK],
            norms: [0; BLOCK],
            saturations: [0.0; BLOCK],
            points: [0; BLOCK],
            has_frequencies: false,
            has_points: false,
            before: Before { start: None, sums: [0; BLOCK] },
            directory: Directory::default(),
            last: Vec::new(),
            uppers: Vec::new(),
        }
    }
}
