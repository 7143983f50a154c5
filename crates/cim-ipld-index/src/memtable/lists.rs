//! Posting lists of a memtable.
//!
//! A list is a directory of full blocks and a tail. A block is a contiguous region of one shared arena: up to 128
//! document ids, then as many (frequency, length) words, then as many position words. The tail's region doubles until it
//! holds a full block; the block then enters the directory and a new tail begins. What is outgrown is not used again, so
//! a reader that still looks at it sees what it saw before.
//!
//! The writer stores a posting first and publishes the tail's new length after it; it publishes the document only when
//! all its postings are in. A reader ignores postings of documents that its view does not show.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::arena::Arena;
use crate::score::{Bound, BoundBuilder};

pub(crate) const BLOCK: usize = 128;

/// A directory entry: last document, place of the block, bound.
const ENTRY: u32 = 3;
const FIRST_DIRECTORY: u32 = 2;
const FIRST_TAIL: u32 = 2;
/// A frequency shares a word with the length byte; a larger one counts as this.
///
/// Small in unit tests, so that a test can go beyond it.
pub(crate) const MAX_FREQUENCY: u32 = if cfg!(test) { 1000 } else { (1 << 24) - 1 };

/// The words of all lists and positions: 1 GiB at most.
pub(super) type Words = Arena<AtomicU32, 18>;
pub(super) const WORD_CAPACITY: u32 = 1 << 28;

/// Where a list's parts are; the arena is the memtable's.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Place (upper 32 bits), capacity and length (16 bits each).
    tail: AtomicU64,
    /// Place (upper 32 bits) and number of entries.
    directory: AtomicU64,
}

/// The arena of lists, and how much of it is used.
#[derive(Debug)]
pub(super) struct ListStore {
    words: Words,
    used: AtomicU32,
}

/// One posting as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting {
    pub(super) document: u32,
    pub(super) frequency: u32,
    pub(super) norm: u8,
    /// The position if the frequency is 1, else where the positions start.
    pub(super) positions: u32,
}

/// All postings of a list, part by part.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    pub(crate) documents: Vec<u32>,
    /// Frequency (upper 24 bits) and length code.
    pub(crate) weights: Vec<u32>,
    /// The position if the frequency is 1, else where the positions start.
    pub(crate) positions: Vec<u32>,
}

/// One block of a list as a reader sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockRef {
    pub(crate) last: u32,
    pub(crate) place: u32,
    pub(crate) capacity: u32,
    pub(crate) len: u32,
    pub(crate) bound: Bound,
}

#[derive(Clone, Copy)]
struct Tail {
    place: u32,
    capacity: u32,
    len: u32,
}

