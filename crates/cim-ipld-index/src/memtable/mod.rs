//! The memtable: an inverted index that is searchable as it grows.
//!
//! One writer, any number of readers that never lock: everything is appended to arenas whose elements never move, and a
//! document becomes visible by one atomic store of the document count after all of it is in place. A view is that count.

mod arena;
mod lists;
mod slots;
mod sorted;
mod terms;
mod view;

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arena::Arena;
use lists::{ListStore, Posting};
use slots::{Lookup, Slots};
use sorted::Sorted;
use terms::Terms;

pub(crate) use lists::{BLOCK, MAX_FREQUENCY};
pub(crate) use view::MemtableList;
pub use view::MemtableView;

use crate::analysis::{Analyzer, Scratch};
use crate::codec;
use crate::document::Document;
use crate::error::{Error, ErrorKind, Result};
use crate::fields;
use crate::keys::{self, ColumnKind, FIELDS, Namespace};
use crate::page::{DocId, MAX_SEGMENT_DOCUMENTS};
use crate::score::norm_of_length;

/// Takes documents one by one; every one is searchable at once.
///
/// One writer (this value), any number of readers ([`MemtableView`]) that never lock.
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
    scratch: Box<Occurrences>,
    /// Set when an insert ran out of room half-way: what it left is invisible as long as nothing follows it.
    is_full: bool,
}

#[derive(Debug)]
struct Inner {
    analyzer: Analyzer,
    documents: Arena<OnceLock<Stored>, 12>,
    document_count: AtomicU32,
    cids: Slots,
    cid_hasher: foldhash::quality::RandomState,
    terms: Terms,
    sorted: Sorted,
    lists: ListStore,
    /// Terms of words, tags and types.
    distinct: [AtomicU32; 3],
    /// What the documents themselves hold on the heap.
    stored_bytes: AtomicUsize,
}

/// One document of a memtable.
#[derive(Debug)]
struct Stored {
    encoded: Box<[u8]>,
    cid: Box<[u8]>,
    norms: [u8; FIELDS],
    /// Words of this document and all before it.
    cumulative_words: [u64; FIELDS],
    /// The document of the same CID before this one.
    older: Option<u32>,
}

/// The words of the document that is being inserted.
#[derive(Debug, Default)]
struct Occurrences {
    analysis: Scratch,
    key: Vec<u8>,
    /// Term id (upper 32 bits) and position of every word.
    words: Vec<u64>,
    lengths: [u32; FIELDS],
    /// The words of the attribute that was collected last.
    attribute_length: u32,
}

impl Memtable {
    /// Makes an empty memtable.
    pub fn new(analyzer: Analyzer) -> Self {
        let inner = Inner {
            analyzer,
            documents: Arena::new(MAX_SEGMENT_DOCUMENTS),
            document_count: AtomicU32::new(0),
            cids: Slots::new(),
            cid_hasher: foldhash::quality::RandomState::default(),
            terms: Terms::new(),
            sorted: Sorted::default(),
            lists: ListStore::new(),
            distinct: Default::default(),
            stored_bytes: AtomicUsize::new(0),
        };
        Self { inner: Arc::new(inner), scratch: Box::default(), is_full: false }
    }

