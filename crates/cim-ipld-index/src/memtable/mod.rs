//! The memtable: an inverted index that is searchable while it grows.
//!
//! There is one writer and any number of readers, which never lock. Everything is appended to
//! arenas whose elements never move, and a document becomes visible by one atomic store of the
//! document count once all of it is in place. A view is such a count.

mod arena;
mod hash_table;
mod key;
mod lists;
mod occurrences;
mod sorted;
mod terms;
mod view;

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use arena::Arena;
use bytes::Bytes;
use hash_table::{HashTable, Lookup};
use key::Key;
use lists::{ListStore, Posting};
use occurrences::Occurrences;
use sorted::Sorted;
use terms::Terms;

pub(crate) use lists::{BLOCK, MAX_FREQUENCY, Postings};
pub(crate) use view::MemtableList;
pub use view::MemtableView;

use crate::analysis::Analyzer;
use crate::deletes::Deletes;
use crate::document::Document;
use crate::document::codec::{self, EncodedDocument};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::fields;
use crate::keys::{self, COUNTED, ColumnKind, FIELDS};
use crate::page::{DocId, MAX_SEGMENT_DOCUMENTS};
use crate::score::norm_of_length;

/// A buffer larger than this is freed after each document.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// A growing in-memory index. Each document is searchable as soon as it is inserted.
///
/// It has one writer (this value) and any number of readers ([`MemtableView`]), which never lock.
///
/// ```
/// use cim_ipld_index::{Analyzer, Document, Memtable};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// let id = memtable.insert(&Document::new(cid).with_text("thar she blows"))?;
/// assert_eq!(memtable.view().locate(&cid), Some(id));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Memtable {
    inner: Arc<Inner>,
    occurrences: Box<Occurrences>,
    /// Set if an insert ran out of space halfway. Its remains stay invisible as long as nothing is
    /// inserted after them.
    is_full: bool,
}

#[derive(Debug)]
struct Inner {
    analyzer: Analyzer,
    documents: Arena<OnceLock<Stored>, 12>,
    document_count: AtomicU32,
    cids: HashTable,
    cid_hasher: foldhash::quality::RandomState,
    terms: Terms,
    sorted: Sorted,
    lists: ListStore,
    /// The number of distinct words, tags and content types.
    distinct: [AtomicU32; COUNTED],
    /// The heap memory of the stored documents, in bytes.
    stored_bytes: AtomicUsize,
    /// The word counts of the documents that were deleted as of the last search, so that the next
    /// search only adds the difference.
    deleted: ArcSwap<DeletedWords>,
}

/// The number of words of each field in deleted documents.
#[derive(Debug, Default)]
struct DeletedWords {
    deletes: Deletes,
    words: [u64; FIELDS],
}

/// One document of a memtable.
#[derive(Debug)]
struct Stored {
    encoded: Bytes,
    /// The offset and length of the CID in the encoded document.
    cid: (u8, u8),
    norms: [u8; FIELDS],
    /// The number of words in this and all earlier documents.
    cumulative_words: [u64; FIELDS],
    /// The previous document with the same CID.
    older: Option<u32>,
}

impl Memtable {
    /// Creates an empty memtable.
    pub fn new(analyzer: Analyzer) -> Self {
        let inner = Inner {
            analyzer,
            documents: Arena::new(MAX_SEGMENT_DOCUMENTS),
            document_count: AtomicU32::new(0),
            cids: HashTable::new(),
            cid_hasher: foldhash::quality::RandomState::default(),
            terms: Terms::new(),
            sorted: Sorted::default(),
            lists: ListStore::new(),
            distinct: Default::default(),
            stored_bytes: AtomicUsize::new(0),
            deleted: ArcSwap::default(),
        };
        Self { inner: Arc::new(inner), occurrences: Box::default(), is_full: false }
    }

    /// Inserts a document, which is visible to views taken from now on.
    ///
    /// If the memtable already has a document with this CID, both are kept. The caller marks the
    /// older one, found with [`MemtableView::locate`] before the insert, in the memtable's
    /// [`Deletes`](crate::Deletes).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`] if it exceeds a limit, [`ErrorKind::Full`] if the memtable
    /// must be sealed first.
    pub fn insert(&mut self, document: &Document) -> Result<DocId> {
        let (encoded, cid) = codec::encode_shared(document)?;
        self.insert_parts(document, document.text.as_deref(), (&encoded, cid))
    }

