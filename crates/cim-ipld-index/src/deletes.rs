//! Delete sets: the documents of a segment or memtable that are no longer live.

use std::fmt;
use std::sync::Arc;

use crate::encoding::docset::{self, BitSet, ChunkWords};
use crate::encoding::wire::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::page::{DocId, MAX_SEGMENT_DOCUMENTS};

const VERSION: u8 = 1;
const CHUNK_WORDS: usize = size_of::<ChunkWords>() / 8;
const CHUNK_DOCUMENTS: u32 = CHUNK_WORDS as u32 * 64;

type Chunk = Arc<ChunkWords>;

/// A set of deleted documents of one segment or memtable.
///
/// A clone shares the set's chunks of 65,536 documents; an insert copies only the chunk it changes.
///
/// ```
/// use cim_ipld_index::{Deletes, DocId};
///
/// let mut deletes = Deletes::new();
/// assert!(deletes.insert(DocId(7)));
/// assert!(!deletes.insert(DocId(7)));
/// assert_eq!(Deletes::from_bytes(&deletes.to_bytes())?, deletes);
/// # Ok::<(), cim_ipld_index::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Deletes {
    /// Chunks that are present are not empty, and the last one is present.
    chunks: Vec<Option<Chunk>>,
    len: u32,
}

impl Deletes {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of documents in the set.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether the document is in the set.
    pub fn contains(&self, document: DocId) -> bool {
        let (chunk, word, bit) = place(document);
        matches!(self.chunks.get(chunk), Some(Some(words)) if words[word] & bit != 0)
    }

    /// Inserts the document. Returns whether it was new.
    pub fn insert(&mut self, document: DocId) -> bool {
        let (chunk, word, bit) = place(document);
        if chunk >= self.chunks.len() {
            self.chunks.resize(chunk + 1, None);
        }
        let words = Arc::make_mut(self.chunks[chunk].get_or_insert_with(|| Arc::new([0; CHUNK_WORDS])));
        let new = words[word] & bit == 0;
        words[word] |= bit;
        self.len += u32::from(new);
        new
    }