    /// Puts a document in; views taken from now on show it.
    ///
    /// A document whose CID is already there is put in beside the older one: mark the older one, which
    /// [`MemtableView::locate`] finds before the insert, in the memtable's [`Deletes`](crate::Deletes).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`] if it exceeds a limit, [`ErrorKind::Full`] if the memtable must be sealed first.
    pub fn insert(&mut self, document: &Document) -> Result<DocId> {
        let encoded = codec::encode(document)?;
        let id = self.document_count();
        if self.is_full || id >= MAX_SEGMENT_DOCUMENTS {
            return Err(full());
        }
        match self.inner.insert(id, document, encoded, &mut self.scratch) {
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

    /// Returns the bytes of memory held: everything allocated for the memtable.
    pub fn bytes_used(&self) -> usize {
        self.inner.bytes()
    }
}

impl Inner {
    /// Puts a document in and publishes it. `None` if there is no room; nothing is then visible.
    fn insert(&self, id: u32, document: &Document, encoded: Vec<u8>, words: &mut Occurrences) -> Option<()> {
        words.collect(self, document)?;
        self.insert_words(id, words)?;
        for (name, text) in fields::texts(document) {
            words.collect_attribute(self, name, text)?;
            self.insert_words(id, words)?;
            if words.attribute_length > 0 {
                self.insert_number(id, &keys::column(ColumnKind::Length, name), u64::from(words.attribute_length))?;
            }
        }
        self.insert_names(id, document)?;
        self.insert_numbers(id, document)?;
        self.insert_stored(id, document, encoded, words.lengths)?;
        self.document_count.store(id + 1, Ordering::Release);
        Some(())
    }

    fn insert_words(&self, id: u32, words: &mut Occurrences) -> Option<()> {
        words.words.sort_unstable();
        let norms = words.lengths.map(norm_of_length);
        let attribute_norm = norm_of_length(words.attribute_length);
        for group in words.words.chunk_by(|a, b| a >> 32 == b >> 32) {
            let term = (group[0] >> 32) as u32;
            let frequency = group.len().min(MAX_FREQUENCY as usize);
            let positions = match group {
                [only] => *only as u32,
                many => self.lists.store(many[..frequency].iter().map(|word| *word as u32))?,
            };
            let norm = norms.get(usize::from(self.terms.first_key_byte(term))).copied().unwrap_or(attribute_norm);
            let posting = Posting { document: id, frequency: frequency as u32, norm, positions };
            self.lists.push(self.terms.list(term), posting)?;
        }
        Some(())
    }

    fn insert_numbers(&self, id: u32, document: &Document) -> Option<()> {
        fields::visit_numbers(document, |kind, name, number| {
            self.insert_number(id, &keys::column(kind, name), number).ok_or(())
        })
        .ok()
    }

    /// Puts a number in: a posting whose two positions are its halves, the lower one first.
    fn insert_number(&self, id: u32, key: &[u8], number: u64) -> Option<()> {
        let list = self.terms.list(self.term(key)?);
        let positions = self.lists.store([number as u32, (number >> 32) as u32].into_iter())?;
        self.lists.push(list, Posting { document: id, frequency: 2, norm: 0, positions })
    }

    /// Puts tags, keywords, content type and kind in.
    fn insert_names(&self, id: u32, document: &Document) -> Option<()> {
        fields::visit_names(document, |key| {
            let list = self.terms.list(self.term(key).ok_or(())?);
            self.lists.push(list, Posting { document: id, frequency: 1, norm: 0, positions: 0 }).ok_or(())
        })
        .ok()
    }

    fn insert_stored(&self, id: u32, document: &Document, encoded: Vec<u8>, lengths: [u32; FIELDS]) -> Option<()> {
        let before = id.checked_sub(1).map_or([0; FIELDS], |last| self.stored(last).cumulative_words);
        let cid = document.cid.to_bytes().into_boxed_slice();
        let hash = self.cid_hash(&cid);
        let (slot, older) = match self.cids.find(hash, |other| *self.stored(other).cid == *cid) {
            Lookup::Found { id, slot } => (slot, Some(id)),
            Lookup::Vacant { slot } => (slot, None),
        };
        let stored = Stored {
            encoded: encoded.into_boxed_slice(),
            cid,
            norms: lengths.map(norm_of_length),
            cumulative_words: std::array::from_fn(|field| before[field] + u64::from(lengths[field])),
            older,
        };
        self.stored_bytes.fetch_add(stored.encoded.len() + stored.cid.len(), Ordering::Relaxed);
        self.documents.reserve(id, id)?;
        self.documents.at(id).set(stored).ok()?;
        self.cids.set(slot, hash, id);
        self.cids.grow(id as usize + 1, |id| self.cid_hash(&self.stored(id).cid))
    }

    fn term(&self, key: &[u8]) -> Option<u32> {
        let (term, is_new) = self.terms.find_or_insert(key)?;
        if is_new {
            let counter = match keys::namespace(key) {
                Some(Namespace::Tag) => 1,
                Some(Namespace::Type) if keys::is_content_type(key) => 2,
                Some(Namespace::Type | Namespace::Keyword | Namespace::Column(_)) => return Some(term),
                _ => 0,
            };
            self.distinct[counter].fetch_add(1, Ordering::Relaxed);
        }
        Some(term)
    }

    fn stored(&self, id: u32) -> &Stored {
        match self.documents.at(id).get() {
            Some(stored) => stored,
            None => unreachable!("a document is stored before its id is published"),
        }
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

impl Occurrences {
    /// Cuts the document into words and finds their terms.
    fn collect(&mut self, inner: &Inner, document: &Document) -> Option<()> {
        let Self { analysis, key, words, lengths, .. } = self;
        let mut is_full = false;
        words.clear();
        *lengths = fields::visit_words(document, &inner.analyzer, analysis, |field, word, position| {
            keys::put_field(field, key);
            key.extend_from_slice(word.as_bytes());
            match inner.term(key) {
                Some(term) => words.push(u64::from(term) << 32 | u64::from(position)),
                None => is_full = true,
            }
        });
        (!is_full).then_some(())
    }

    /// Cuts a text of an attribute into words and finds their terms.
    fn collect_attribute(&mut self, inner: &Inner, name: &str, text: &str) -> Option<()> {
        let Self { analysis, key, words, attribute_length, .. } = self;
        let mut is_full = false;
        words.clear();
        *attribute_length = 0;
        keys::put_attribute(name, key);
        let prefix = key.len();
        inner.analyzer.analyze(text, analysis, |token| {
            key.truncate(prefix);
            key.extend_from_slice(token.word.as_bytes());
            *attribute_length += 1;
            match inner.term(key) {
                Some(term) => words.push(u64::from(term) << 32 | u64::from(token.position)),
                None => is_full = true,
            }
        });
        (!is_full).then_some(())
    }
}

fn full() -> Error {
    Error::new(ErrorKind::Full, "the memtable holds as much as it can address; seal it and start another")
}