    /// Inserts a document like [`insert`](Self::insert), but shares its bytes instead of encoding
    /// it. If the bytes are part of a larger buffer, the whole buffer stays allocated as long as
    /// the memtable.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] if the memtable has no space left: build a
    /// segment from it, and insert into a new memtable.
    ///
    /// ```
    /// use cim_ipld_index::{Analyzer, Document, EncodedDocument, Memtable, codec};
    ///
    /// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
    /// let bytes = codec::encode(&Document::new(cid).with_text("thar she blows"))?;
    /// let mut memtable = Memtable::new(Analyzer::default());
    /// let id = memtable.insert_encoded(&EncodedDocument::decode(bytes)?)?;
    /// assert_eq!(memtable.view().locate(&cid), Some(id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert_encoded(&mut self, document: &EncodedDocument) -> Result<DocId> {
        self.insert_parts(document.head(), document.text(), document.encoded())
    }

    fn insert_parts(
        &mut self,
        document: &Document,
        text: Option<&str>,
        encoded: (&Bytes, Range<usize>),
    ) -> Result<DocId> {
        let id = self.document_count();
        if self.is_full || id >= MAX_SEGMENT_DOCUMENTS {
            return Err(full());
        }
        let outcome = self.inner.insert(id, document, text, encoded, &mut self.occurrences);
        self.occurrences.trim();
        match outcome {
            Some(()) => Ok(DocId(id)),
            None => {
                self.is_full = true;
                Err(full())
            }
        }
    }

    /// Returns a view of all documents inserted so far.
    pub fn view(&self) -> MemtableView {
        MemtableView::new(self.inner.clone(), self.document_count())
    }

    /// Returns the number of documents inserted so far.
    pub fn document_count(&self) -> u32 {
        self.inner.document_count.load(Ordering::Acquire)
    }

    /// Returns all memory that is allocated for the memtable, in bytes.
    pub fn bytes_used(&self) -> usize {
        self.inner.bytes() + size_of::<Occurrences>() + self.occurrences.bytes()
    }
}

impl Inner {
    /// Inserts a document and publishes it. Returns `None`, with nothing visible, if there is no
    /// space.
    fn insert(
        &self,
        id: u32,
        document: &Document,
        text: Option<&str>,
        encoded: (&Bytes, Range<usize>),
        occurrences: &mut Occurrences,
    ) -> Option<()> {
        let lengths = occurrences.insert(self, id, document, text)?;
        for (name, text) in fields::texts(document) {
            let length = occurrences.insert_attribute(self, id, name, &text)?;
            if length > 0 {
                self.insert_number(id, &keys::column(ColumnKind::Length, name), u64::from(length))?;
            }
        }
        self.insert_numbers(id, document)?;
        self.insert_stored(id, encoded, lengths)?;
        self.document_count.store(id + 1, Ordering::Release);
        Some(())
    }

    fn insert_numbers(&self, id: u32, document: &Document) -> Option<()> {
        fields::visit_numbers(document, |kind, name, number| {
            self.insert_number(id, &keys::column(kind, name), number).ok_or(())
        })
        .ok()
    }

    /// Inserts a number as a posting with two positions: its lower and its upper half.
    fn insert_number(&self, id: u32, key: &[u8], number: u64) -> Option<()> {
        let list = self.terms.list(self.term(&Key::new(key))?);
        let positions = self.lists.allocate(2)?;
        self.lists.set(positions, number as u32);
        self.lists.set(positions + 1, (number >> 32) as u32);
        self.lists.push(list, Posting { document: id, frequency: 2, norm: 0, positions })
    }

