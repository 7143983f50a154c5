//! What a cursor works on: lent by the thread and given back, so that a search neither allocates nor clears it.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::score::Points;
use crate::segment::{BLOCK, Directory};

/// So many buffers wait for the next search of the thread.
const MOST_SPARE: usize = 64;
/// A list of more blocks than this has its own memory, which goes when it is done.
const MOST_KEPT_BLOCKS: usize = 1 << 14;

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
    /// Where the positions start, in bits, and their width, once they were needed.
    pub(super) positions_at: Option<(usize, u32)>,
    /// The sums of the frequencies before each posting, likewise.
    pub(super) skips: Vec<u32>,
    /// Of a list in streams.
    pub(super) directory: Directory,
    /// The last document of every block.
    pub(super) last: Vec<u32>,
    /// The most points of every block, once they were needed.
    pub(super) uppers: Vec<Points>,
}

/// A buffer, until it is dropped.
#[derive(Debug)]
pub(super) struct Lent(Option<Box<Buffer>>);

thread_local! {
    static SPARE: RefCell<Vec<Box<Buffer>>> = const { RefCell::new(Vec::new()) };
}

impl Lent {
    pub(super) fn new() -> Self {
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        let mut buffer = spare.unwrap_or_else(|| Box::new(Buffer::new()));
        buffer.last.clear();
        buffer.uppers.clear();
        Self(Some(buffer))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(buffer) = self.0.take().filter(|buffer| buffer.last.capacity() <= MOST_KEPT_BLOCKS) else { return };
        // While the thread ends there is no more store.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push(buffer);
            }
        });
    }
}

impl Deref for Lent {
    type Target = Buffer;

    #[inline]
    fn deref(&self) -> &Buffer {
        match &self.0 {
            Some(buffer) => buffer,
            None => unreachable!("only a drop takes the buffer"),
        }
    }
}

impl DerefMut for Lent {
    #[inline]
    fn deref_mut(&mut self) -> &mut Buffer {
        match &mut self.0 {
            Some(buffer) => buffer,
            None => unreachable!("only a drop takes the buffer"),
        }
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
            positions_at: None,
            skips: Vec::new(),
            directory: Directory::default(),
            last: Vec::new(),
            uppers: Vec::new(),
        }
    }
}
