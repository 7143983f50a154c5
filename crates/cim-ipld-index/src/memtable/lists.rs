//! Posting lists of a memtable.
//!
//! A list is a directory of full blocks and a tail. A block is a contiguous region of a shared
//! arena that holds up to 128 postings of three words each: document id, (frequency, length),
//! position. A new posting thus touches one cache line. The tail's region doubles until it holds a
//! full block; the block then moves to the directory and a new tail begins. Outgrown regions are
//! not reused, so a reader that still refers to such a region sees unchanged data.
//!
//! The writer stores a posting before it publishes the tail's new length, and it publishes a
//! document only after all its postings are stored. A reader ignores postings of documents that are
//! not yet visible to its view.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::arena::Arena;
use crate::score::{Bound, BoundBuilder};

pub(crate) const BLOCK: usize = 128;

/// The size of a directory entry, in words: last document, location of the block, bound.
const ENTRY: u32 = 3;
/// The size of a posting, in words.
const POSTING: u32 = 3;
const FIRST_DIRECTORY: u32 = 2;
const FIRST_TAIL: u32 = 2;
/// The maximum frequency, which shares a word with the length code. A larger frequency is clamped
/// to this value.
///
/// It is small in unit tests, so that a test can exceed it.
pub(crate) const MAX_FREQUENCY: u32 = if cfg!(test) { 1000 } else { (1 << 24) - 1 };

/// The storage of all lists and positions: 1 GiB at most.
pub(super) type Words = Arena<AtomicU32, 18>;
pub(super) const WORD_CAPACITY: u32 = 1 << 28;

/// The locations of a list's parts in the memtable's arena.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Location (upper 32 bits), capacity and length (16 bits each).
    tail: AtomicU64,
    /// Location (upper 32 bits) and number of entries.
    directory: AtomicU64,
}

/// The arena of lists, and how much of it is in use.
#[derive(Debug)]
pub(super) struct ListStore {
    words: Words,
    used: AtomicU32,
}

/// One posting in its stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting {
    pub(super) document: u32,
    pub(super) frequency: u32,
    pub(super) norm: u8,
    /// The position if the frequency is 1, otherwise the location of the positions.
    pub(super) positions: u32,
}

/// All postings of a list, as parallel arrays.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    pub(crate) documents: Vec<u32>,
    /// Frequency (upper 24 bits) and length code.
    pub(crate) weights: Vec<u32>,
    /// The position if the frequency is 1, otherwise the start of the positions in `many`.
    pub(crate) positions: Vec<u32>,
    pub(crate) many: Vec<u32>,
}

