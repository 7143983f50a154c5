//! The terms of a memtable: keys numbered in order of first appearance and found by hash.

use std::cmp::Ordering as Order;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::arena::Arena;
use super::hash_table::{HashTable, Lookup};
use super::key::{HEAD, Key, word};
use super::lists::List;

const MAX_TERMS: u32 = 1 << 26;
const MAX_KEY_WORDS: u32 = 1 << 27;

/// The bytes after the heads of keys, eight per word, zero-padded; contiguous for each key.
type Rests = Arena<AtomicU64, 17>;

#[derive(Debug)]
pub(super) struct Terms {
    hasher: foldhash::quality::RandomState,
    slots: HashTable,
    records: Arena<Record, 16>,
    rests: Rests,
    len: AtomicU32,
    /// The number of words of `rests` in use. Only the writer reads it.
    rest_words: AtomicU32,
}

/// A term. It takes half a cache line, which is usually all that is read of it.
#[derive(Debug, Default)]
#[repr(align(32))]
struct Record {
    /// The first bytes of the key. See [`Key`].
    head: AtomicU64,
    rest_place: AtomicU32,
    key_len: AtomicU32,
    list: List,
}

const _: () = assert!(size_of::<Record>() == 32);

impl Terms {
    pub(super) fn new() -> Self {
        Self {
            hasher: foldhash::quality::RandomState::default(),
            slots: HashTable::new(),
            records: Arena::new(MAX_TERMS),
            rests: Arena::new(MAX_KEY_WORDS),
            len: AtomicU32::new(0),
            rest_words: AtomicU32::new(0),
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes() + self.records.bytes() + self.rests.bytes()
    }

    pub(super) fn find(&self, key: &Key<'_>) -> Option<u32> {
        match self.slots.find(key.hash(&self.hasher), |id| self.has_key(id, key)) {
            Lookup::Found { id, .. } => Some(id),
            Lookup::Vacant { .. } => None,
        }
    }

    /// Finds or creates the term, and returns whether it was created. Only the writer calls this.
    #[inline]
    pub(super) fn find_or_insert(&self, key: &Key<'_>) -> Option<(u32, bool)> {
        let hash = key.hash(&self.hasher);
        match self.slots.find(hash, |id| self.has_key(id, key)) {
            Lookup::Found { id, .. } => Some((id, false)),
            Lookup::Vacant { slot } => Some((self.insert(key, hash, slot)?, true)),
        }
    }

    #[cold]
    fn insert(&self, key: &Key<'_>, hash: u64, slot: usize) -> Option<u32> {
        let id = self.len.load(Ordering::Relaxed);
        if id >= MAX_TERMS {
            return None;
        }
        self.records.reserve(id, id)?;
        let record = self.records.at(id);
        if !key.rest.is_empty() {
            record.rest_place.store(self.store_rest(key.rest)?, Ordering::Relaxed);
        }
        record.head.store(key.head, Ordering::Relaxed);
        record.key_len.store(key.len, Ordering::Relaxed);
        self.slots.set(slot, hash, id);
        self.len.store(id + 1, Ordering::Release);
        self.slots.grow(id as usize + 1)?;
        Some(id)
    }

    fn store_rest(&self, rest: &[u8]) -> Option<u32> {
        let words = rest.len().div_ceil(8) as u32;
        let place = Rests::contiguous(self.rest_words.load(Ordering::Relaxed), words);
        if place + words > MAX_KEY_WORDS {
            return None;
        }
        self.rests.reserve(place, place + words - 1)?;
        for (to, chunk) in self.rests.slice(place).iter().zip(rest.chunks(8)) {
            to.store(word(chunk), Ordering::Relaxed);
        }
        self.rest_words.store(place + words, Ordering::Relaxed);
        Some(place)
    }

    #[inline]
    pub(super) fn list(&self, id: u32) -> &List {
        &self.records.at(id).list
    }

    /// Writes the key of a term to `out`.
    pub(super) fn put_key(&self, id: u32, out: &mut Vec<u8>) {
        let record = self.records.at(id);
        out.clear();
        out.extend_from_slice(&record.head.load(Ordering::Relaxed).to_le_bytes());
        for word in self.rest(record) {
            out.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        out.truncate(record.key_len.load(Ordering::Relaxed) as usize);
    }

    /// Returns the first eight bytes of a key as a big-endian number, padded with zeros, so that
    /// numbers compare like keys.
    pub(super) fn first_bytes(&self, id: u32) -> u64 {
        self.records.at(id).head.load(Ordering::Relaxed).swap_bytes()
    }

    /// Compares two keys whose first eight bytes are equal by their remaining bytes.
    pub(super) fn compare_rests(&self, a: u32, b: u32) -> Order {
        let (a, b) = (self.records.at(a), self.records.at(b));
        let bytes = |word: &AtomicU64| word.load(Ordering::Relaxed).swap_bytes();
        // Of two keys that differ only in trailing zeros, the shorter one comes first.
        let len = |record: &Record| record.key_len.load(Ordering::Relaxed);
        self.rest(a).iter().map(bytes).cmp(self.rest(b).iter().map(bytes)).then_with(|| len(a).cmp(&len(b)))
    }

    fn rest(&self, record: &Record) -> &[AtomicU64] {
        let len = (record.key_len.load(Ordering::Relaxed) as usize).saturating_sub(HEAD);
        if len == 0 { &[] } else { &self.rests.slice(record.rest_place.load(Ordering::Relaxed))[..len.div_ceil(8)] }
    }

    #[inline]
    fn has_key(&self, id: u32, key: &Key<'_>) -> bool {
        let record = self.records.at(id);
        record.head.load(Ordering::Relaxed) == key.head
            && record.key_len.load(Ordering::Relaxed) == key.len
            && (key.rest.is_empty() || self.has_rest(record, key.rest))
    }

    #[inline]
    fn has_rest(&self, record: &Record, rest: &[u8]) -> bool {
        let words = self.rests.slice(record.rest_place.load(Ordering::Relaxed));
        rest.chunks(8).zip(words).all(|(chunk, known)| known.load(Ordering::Relaxed) == word(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_compare_as_their_bytes_do() {
        let tails =
            ["", "\0", "\0\0", "a", "a\0", "ab", "\0\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0\0x", "b and more than a word"];
        let keys: Vec<Vec<u8>> = ["", "x", "x\0", "eight by", "eight bz"]
            .iter()
            .flat_map(|head| tails.map(|tail| format!("{head}{tail}").into_bytes()))
            .collect();
        let terms = Terms::new();
        let ids: Vec<u32> = keys.iter().map(|key| terms.find_or_insert(&Key::new(key)).unwrap().0).collect();
        let mut known = Vec::new();
        for (key, id) in keys.iter().zip(&ids) {
            terms.put_key(*id, &mut known);
            assert_eq!(known, *key);
            assert_eq!(terms.find(&Key::new(key)), Some(*id));
            for (other, other_id) in keys.iter().zip(&ids) {
                let heads = terms.first_bytes(*id).cmp(&terms.first_bytes(*other_id));
                assert_eq!(
                    heads.then_with(|| terms.compare_rests(*id, *other_id)),
                    key.cmp(other),
                    "{key:?} {other:?}"
                );
            }
        }
        assert_eq!(terms.find(&Key::new(b"eight b")), None);
    }
}