    /// Iterates over the documents in increasing order.
    pub fn iter(&self) -> impl Iterator<Item = DocId> + '_ {
        self.chunks.iter().enumerate().filter_map(|(index, chunk)| Some((index, chunk.as_ref()?))).flat_map(
            |(index, words)| docset::ones(&words[..]).map(move |bit| DocId((index * CHUNK_WORDS * 64) as u32 + bit)),
        )
    }

    /// Encodes the set. Equal sets give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let chunks = self.chunks.iter().zip(0..).filter_map(|(chunk, key)| Some((key, &**chunk.as_ref()?)));
        docset::encode_words(chunks.collect::<Vec<_>>().into_iter(), &mut out);
        out
    }

    /// Decodes a set that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnsupportedVersion`] for a newer layout, [`ErrorKind::Damaged`] for malformed
    /// bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            VERSION => {}
            0 => return Err(Error::damaged("a delete set has no valid version byte")),
            newer => {
                return Err(Error::new(
                    ErrorKind::UnsupportedVersion,
                    format!("a delete set has layout version {newer}; this version supports up to {VERSION}"),
                ));
            }
        }
        let mut deletes = Self::new();
        let mut is_possible = true;
        docset::decode_words(&mut reader, |key, words| {
            is_possible &= u32::from(key) < MAX_SEGMENT_DOCUMENTS / CHUNK_DOCUMENTS;
            if is_possible {
                deletes.len += docset::count_ones(&words);
                deletes.chunks.resize(key.into(), None);
                deletes.chunks.push(Some(Arc::new(words)));
            }
        })?;
        if !is_possible {
            return Err(Error::damaged("a delete set contains a document number that no segment can have"));
        }
        if !reader.is_empty() {
            return Err(Error::damaged("trailing bytes follow a delete set"));
        }
        Ok(deletes)
    }

    /// Returns the last document.
    pub(crate) fn last(&self) -> Option<DocId> {
        let (words, chunk) =
            self.chunks.iter().enumerate().rev().find_map(|(chunk, words)| Some((words.as_ref()?, chunk)))?;
        docset::ones(&words[..]).last().map(|bit| DocId(chunk as u32 * CHUNK_DOCUMENTS + bit))
    }

    /// Visits the documents that are in exactly one of two sets, with `true` for documents of this
    /// set. Chunks that both sets share are skipped.
    pub(crate) fn visit_difference(&self, other: &Self, mut each: impl FnMut(DocId, bool)) {
        const NONE: ChunkWords = [0; CHUNK_WORDS];
        let chunk = |set: &Self, index: usize| set.chunks.get(index).cloned().flatten();
        for index in 0..self.chunks.len().max(other.chunks.len()) {
            let (own, others) = (chunk(self, index), chunk(other, index));
            if let (Some(own), Some(others)) = (&own, &others)
                && Arc::ptr_eq(own, others)
            {
                continue;
            }
            let (own, others) = (own.as_deref().unwrap_or(&NONE), others.as_deref().unwrap_or(&NONE));
            for (word, (own, others)) in own.iter().zip(others).enumerate().filter(|(_, (own, others))| own != others) {
                for bit in docset::ones(&[own ^ others]) {
                    let id = (index * CHUNK_WORDS + word) as u32 * 64 + bit;
                    each(DocId(id), own >> bit & 1 == 1);
                }
            }
        }
    }

    /// Removes the documents from `set`.
    pub(crate) fn subtract_from(&self, set: &mut BitSet) {
        let mut gone = [0; 64];
        for (index, words) in set.words_mut().chunks_mut(64).enumerate() {
            self.words(index * 64, &mut gone);
            words.iter_mut().zip(gone).for_each(|(word, gone)| *word &= !gone);
        }
    }

    /// Copies the bit words (64 documents each) from word `from` on, as many as fit into `out`.
    pub(crate) fn words(&self, from: usize, out: &mut [u64]) {
        for (index, out) in out.iter_mut().enumerate() {
            let word = from + index;
            *out = match self.chunks.get(word / CHUNK_WORDS) {
                Some(Some(words)) => words[word % CHUNK_WORDS],
                _ => 0,
            };
        }
    }
}

impl FromIterator<DocId> for Deletes {
    fn from_iter<I: IntoIterator<Item = DocId>>(documents: I) -> Self {
        let mut deletes = Self::new();
        documents.into_iter().for_each(|document| {
            deletes.insert(document);
        });
        deletes
    }
}

impl fmt::Debug for Deletes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deletes({} documents)", self.len)
    }
}

fn place(document: DocId) -> (usize, usize, u64) {
    let word = (document.0 / 64) as usize;
    (word / CHUNK_WORDS, word % CHUNK_WORDS, 1 << (document.0 % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_difference_is_what_is_in_one_set_alone(
            both in proptest::collection::btree_set(0u32..200_000, 0..50),
            own in proptest::collection::btree_set(0u32..200_000, 0..50),
            others in proptest::collection::btree_set(0u32..200_000, 0..50),
        ) {
            let mut sets = [Deletes::new(), Deletes::new()];
            for id in &both {
                sets[0].insert(DocId(*id));
            }
            sets[1] = sets[0].clone();
            for id in &own {
                sets[0].insert(DocId(*id));
            }
            for id in &others {
                sets[1].insert(DocId(*id));
            }
            let [a, b] = sets.each_ref().map(|set| set.iter().map(|id| id.0).collect::<BTreeSet<_>>());
            let mut seen = Vec::new();
            sets[0].visit_difference(&sets[1], |id, is_own| seen.push((id.0, is_own)));
            let expected: Vec<_> = a.symmetric_difference(&b).map(|id| (*id, a.contains(id))).collect();
            prop_assert_eq!(seen, expected);
            prop_assert_eq!(sets[0].last(), sets[0].iter().last());
        }
    }
}
