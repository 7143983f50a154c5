//! Sets of document ids: bitmaps in memory, compact when encoded.
//!
//! Byte layout: number of chunks (varint), then per chunk of 65,536 ids, in increasing order: key
//! (u16), kind (u8) and either the number of ids minus one (u16), then the sorted ids (u16 each),
//! or a bitmap of 8,192 bytes. All integers are little-endian.

use crate::encoding::wire::{Reader, put_varint};
use crate::error::{Error, Result};

const ARRAY: u8 = 0;
const BITS: u8 = 1;

/// Above this many ids, a bitmap is smaller.
const ARRAY_MAX: usize = 4096;
const BITS_BYTES: usize = 8192;

/// The ids of one chunk as a bitmap.
pub(crate) type ChunkWords = [u64; BITS_BYTES / 8];

/// Encodes ids that come in increasing order.
pub(crate) fn encode(ids: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
    let mut chunks: Vec<(u16, Vec<u16>)> = Vec::new();
    for id in ids {
        let key = (id >> 16) as u16;
        match chunks.last_mut() {
            Some((last, lows)) if *last == key => lows.push(id as u16),
            _ => chunks.push((key, vec![id as u16])),
        }
    }
    put_varint(out, chunks.len() as u64);
    for (key, lows) in chunks {
        if lows.len() <= ARRAY_MAX {
            put_array(key, lows.len(), lows.iter().copied(), out);
        } else {
            let mut words = [0; BITS_BYTES / 8];
            lows.iter().for_each(|low| words[usize::from(*low) / 64] |= 1 << (low % 64));
            put_bits(key, &words, out);
        }
    }
}

/// Encodes bitmap chunks, which come with their keys in increasing order. No chunk may be empty.
pub(crate) fn encode_words<'a>(chunks: impl ExactSizeIterator<Item = (u16, &'a ChunkWords)>, out: &mut Vec<u8>) {
    put_varint(out, chunks.len() as u64);
    for (key, words) in chunks {
        match count_ones(words) as usize {
            count @ ..=ARRAY_MAX => put_array(key, count, ones(words).map(|low| low as u16), out),
            _ => put_bits(key, words, out),
        }
    }
}

fn put_array(key: u16, count: usize, lows: impl Iterator<Item = u16>, out: &mut Vec<u8>) {
    out.extend(key.to_le_bytes());
    out.push(ARRAY);
    out.extend((count as u16 - 1).to_le_bytes());
    lows.for_each(|low| out.extend(low.to_le_bytes()));
}

fn put_bits(key: u16, words: &ChunkWords, out: &mut Vec<u8>) {
    out.extend(key.to_le_bytes());
    out.push(BITS);
    words.iter().for_each(|word| out.extend(word.to_le_bytes()));
}

/// Calls `each` with the key and the bitmap of every non-empty chunk.
pub(crate) fn decode_words(reader: &mut Reader<'_>, mut each: impl FnMut(u16, ChunkWords)) -> Result<()> {
    decode_chunks(reader, |base, chunk| {
        let mut words = [0; BITS_BYTES / 8];
        match chunk {
            Chunk::Array(lows) => {
                for low in lows.as_chunks().0 {
                    let low = u16::from_le_bytes(*low);
                    words[usize::from(low) / 64] |= 1 << (low % 64);
                }
            }
            Chunk::Bits(bytes) => {
                let words = words.iter_mut().zip(bytes.as_chunks().0);
                words.for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
            }
        }
        if words.iter().any(|word| *word != 0) {
            each((base >> 16) as u16, words);
        }
        Ok(())
    })
}

pub(crate) fn count_ones(words: &[u64]) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}

/// Calls `each` with every id, in increasing order.
pub(crate) fn decode(reader: &mut Reader<'_>, mut each: impl FnMut(u32)) -> Result<()> {
    decode_chunks(reader, |base, chunk| {
        match chunk {
            Chunk::Array(lows) => {
                lows.chunks_exact(2).for_each(|low| each(base + u32::from(u16::from_le_bytes([low[0], low[1]]))));
            }
            Chunk::Bits(bytes) => {
                for (index, word) in bytes.chunks_exact(8).enumerate() {
                    let mut word = word.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
                    while word != 0 {
                        each(base + index as u32 * 64 + word.trailing_zeros());
                        word &= word - 1;
                    }
                }
            }
        }
        Ok(())
    })
}

enum Chunk<'a> {
    Array(&'a [u8]),
    Bits(&'a [u8]),
}

fn decode_chunks<'a>(reader: &mut Reader<'a>, mut each: impl FnMut(u32, Chunk<'a>) -> Result<()>) -> Result<()> {
    let mut next_key = 0u32;
    for _ in 0..reader.count()? {
        let key = u16::from_le_bytes(reader.array()?);
        if u32::from(key) < next_key {
            return Err(Error::damaged("the chunks of a document set are out of order"));
        }
        next_key = u32::from(key) + 1;
        let base = u32::from(key) << 16;
        match reader.u8()? {
            ARRAY => {
                let count = usize::from(u16::from_le_bytes(reader.array()?)) + 1;
                let lows = reader.take(count * 2)?;
                let values = lows.as_chunks::<2>().0;
                let in_order = |pair: &[[u8; 2]]| u16::from_le_bytes(pair[0]) < u16::from_le_bytes(pair[1]);
                // Checks every pair: without an early exit the loop vectorizes.
                if values.windows(2).fold(false, |is_bad, pair| is_bad | !in_order(pair)) {
                    return Err(Error::damaged("the ids of a document set are out of order"));
                }
                each(base, Chunk::Array(lows))?;
            }
            BITS => each(base, Chunk::Bits(reader.take(BITS_BYTES)?))?,
            _ => return Err(Error::damaged("a document set has an unknown kind of chunk")),
        }
    }
    Ok(())
}

/// Visits the set bits of `words` in increasing order.
pub(crate) fn ones(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    words.iter().enumerate().flat_map(|(index, &word)| {
        std::iter::successors((word != 0).then_some(word), |word| {
            let rest = word & (word - 1);
            (rest != 0).then_some(rest)
        })
        .map(move |word| index as u32 * 64 + word.trailing_zeros())
    })
}

/// A bitmap with one bit per document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BitSet {
    words: Vec<u64>,
    len: u32,
}

