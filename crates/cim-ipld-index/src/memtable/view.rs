//! A reader's view of a memtable.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cid::Cid;

use super::hash_table::Lookup;
use super::key::Key;
use super::lists::{BLOCK, BlockRef, Postings};
use super::{Inner, Stored};
use crate::analysis::Analyzer;
use crate::automaton::Automaton;
use crate::deletes::Deletes;
use crate::document::codec;
use crate::document::{Document, MAX_CID_BYTES};
use crate::keys::FIELDS;
use crate::page::DocId;

/// A memtable at one moment. Cloning copies a pointer; later inserts do not change the view.
///
/// ```
/// use cim_ipld_index::{Analyzer, Document, Memtable};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// let before = memtable.view();
/// memtable.insert(&Document::new(cid))?;
/// assert_eq!((before.document_count(), memtable.view().document_count()), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemtableView {
    inner: Arc<Inner>,
    documents: u32,
}

/// One posting list of a view: its blocks, and the means to read them.
#[derive(Debug, Clone)]
pub(crate) struct MemtableList<'a> {
    inner: &'a Inner,
    pub(crate) blocks: Vec<BlockRef>,
}

/// The location of the positions of one posting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    frequency: u32,
    word: u32,
}

impl MemtableView {
    pub(super) fn new(inner: Arc<Inner>, documents: u32) -> Self {
        Self { inner, documents }
    }

    /// Returns the number of documents that the view contains.
    pub fn document_count(&self) -> u32 {
        self.documents
    }

    /// Returns the analyzer that the documents were indexed with.
    pub fn analyzer(&self) -> &Analyzer {
        &self.inner.analyzer
    }

    /// Finds the newest document with this CID.
    pub fn locate(&self, cid: &Cid) -> Option<DocId> {
        let mut buffer = [0; MAX_CID_BYTES];
        let cid = codec::cid_to_bytes(cid, &mut buffer)?;
        let is_same = |id: u32| self.inner.stored(id).cid() == cid;
        let Lookup::Found { id, .. } = self.inner.cids.find(self.inner.cid_hash(cid), is_same) else {
            return None;
        };
        std::iter::successors(Some(id), |id| self.inner.stored(*id).older).find(|id| *id < self.documents).map(DocId)
    }

    /// Returns a document in the form in which it was inserted.
    pub fn document(&self, id: DocId) -> Option<Document> {
        codec::decode(self.encoded(id)?).ok()
    }

    /// Returns a document in the encoding of [`codec::encode`](crate::document::codec::encode).
    pub fn encoded(&self, id: DocId) -> Option<&[u8]> {
        Some(&self.stored(id)?.encoded)
    }

    pub(crate) fn cid_bytes(&self, id: DocId) -> Option<&[u8]> {
        Some(self.stored(id)?.cid())
    }

    pub(crate) fn norms(&self, id: DocId) -> Option<[u8; FIELDS]> {
        Some(self.stored(id)?.norms)
    }

    /// Returns the number of words of each field in the live documents of the view.
    pub(crate) fn live_words(&self, deletes: &Deletes) -> [u64; FIELDS] {
        let all = self.documents.checked_sub(1).map_or([0; FIELDS], |last| self.inner.stored(last).cumulative_words);
        if deletes.is_empty() {
            return all;
        }
        let deleted = self.inner.deleted_words(deletes);
        std::array::from_fn(|field| all[field].saturating_sub(deleted[field]))
    }

    /// Returns the number of distinct words, tags and content types, including those of documents
    /// added after the view was taken.
    pub(crate) fn distinct(&self) -> [u64; 3] {
        std::array::from_fn(|index| u64::from(self.inner.distinct[index].load(Ordering::Relaxed)))
    }

    /// Returns the posting list of a key, or `None` if no document of the view is in it.
    pub(crate) fn list(&self, key: &[u8]) -> Option<MemtableList<'_>> {
        self.list_of(self.inner.terms.find(&Key::new(key))?)
    }

    /// Visits the keys that start with `prefix`, in no particular order.
    pub(crate) fn keys(&self, prefix: &[u8], each: impl FnMut(&[u8], u32)) {
        self.inner.sorted.visit(&self.inner.terms, prefix, each);
    }

    /// Returns all terms in increasing order of their keys, including those of documents added
    /// after the view was taken.
    pub(crate) fn terms(&self) -> Vec<u32> {
        self.inner.sorted.all(&self.inner.terms)
    }

    /// Writes the key of a term to `out`.
    pub(crate) fn put_key(&self, term: u32, out: &mut Vec<u8>) {
        self.inner.terms.put_key(term, out);
    }

    /// Writes the postings of a term to `out`. There are none if no document of the view is in its
    /// list.
    pub(crate) fn put_postings(&self, term: u32, out: &mut Postings) {
        self.inner.lists.put_postings(self.inner.terms.list(term), self.documents, out);
    }

    /// Visits the terms that an automaton accepts, in no particular order.
    pub(crate) fn walk(&self, automaton: &mut impl Automaton, each: impl FnMut(u32)) {
        self.inner.sorted.walk(&self.inner.terms, automaton, each);
    }

    /// Returns the posting list of a term that [`keys`](Self::keys) or [`walk`](Self::walk)
    /// visited, or `None` if no document of the view is in it.
    pub(crate) fn list_of(&self, term: u32) -> Option<MemtableList<'_>> {
        let blocks = self.inner.lists.blocks(self.inner.terms.list(term), self.documents);
        (!blocks.is_empty()).then_some(MemtableList { inner: &self.inner, blocks })
    }

    /// Returns the number of documents of the view that contain a term.
    pub(crate) fn document_frequency(&self, term: u32) -> u32 {
        let mut count = 0;
        let list = self.inner.terms.list(term);
        self.inner.lists.visit(list, self.documents, |postings| count += postings.len() as u32);
        count
    }

    /// Visits the documents of the view that contain a term: document, frequency, length code.
    #[inline]
    pub(crate) fn postings(&self, term: u32, mut each: impl FnMut(u32, u32, u8)) {
        let list = self.inner.terms.list(term);
        self.inner.lists.visit(list, self.documents, |postings| {
            for [document, weight, _] in postings {
                let weight = weight.load(Ordering::Relaxed);
                each(document.load(Ordering::Relaxed), weight >> 8, weight as u8);
            }
        });
    }

    fn stored(&self, id: DocId) -> Option<&Stored> {
        (id.0 < self.documents).then(|| self.inner.stored(id.0))
    }
}

