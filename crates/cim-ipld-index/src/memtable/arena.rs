//! Append-only storage with one writer and any number of concurrent readers.
//!
//! Elements live in chunks that never move. The first chunks double in size, so that a small
//! memtable stays small; later ones have a fixed size, so that a large memtable never allocates
//! much more than it uses. A chunk is installed once ([`OnceLock`]); synchronization within an
//! element is up to its type (an atomic, or a cell that is set once).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const FIRST_LOG: u32 = 9;

/// Elements of type `T`, in chunks of at most `2^MAX_LOG`.
#[derive(Debug)]
pub(super) struct Arena<T, const MAX_LOG: u32> {
    chunks: Box<[OnceLock<Box<[T]>>]>,
    bytes: AtomicUsize,
}

impl<T: Default, const MAX_LOG: u32> Arena<T, MAX_LOG> {
    /// Creates an empty arena for at least `capacity` elements.
    pub(super) fn new(capacity: u32) -> Self {
        let chunks = place::<MAX_LOG>(capacity).0 + 1;
        Self { chunks: (0..chunks).map(|_| OnceLock::new()).collect(), bytes: AtomicUsize::new(0) }
    }

    /// Allocates the chunks of elements `from..=to`. Only the writer calls this.
    pub(super) fn reserve(&self, from: u32, to: u32) -> Option<()> {
        for chunk in place::<MAX_LOG>(from).0..=place::<MAX_LOG>(to).0 {
            let cell = self.chunks.get(chunk)?;
            if cell.get().is_none() {
                let elements: Box<[T]> = (0..chunk_len::<MAX_LOG>(chunk)).map(|_| T::default()).collect();
                self.bytes.fetch_add(std::mem::size_of_val(&elements[..]), Ordering::Relaxed);
                let _ = cell.set(elements);
            }
        }
        Some(())
    }

    /// Returns element `index`, which must have been reserved.
    #[inline]
    pub(super) fn at(&self, index: u32) -> &T {
        &self.slice(index)[0]
    }

    /// Returns element `index` and the rest of its chunk.
    #[inline]
    pub(super) fn slice(&self, index: u32) -> &[T] {
        let (chunk, offset) = place::<MAX_LOG>(index);
        match self.chunks[chunk].get() {
            Some(elements) => &elements[offset..],
            None => unreachable!("an element is reserved before its index is published"),
        }
    }

    /// Returns the first index at or after `index` where `len` elements are contiguous in one
    /// chunk.
    pub(super) fn contiguous(index: u32, len: u32) -> u32 {
        let (chunk, offset) = place::<MAX_LOG>(index);
        let left = chunk_len::<MAX_LOG>(chunk) - offset;
        if (len as usize) <= left { index } else { index + left as u32 }
    }

    /// Returns the size of all chunks and of the chunk table, in bytes.
    pub(super) fn bytes(&self) -> usize {
        std::mem::size_of_val(&self.chunks[..]) + self.bytes.load(Ordering::Relaxed)
    }
}

fn chunk_len<const MAX_LOG: u32>(chunk: usize) -> usize {
    1 << (FIRST_LOG + chunk.min((MAX_LOG - FIRST_LOG) as usize) as u32)
}

/// Returns the chunk of an element and its offset in the chunk.
#[inline]
fn place<const MAX_LOG: u32>(index: u32) -> (usize, usize) {
    let shifted = u64::from(index) + (1 << FIRST_LOG);
    let log = shifted.ilog2();
    if log <= MAX_LOG {
        ((log - FIRST_LOG) as usize, (shifted - (1 << log)) as usize)
    } else {
        let rest = shifted - (1 << (MAX_LOG + 1));
        let chunk = (MAX_LOG - FIRST_LOG + 1) as usize + (rest >> MAX_LOG) as usize;
        (chunk, (rest & ((1 << MAX_LOG) - 1)) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn places_follow_each_other_without_gap_or_overlap() {
        let (mut chunk, mut offset) = (0, 0);
        for index in 0..10_000 {
            if offset == chunk_len::<11>(chunk) {
                (chunk, offset) = (chunk + 1, 0);
            }
            assert_eq!(place::<11>(index), (chunk, offset));
            offset += 1;
        }
    }

    #[test]
    fn contiguous_places_do_not_cross_chunks() {
        for index in 0..10_000 {
            let start = Arena::<AtomicU32, 11>::contiguous(index, 384);
            assert!(start >= index);
            assert_eq!(place::<11>(start).0, place::<11>(start + 383).0);
        }
    }

    #[test]
    fn an_arena_refuses_what_is_beyond_its_capacity() {
        let arena = Arena::<AtomicU32, 11>::new(1000);
        assert!(arena.reserve(0, 1000).is_some());
        assert!(arena.reserve(0, 1_000_000).is_none());
        assert!(arena.bytes() >= 4000);
    }
}