    fn insert_stored(&self, id: u32, (encoded, cid): (&Bytes, Range<usize>), lengths: [u32; FIELDS]) -> Option<()> {
        let before = id.checked_sub(1).map_or([0; FIELDS], |last| self.stored(last).cumulative_words);
        let hash = self.cid_hash(&encoded[cid.clone()]);
        let (slot, older) = match self.cids.find(hash, |other| self.stored(other).cid() == &encoded[cid.clone()]) {
            Lookup::Found { id, slot } => (slot, Some(id)),
            Lookup::Vacant { slot } => (slot, None),
        };
        let stored = Stored {
            encoded: encoded.clone(),
            // The CID follows two short varints and is at most 128 bytes long.
            cid: (cid.start as u8, cid.len() as u8),
            norms: lengths.map(norm_of_length),
            cumulative_words: std::array::from_fn(|field| before[field] + u64::from(lengths[field])),
            older,
        };
        self.stored_bytes.fetch_add(stored.encoded.len(), Ordering::Relaxed);
        self.documents.reserve(id, id)?;
        self.documents.at(id).set(stored).ok()?;
        self.cids.set(slot, hash, id);
        self.cids.grow(id as usize + 1)
    }

    #[inline]
    fn term(&self, key: &Key<'_>) -> Option<u32> {
        let (term, is_new) = self.terms.find_or_insert(key)?;
        if is_new && let Some(place) = keys::counted(key.head as u8) {
            self.distinct[place].fetch_add(1, Ordering::Relaxed);
        }
        Some(term)
    }

    fn stored(&self, id: u32) -> &Stored {
        match self.documents.at(id).get() {
            Some(stored) => stored,
            None => unreachable!("a document is stored before its id is published"),
        }
    }

    /// Returns the number of words of each field in deleted documents.
    fn deleted_words(&self, deletes: &Deletes) -> [u64; FIELDS] {
        let known = self.deleted.load();
        let (mut words, mut has_changed) = (known.words, false);
        let documents = self.document_count.load(Ordering::Acquire);
        deletes.visit_difference(&known.deletes, |DocId(id), is_deleted| {
            has_changed = true;
            if id >= documents {
                return;
            }
            let before = id.checked_sub(1).map_or([0; FIELDS], |last| self.stored(last).cumulative_words);
            for (field, after) in self.stored(id).cumulative_words.into_iter().enumerate() {
                let own = after - before[field];
                let sum = words[field];
                words[field] = if is_deleted { sum + own } else { sum.saturating_sub(own) };
            }
        });
        // Deletes of documents that do not exist yet are not cached, because these may exist at the
        // next search.
        if has_changed && deletes.last().is_none_or(|last| last.0 < documents) {
            self.deleted.store(Arc::new(DeletedWords { deletes: deletes.clone(), words }));
        }
        words
    }

    fn cid_hash(&self, cid: &[u8]) -> u64 {
        let mut hasher = self.cid_hasher.build_hasher();
        hasher.write(cid);
        hasher.finish()
    }

    fn bytes(&self) -> usize {
        std::mem::size_of::<Self>()
            + self.documents.bytes()
            + self.cids.bytes()
            + self.terms.bytes()
            + self.sorted.bytes()
            + self.lists.bytes()
            + self.stored_bytes.load(Ordering::Relaxed)
    }
}

impl Stored {
    fn cid(&self) -> &[u8] {
        let (start, len) = (usize::from(self.cid.0), usize::from(self.cid.1));
        &self.encoded[start..start + len]
    }
}

fn full() -> Error {
    Error::new(ErrorKind::Full, "the memtable is full; build a segment from it and start another memtable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_large_document_needed_is_counted_and_given_back() {
        let cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse().unwrap();
        let mut memtable = Memtable::new(Analyzer::default());
        memtable.insert(&Document::new(cid).with_text("one word")).unwrap();
        let small = memtable.bytes_used() - memtable.inner.bytes();
        memtable.insert(&Document::new(cid).with_text("a b ".repeat(25_000))).unwrap();
        let usual = memtable.bytes_used() - memtable.inner.bytes();
        assert!(usual > small + 50_000 * size_of::<u64>(), "a buffer of this size is kept, and counted");
        memtable.insert(&Document::new(cid).with_text("a b ".repeat(500_000))).unwrap();
        let after = memtable.bytes_used() - memtable.inner.bytes();
        assert!(after <= small + MAX_KEPT_BYTES, "{after} bytes are kept");
    }
}
