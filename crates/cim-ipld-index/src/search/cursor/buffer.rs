//! The working memory of a cursor.

use std::cell::RefCell;
use std::thread::LocalKey;

use super::super::pool::{Pool, Recycle};
use crate::score::Points;
use crate::segment::{BLOCK, Directory};

/// A buffer for more blocks than this is freed after use instead of being pooled.
const MAX_POOLED_BLOCKS: usize = 1 << 12;

/// One decoded block, and the directory of all blocks.
///
/// Buffers are pooled. The flags and options state which fields are valid; all others may contain
/// data of an earlier block or list.
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) documents: [u32; BLOCK],
    pub(super) frequencies: [u32; BLOCK],
    /// Length codes, used for memtables.
    pub(super) norms: [u8; BLOCK],
    pub(super) saturations: [f32; BLOCK],
    pub(super) points: [Points; BLOCK],
    pub(super) has_frequencies: bool,
    pub(super) has_points: bool,
    pub(super) before: Before,
    /// The directory, used for lists in streams.
    pub(super) directory: Directory,
    /// The last document of every block.
    pub(super) last: Vec<u32>,
    /// The bound of every block, once computed.
    pub(super) uppers: Vec<Points>,
}

/// The starts of the positions of each posting in a block.
#[derive(Debug)]
pub(super) struct Before {
    /// The start of the block's positions, in bits, and their width, once loaded.
    pub(super) start: Option<(usize, u32)>,
    /// The sum of the frequencies before each posting, once loaded.
    pub(super) sums: [u32; BLOCK],
}

impl Before {
    #[inline]
    pub(super) fn fill(&mut self, start: (usize, u32), frequencies: &[u32; BLOCK]) {
        let mut sum = 0u32;
        for (before, frequency) in self.sums.iter_mut().zip(frequencies) {
            *before = sum;
            // An overflow can only come from damaged data, and leads to a position outside the
            // list.
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
        self.last.capacity() <= MAX_POOLED_BLOCKS
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