/// A reader's view of one block of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockRef {
    pub(crate) last: u32,
    pub(crate) place: u32,
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

    /// Appends a posting, whose document must be greater than all others in the list. Only the
    /// writer calls this.
    pub(super) fn push(&self, list: &List, posting: Posting) -> Option<()> {
        let mut tail = Tail::unpack(list.tail.load(Ordering::Relaxed));
        if tail.len == tail.capacity {
            tail = self.grow(list, tail)?;
        }
        let [document, weight, positions] = self.posting_at(tail.place, tail.len);
        let frequency = posting.frequency.min(MAX_FREQUENCY);
        document.store(posting.document, Ordering::Relaxed);
        weight.store(frequency << 8 | u32::from(posting.norm), Ordering::Relaxed);
        positions.store(posting.positions, Ordering::Relaxed);
        tail.len += 1;
        list.tail.store(tail.pack(), Ordering::Release);
        Some(())
    }

    /// Reserves contiguous words and returns their start. Only the writer calls this.
    pub(super) fn allocate(&self, len: u32) -> Option<u32> {
        self.take(self.used.load(Ordering::Relaxed), len)
    }

    /// Stores a word that was reserved. Only the writer calls this.
    #[inline]
    pub(super) fn set(&self, index: u32, value: u32) {
        self.words.at(index).store(value, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn word(&self, index: u32) -> u32 {
        self.words.at(index).load(Ordering::Relaxed)
    }

    /// Returns the blocks with documents below `visible`. The last block is truncated to those.
    pub(super) fn blocks(&self, list: &List, visible: u32) -> Vec<BlockRef> {
        // The tail must be read before the directory: if it becomes a block of the directory in
        // between, the block is found there.
        let tail = Tail::unpack(list.tail.load(Ordering::Acquire));
        let (entries, count) = unpack(list.directory.load(Ordering::Acquire));
        let mut blocks = Vec::with_capacity(count as usize + 1);
        for index in 0..count {
            let [last, place, bound] = [0, 1, 2].map(|word| self.word(entries + index * ENTRY + word));
            let full = BLOCK as u32;
            blocks.push(BlockRef { last, place, len: full, bound: Bound::from_bytes(bound.to_le_bytes()) });
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
            let postings = self.postings(block.place, block.len);
            let len = postings.partition_point(|[id, ..]| id.load(Ordering::Relaxed) < visible) as u32;
            if len > 0 {
                blocks.push(self.bounded(Tail { place: block.place, capacity: len, len }));
                break;
            }
        }
        blocks
    }

    /// Copies the postings of documents below `visible`.
    pub(super) fn put_postings(&self, list: &List, visible: u32, out: &mut Postings) {
        out.truncate(0);
        out.many.clear();
        // The tail must be read first, as in `blocks`.
        let tail = Tail::unpack(list.tail.load(Ordering::Acquire));
        let (entries, count) = unpack(list.directory.load(Ordering::Acquire));
        for index in 0..count {
            let place = self.word(entries + index * ENTRY + 1);
            self.put_block(Tail { place, capacity: BLOCK as u32, len: BLOCK as u32 }, out);
        }
        if tail.len > 0 {
            let last = self.last(tail);
            if out.documents.last().is_none_or(|known| *known < last) {
                self.put_block(tail, out);
            }
        }
        if out.documents.last().is_some_and(|last| *last >= visible) {
            out.truncate(out.documents.partition_point(|document| *document < visible));
        }
        // The positions of each posting are copied from its own location. The locations increase
        // from posting to posting, so memory is read in order.
        for (weight, place) in out.weights.iter().zip(&mut out.positions).filter(|(weight, _)| **weight >> 8 > 1) {
            let start = std::mem::replace(place, out.many.len() as u32);
            self.put_positions(weight >> 8, start, &mut out.many);
        }
    }

    fn put_block(&self, block: Tail, out: &mut Postings) {
        let postings = self.postings(block.place, block.len);
        let part = |index: usize| postings.iter().map(move |posting| posting[index].load(Ordering::Relaxed));
        out.documents.extend(part(0));
        out.weights.extend(part(1));
        out.positions.extend(part(2));
    }

    /// Appends the positions of a posting, given its frequency and its position word.
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

    /// Visits the postings of documents below `visible`, block by block.
    #[inline]
    pub(super) fn visit(&self, list: &List, visible: u32, mut each: impl FnMut(&[[AtomicU32; POSTING as usize]])) {
        // The tail must be read first, as in `blocks`.
        let tail = Tail::unpack(list.tail.load(Ordering::Acquire));
        let (entries, count) = unpack(list.directory.load(Ordering::Acquire));
        let mut visit = |block: Tail, last: u32| {
            let postings = self.postings(block.place, block.len);
            match last < visible {
                true => each(postings),
                false => {
                    let len = postings.partition_point(|[document, ..]| document.load(Ordering::Relaxed) < visible);
                    each(&postings[..len]);
                }
            }
        };
        let mut after = 0;
        for index in 0..count {
            let [last, place] = [0, 1].map(|word| self.word(entries + index * ENTRY + word));
            visit(Tail { place, capacity: BLOCK as u32, len: BLOCK as u32 }, last);
            after = last + 1;
            if after >= visible {
                return;
            }
        }
        // If the tail became a block of the directory after it was read, its documents were visited
        // above.
        if tail.len > 0 && self.last(tail) >= after {
            visit(tail, self.last(tail));
        }
    }

    /// Copies a block's documents and (frequency, length) words.
    #[inline]
    pub(super) fn load(&self, block: &BlockRef, documents: &mut [u32; BLOCK], weights: &mut [u32; BLOCK]) {
        let postings = self.postings(block.place, block.len);
        for (([id, weight, _], document), to) in postings.iter().zip(documents).zip(weights) {
            (*document, *to) = (id.load(Ordering::Relaxed), weight.load(Ordering::Relaxed));
        }
    }

    /// Returns the frequency and the position word of posting `index` of a block.
    pub(super) fn posting(&self, block: &BlockRef, index: usize) -> (u32, u32) {
        let [_, weight, positions] = self.posting_at(block.place, index as u32);
        (weight.load(Ordering::Relaxed) >> 8, positions.load(Ordering::Relaxed))
    }

    #[inline]
    fn postings(&self, place: u32, len: u32) -> &[[AtomicU32; POSTING as usize]] {
        &self.words.slice(place).as_chunks().0[..len as usize]
    }

    #[inline]
    fn posting_at(&self, place: u32, index: u32) -> &[AtomicU32; POSTING as usize] {
        match self.words.slice(place + POSTING * index).first_chunk() {
            Some(posting) => posting,
            None => unreachable!("a block is contiguous"),
        }
    }

    fn last(&self, tail: Tail) -> u32 {
        self.word(tail.place + POSTING * (tail.len - 1))
    }

    fn bounded(&self, tail: Tail) -> BlockRef {
        let mut bound = BoundBuilder::default();
        for [_, weight, _] in self.postings(tail.place, tail.len) {
            let weight = weight.load(Ordering::Relaxed);
            bound.add(weight >> 8, weight as u8);
        }
        BlockRef { last: self.last(tail), place: tail.place, len: tail.len, bound: bound.finish() }
    }

    fn grow(&self, list: &List, old: Tail) -> Option<Tail> {
        if old.capacity == BLOCK as u32 {
            self.enter(list, old)?;
            let place = self.allocate_block(POSTING * BLOCK as u32)?;
            return Some(Tail { place, capacity: BLOCK as u32, len: 0 });
        }
        let capacity = (old.capacity * 2).max(FIRST_TAIL);
        let place = self.allocate_block(POSTING * capacity)?;
        let len = (POSTING * old.len) as usize;
        if len > 0 {
            let (from, to) = (&self.words.slice(old.place)[..len], &self.words.slice(place)[..len]);
            from.iter().zip(to).for_each(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
        }
        Some(Tail { place, capacity, len: old.len })
    }

    /// Moves a full tail to the directory.
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

    /// Reserves contiguous words.
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
    /// Returns the positions of posting `index`.
    #[inline]
    pub(crate) fn positions(&self, index: usize) -> &[u32] {
        let place = &self.positions[index];
        match (self.weights[index] >> 8) as usize {
            1 => std::slice::from_ref(place),
            many => &self.many[*place as usize..][..many],
        }
    }

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