impl MemtableList<'_> {
    pub(crate) fn document_frequency(&self) -> u32 {
        self.blocks.iter().map(|block| block.len).sum()
    }

    /// Returns the number of documents of the list that are deleted.
    pub(crate) fn count_deleted(&self, deletes: &Deletes) -> u32 {
        /// The cost of a binary search for one document, relative to scanning one document.
        const SEARCH: u32 = 32;
        let (mut documents, mut weights) = ([0; BLOCK], [0; BLOCK]);
        let mut count = 0;
        if deletes.len().saturating_mul(SEARCH) < self.document_frequency() {
            let mut loaded = (usize::MAX, 0);
            for document in deletes.iter() {
                let block = self.blocks.partition_point(|block| block.last < document.0);
                if block == self.blocks.len() {
                    break;
                }
                if loaded.0 != block {
                    loaded = (block, self.load(block, &mut documents, &mut weights));
                }
                count += u32::from(documents[..loaded.1].binary_search(&document.0).is_ok());
            }
            return count;
        }
        for block in 0..self.blocks.len() {
            let len = self.load(block, &mut documents, &mut weights);
            count += documents[..len].iter().filter(|document| deletes.contains(DocId(**document))).count() as u32;
        }
        count
    }

    /// Copies the documents of a block and their (frequency, length) words. Returns their number.
    #[inline]
    pub(crate) fn load(&self, block: usize, documents: &mut [u32; BLOCK], weights: &mut [u32; BLOCK]) -> usize {
        let block = &self.blocks[block];
        self.inner.lists.load(block, documents, weights);
        block.len as usize
    }

    /// Iterates over the documents of a column with their numbers.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.blocks.iter().flat_map(move |block| {
            let (mut documents, mut weights) = ([0; BLOCK], [0; BLOCK]);
            self.inner.lists.load(block, &mut documents, &mut weights);
            (0..block.len as usize).map(move |index| {
                let (_, halves) = self.inner.lists.posting(block, index);
                let [low, high] = [0, 1].map(|half| u64::from(self.inner.lists.word(halves + half)));
                (documents[index], high << 32 | low)
            })
        })
    }

    /// Returns the location of the positions of posting `index` of a block.
    pub(crate) fn position(&self, block: usize, index: usize) -> Position {
        let (frequency, word) = self.inner.lists.posting(&self.blocks[block], index);
        Position { frequency, word }
    }

    /// Visits positions in increasing order.
    #[inline]
    pub(crate) fn visit_positions(&self, position: Position, mut each: impl FnMut(u32)) {
        match position.frequency {
            1 => each(position.word),
            many => (0..many).for_each(|index| each(self.inner.lists.word(position.word + index))),
        }
    }
}

impl fmt::Debug for MemtableView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemtableView({} documents)", self.documents)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Memtable;
    use super::*;

    #[test]
    fn postings_are_those_of_the_list_whatever_came_after_the_view() {
        let mut memtable = Memtable::new(Analyzer::default());
        let mut views = vec![memtable.view()];
        for n in 0u32..700 {
            let cid = Cid::new_v1(0x55, cid::multihash::Multihash::wrap(0x1e, &n.to_le_bytes()).unwrap());
            let third = if n % 3 == 0 { "third third" } else { "" };
            memtable.insert(&Document::new(cid).with_text(format!("every {third} n{} rare{}", n % 5, n / 2))).unwrap();
            if [1, 2, 3, 127, 128, 129, 255, 256, 257, 300, 384, 386, 640, 700].contains(&(n + 1)) {
                views.push(memtable.view());
            }
        }
        let mut longest = 0;
        for view in views {
            view.keys(&[], |key, term| {
                let mut expected = Vec::new();
                if let Some(list) = view.list_of(term) {
                    let (mut documents, mut weights) = ([0; BLOCK], [0; BLOCK]);
                    for block in 0..list.blocks.len() {
                        let len = list.load(block, &mut documents, &mut weights);
                        let postings = documents.iter().zip(&weights).take(len);
                        expected.extend(postings.map(|(document, weight)| (*document, weight >> 8, *weight as u8)));
                    }
                }
                let mut postings = Vec::new();
                view.postings(term, |document, frequency, norm| postings.push((document, frequency, norm)));
                assert_eq!(postings, expected, "{key:?} in {view:?}");
                assert_eq!(view.document_frequency(term) as usize, expected.len(), "{key:?} in {view:?}");
                longest = longest.max(expected.len());
            });
        }
        assert_eq!(longest, 700);
    }
}