impl BitSet {
    pub(crate) fn empty(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)], len }
    }

    pub(crate) fn full(len: u32) -> Self {
        let mut words = vec![u64::MAX; (len as usize).div_ceil(64)];
        if let (Some(last), 1..) = (words.last_mut(), len % 64) {
            *last = (1 << (len % 64)) - 1;
        }
        Self { words, len }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    #[inline]
    pub(crate) fn contains(&self, id: u32) -> bool {
        self.words.get((id / 64) as usize).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    pub(crate) fn insert(&mut self, id: u32) {
        self.words[(id / 64) as usize] |= 1 << (id % 64);
    }

    /// Returns the first id at or after `from`.
    pub(crate) fn next(&self, from: u32) -> Option<u32> {
        let first = (from / 64) as usize;
        let mut word = self.words.get(first)? & (u64::MAX << (from % 64));
        let mut rest = self.words[first + 1..].iter();
        let mut index = first;
        while word == 0 {
            word = *rest.next()?;
            index += 1;
        }
        Some(index as u32 * 64 + word.trailing_zeros())
    }

    /// Adds the ids of whole words, starting at word `from`. None may be outside the set's range.
    pub(crate) fn insert_words(&mut self, from: u32, words: &[u64]) {
        self.words.iter_mut().skip(from as usize).zip(words).for_each(|(own, word)| *own |= word);
    }

    /// Estimates, from a sample, whether at most about a quarter of all ids are in the set.
    pub(crate) fn is_sparse(&self) -> bool {
        const LOOKS: usize = 64;
        let step = self.words.len().div_ceil(LOOKS).max(1);
        let looked_at = self.words.iter().step_by(step);
        let (words, ones) = looked_at.fold((0, 0), |(words, ones), word| (words + 1, ones + word.count_ones()));
        ones <= words * 16
    }

    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    pub(crate) fn intersect(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    /// Returns the words for modification in chunks.
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        ones(&self.words)
    }

    /// Adds the ids of an encoded set. An id outside the set's range is damage.
    pub(crate) fn insert_encoded(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let len = self.len;
        let words = &mut self.words;
        decode_chunks(reader, |base, chunk| {
            let outside = || Error::damaged("a document set contains a document that does not exist");
            match chunk {
                Chunk::Array(lows) => {
                    let lows = lows.as_chunks::<2>().0;
                    // They are sorted, so the last one bounds them all.
                    let last = lows.last().map_or(0, |last| u32::from(u16::from_le_bytes(*last)));
                    if last >= len.saturating_sub(base) {
                        return Err(outside());
                    }
                    let words = &mut words[(base / 64) as usize..];
                    for low in lows {
                        let low = u16::from_le_bytes(*low);
                        words[usize::from(low / 64)] |= 1 << (low % 64);
                    }
                }
                Chunk::Bits(bytes) => {
                    let first = (base / 64) as usize;
                    for (index, bits) in bytes.chunks_exact(8).enumerate() {
                        let bits = bits.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
                        if bits != 0 {
                            let last = (first + index) as u32 * 64 + bits.ilog2();
                            if last >= len {
                                return Err(outside());
                            }
                            words[first + index] |= bits;
                        }
                    }
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sets_round_trip(mut ids in proptest::collection::btree_set(0u32..200_000, 0..300), dense in any::<bool>()) {
            if dense {
                ids.extend((70_000..76_000).filter(|id| id % 5 != 0));
            }
            let mut bytes = Vec::new();
            encode(ids.iter().copied(), &mut bytes);
            let mut decoded = Vec::new();
            decode(&mut Reader::new(&bytes), |id| decoded.push(id)).unwrap();
            prop_assert_eq!(&decoded, &ids.iter().copied().collect::<Vec<_>>());
            let mut chunks = Vec::new();
            decode_words(&mut Reader::new(&bytes), |key, words| chunks.push((key, words))).unwrap();
            let mut again = Vec::new();
            encode_words(chunks.iter().map(|(key, words)| (*key, words)), &mut again);
            prop_assert!(again == bytes);
            let mut set = BitSet::empty(200_000);
            set.insert_encoded(&mut Reader::new(&bytes)).unwrap();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), decoded);
        }

        #[test]
        fn hostile_bytes_are_an_error_or_a_set(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut last = None;
            let _ = decode(&mut Reader::new(&bytes), |id| {
                assert!(Some(id) > last);
                last = Some(id);
            });
            let _ = BitSet::empty(1000).insert_encoded(&mut Reader::new(&bytes));
        }
    }

    #[test]
    fn an_id_outside_the_range_is_damage() {
        for ids in [vec![1000], (0..5000).collect::<Vec<u32>>()] {
            let mut bytes = Vec::new();
            encode(ids.iter().copied(), &mut bytes);
            assert!(BitSet::empty(1000).insert_encoded(&mut Reader::new(&bytes)).is_err());
        }
    }

    #[test]
    fn full_sets_hold_exactly_their_length() {
        for len in [0, 1, 63, 64, 65, 130] {
            assert_eq!(BitSet::full(len).count(), u64::from(len));
        }
    }
}
