//! The terms of a memtable: keys in the order of their first appearance, found by hash.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::arena::Arena;
use super::lists::List;
use super::slots::{Lookup, Slots};

const MAX_TERMS: u32 = 1 << 26;
const MAX_KEY_WORDS: u32 = 1 << 27;

/// Keys, eight bytes to a word; each in one piece.
type Keys = Arena<AtomicU64, 17>;

#[derive(Debug)]
pub(super) struct Terms {
    hasher: foldhash::quality::RandomState,
    slots: Slots,
    records: Arena<Record, 16>,
    /// Keys, eight bytes to a word, the last one filled up with zeros.
    keys: Keys,
    len: AtomicU32,
    /// Words of `keys` in use; only the writer looks at it.
    key_words: AtomicU32,
}

#[derive(Debug, Default)]
struct Record {
    key_place: AtomicU32,
    key_len: AtomicU32,
    list: List,
}

impl Terms {
    pub(super) fn new() -> Self {
        Self {
            hasher: foldhash::quality::RandomState::default(),
            slots: Slots::new(),
            records: Arena::new(MAX_TERMS),
            keys: Arena::new(MAX_KEY_WORDS),
            len: AtomicU32::new(0),
            key_words: AtomicU32::new(0),
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes() + self.records.bytes() + self.keys.bytes()
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        match self.slots.find(self.hash(key), |id| self.has_key(id, key)) {
            Lookup::Found { id, .. } => Some(id),
            Lookup::Vacant { .. } => None,
        }
    }

    /// Finds the term or makes it; says whether it was made. Only the writer calls this.
    pub(super) fn find_or_insert(&self, key: &[u8]) -> Option<(u32, bool)> {
        let hash = self.hash(key);
        let slot = match self.slots.find(hash, |id| self.has_key(id, key)) {
            Lookup::Found { id, .. } => return Some((id, false)),
            Lookup::Vacant { slot } => slot,
        };
        let id = self.len.load(Ordering::Relaxed);
        self.records.reserve(id, id)?;
        let words = key.len().div_ceil(8) as u32;
        let place = Keys::contiguous(self.key_words.load(Ordering::Relaxed), words);
        if id >= MAX_TERMS || place + words > MAX_KEY_WORDS {
            return None;
        }
        self.keys.reserve(place, place + words - 1)?;
        for (index, chunk) in key.chunks(8).enumerate() {
            self.keys.at(place + index as u32).store(word(chunk), Ordering::Relaxed);
        }
        self.key_words.store(place + words, Ordering::Relaxed);
        let record = self.records.at(id);
        record.key_place.store(place, Ordering::Relaxed);
        record.key_len.store(key.len() as u32, Ordering::Relaxed);
        self.slots.set(slot, hash, id);
        self.len.store(id + 1, Ordering::Release);
        let mut buffer = Vec::new();
        self.slots.grow(id as usize + 1, |id| {
            self.put_key(id, &mut buffer);
            self.hash(&buffer)
        })?;
        Some((id, true))
    }

    #[inline]
    pub(super) fn list(&self, id: u32) -> &List {
        &self.records.at(id).list
    }

    /// Writes the key of a term to `out`.
    pub(super) fn put_key(&self, id: u32, out: &mut Vec<u8>) {
        let record = self.records.at(id);
        let (place, len) = (record.key_place.load(Ordering::Relaxed), record.key_len.load(Ordering::Relaxed));
        out.clear();
        for word in &self.keys.slice(place)[..len.div_ceil(8) as usize] {
            out.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        out.truncate(len as usize);
    }

    /// Returns the first eight bytes of a key as a number that compares as they do, zeros after a shorter key.
    pub(super) fn first_bytes(&self, id: u32) -> u64 {
        let place = self.records.at(id).key_place.load(Ordering::Relaxed);
        self.keys.at(place).load(Ordering::Relaxed).swap_bytes()
    }

    /// Returns the byte that says what the key names.
    #[inline]
    pub(super) fn first_key_byte(&self, id: u32) -> u8 {
        self.keys.at(self.records.at(id).key_place.load(Ordering::Relaxed)).load(Ordering::Relaxed) as u8
    }

    #[inline]
    fn has_key(&self, id: u32, key: &[u8]) -> bool {
        let record = self.records.at(id);
        if record.key_len.load(Ordering::Relaxed) as usize != key.len() {
            return false;
        }
        let place = record.key_place.load(Ordering::Relaxed);
        let words = self.keys.slice(place);
        let (whole, rest) = key.as_chunks::<8>();
        whole.iter().zip(words).all(|(chunk, word)| word.load(Ordering::Relaxed) == u64::from_le_bytes(*chunk))
            && (rest.is_empty() || words[whole.len()].load(Ordering::Relaxed) == word(rest))
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}

#[inline]
fn word(chunk: &[u8]) -> u64 {
    match <[u8; 8]>::try_from(chunk) {
        Ok(bytes) => u64::from_le_bytes(bytes),
        Err(_) => chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}