impl ListStore {
    pub(super) fn new() -> Self {
        Self { words: Words::new(WORD_CAPACITY), used: AtomicU32::new(0) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.words.bytes()
    }

    /// Adds a posting of a document that comes after all others in the list. Only the writer calls this.
    pub(super) fn push(&self, list: &List, posting: Posting) -> Option<()> {
        let mut tail = Tail::unpack(list.tail.load(Ordering::Relaxed));
        if tail.len == tail.capacity {
            tail = self.grow(list, tail)?;
        }
        let words = self.words.slice(tail.place);
        let (at, capacity) = (tail.len as usize, tail.capacity as usize);
        let frequency = posting.frequency.min(MAX_FREQUENCY);
        words[at].store(posting.document, Ordering::Relaxed);
        words[capacity + at].store(frequency << 8 | u32::from(posting.norm), Ordering::Relaxed);
        words[2 * capacity + at].store(posting.positions, Ordering::Relaxed);
        tail.len += 1;
        list.tail.store(tail.pack(), Ordering::Release);
        Some(())
    }

    /// Reserves words that follow each other and returns where they start. Only the writer calls this.
    pub(super) fn allocate(&self, len: u32) -> Option<u32> {
        self.take(self.used.load(Ordering::Relaxed), len)
    }

    /// Stores a word that has been reserved. Only the writer calls this.
    #[inline]
    pub(super) fn set(&self, index: u32, value: u32) {
        self.words.at(index).store(value, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn word(&self, index: u32) -> u32 {
        self.words.at(index).load(Ordering::Relaxed)
    }

    /// Returns the blocks that hold documents below `visible`; the last one is cut to those.
    pub(super) fn blocks(&self, list: &List, visible: u32) -> Vec<BlockRef> {
        // The tail first: what has left it by the time the directory is read is in the directory.
        let tail = Tail::unpack(list.tail.load(Ordering::Acquire));
        let (entries, count) = unpack(list.directory.load(Ordering::Acquire));
        let mut blocks = Vec::with_capacity(count as usize + 1);
        for index in 0..count {
            let [last, place, bound] = [0, 1, 2].map(|word| self.word(entries + index * ENTRY + word));
            let full = BLOCK as u32;
            blocks.push(BlockRef {
                last,
                place,
                capacity: full,
                len: full,
                bound: Bound::from_bytes(bound.to_le_bytes()),
            });
        }
        if tail.len > 0 {
            let tail = self.bounded(tail);
            if blocks.last().is_none_or(|block| block.last < tail.last) {
                blocks.push(tail);
            }
        }
        while let Some(block) = blocks.pop() {
            if block.last < visible {
                blocks.push(block);
                break;
            }
            let len = self.documents(&block).partition_point(|id| id.load(Ordering::Relaxed) < visible) as u32;
            if len > 0 {
                blocks.push(self.bounded(Tail { place: block.place, capacity: block.capacity, len }));
                break;
            }
        }
        blocks
    }

    /// Copies the postings of documents below `visible`.
    pub(super) fn put_postings(&self, list: &List, visible: u32, out: &mut Postings) {
        out.truncate(0);
        // The tail first, as in `blocks`.
        let tail = Tail::unpack(list.tail.load(Ordering::Acquire));
        let (entries, count) = unpack(list.directory.load(Ordering::Acquire));
        for index in 0..count {
            let place = self.word(entries + index * ENTRY + 1);
            self.put_block(Tail { place, capacity: BLOCK as u32, len: BLOCK as u32 }, out);
        }
        if tail.len > 0 {
            let last = self.word(tail.place + tail.len - 1);
            if out.documents.last().is_none_or(|known| *known < last) {
                self.put_block(tail, out);
            }
        }
        if out.documents.last().is_some_and(|last| *last >= visible) {
            out.truncate(out.documents.partition_point(|document| *document < visible));
        }
    }

    fn put_block(&self, block: Tail, out: &mut Postings) {
        let words = self.words.slice(block.place);
        let (len, capacity) = (block.len as usize, block.capacity as usize);
        let part = |index: usize| words[index * capacity..][..len].iter().map(|word| word.load(Ordering::Relaxed));
        out.documents.extend(part(0));
        out.weights.extend(part(1));
        out.positions.extend(part(2));
    }

    /// Appends the positions of a posting, given its frequency and position word.
    #[inline]
    pub(super) fn put_positions(&self, frequency: u32, word: u32, out: &mut Vec<u32>) {
        if frequency == 1 {
            return out.push(word);
        }
        let (mut place, mut left) = (word, frequency);
        while left > 0 {
            let words = self.words.slice(place);
            let words = &words[..words.len().min(left as usize)];
            out.extend(words.iter().map(|word| word.load(Ordering::Relaxed)));
            place += words.len() as u32;
            left -= words.len() as u32;
        }
    }

    /// Copies a block's documents and (frequency, length) words.
    #[inline]
    pub(super) fn load(&self, block: &BlockRef, documents: &mut [u32; BLOCK], weights: &mut [u32; BLOCK]) {
        let words = self.words.slice(block.place);
        let (len, capacity) = (block.len as usize, block.capacity as usize);
        for (to, from) in documents[..len].iter_mut().zip(&words[..len]) {
            *to = from.load(Ordering::Relaxed);
        }
        for (to, from) in weights[..len].iter_mut().zip(&words[capacity..capacity + len]) {
            *to = from.load(Ordering::Relaxed);
        }
    }

    /// Returns the frequency and the position word of posting `index` of a block.
    pub(super) fn posting(&self, block: &BlockRef, index: usize) -> (u32, u32) {
        let words = self.words.slice(block.place);
        let capacity = block.capacity as usize;
        let frequency = words[capacity + index].load(Ordering::Relaxed) >> 8;
        (frequency, words[2 * capacity + index].load(Ordering::Relaxed))
    }

    fn documents(&self, block: &BlockRef) -> &[AtomicU32] {
        &self.words.slice(block.place)[..block.len as usize]
    }

    fn bounded(&self, tail: Tail) -> BlockRef {
        let words = self.words.slice(tail.place);
        let (len, capacity) = (tail.len as usize, tail.capacity as usize);
        let mut bound = BoundBuilder::default();
        for word in &words[capacity..capacity + len] {
            let word = word.load(Ordering::Relaxed);
            bound.add(word >> 8, word as u8);
        }
        let last = words[len - 1].load(Ordering::Relaxed);
        BlockRef { last, place: tail.place, capacity: tail.capacity, len: tail.len, bound: bound.finish() }
    }

    fn grow(&self, list: &List, old: Tail) -> Option<Tail> {
        if old.capacity == BLOCK as u32 {
            self.enter(list, old)?;
            let place = self.allocate_block(3 * BLOCK as u32)?;
            return Some(Tail { place, capacity: BLOCK as u32, len: 0 });
        }
        let capacity = (old.capacity * 2).max(FIRST_TAIL);
        let place = self.allocate_block(3 * capacity)?;
        if old.len > 0 {
            let (from, to) = (self.words.slice(old.place), self.words.slice(place));
            for part in 0..3 {
                for index in 0..old.len as usize {
                    let word = from[part * old.capacity as usize + index].load(Ordering::Relaxed);
                    to[part * capacity as usize + index].store(word, Ordering::Relaxed);
                }
            }
        }
        Some(Tail { place, capacity, len: old.len })
    }

    /// Puts a full tail into the directory.
    fn enter(&self, list: &List, full: Tail) -> Option<()> {
        let (mut entries, count) = unpack(list.directory.load(Ordering::Relaxed));
        if count == 0 || (count >= FIRST_DIRECTORY && count.is_power_of_two()) {
            let capacity = (count * 2).max(FIRST_DIRECTORY);
            let new = self.allocate(capacity * ENTRY)?;
            for word in 0..count * ENTRY {
                self.words.at(new + word).store(self.word(entries + word), Ordering::Relaxed);
            }
            entries = new;
        }
        let block = self.bounded(full);
        for (word, value) in
            [block.last, block.place, u32::from_le_bytes(block.bound.to_bytes())].into_iter().enumerate()
        {
            self.words.at(entries + count * ENTRY + word as u32).store(value, Ordering::Relaxed);
        }
        list.directory.store(u64::from(entries) << 32 | u64::from(count + 1), Ordering::Release);
        Some(())
    }

    /// Reserves words in one piece.
    fn allocate_block(&self, len: u32) -> Option<u32> {
        self.take(Words::contiguous(self.used.load(Ordering::Relaxed), len), len)
    }

    fn take(&self, start: u32, len: u32) -> Option<u32> {
        let end = start.checked_add(len).filter(|end| *end <= WORD_CAPACITY)?;
        if len > 0 {
            self.words.reserve(start, end - 1)?;
        }
        self.used.store(end, Ordering::Relaxed);
        Some(start)
    }
}

impl Postings {
    fn truncate(&mut self, len: usize) {
        self.documents.truncate(len);
        self.weights.truncate(len);
        self.positions.truncate(len);
    }
}

impl Tail {
    fn pack(self) -> u64 {
        u64::from(self.place) << 32 | u64::from(self.capacity) << 16 | u64::from(self.len)
    }

    fn unpack(word: u64) -> Self {
        Self { place: (word >> 32) as u32, capacity: (word >> 16) as u32 & 0xffff, len: word as u32 & 0xffff }
    }
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}
