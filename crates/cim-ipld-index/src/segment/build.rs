//! Builds a segment from a memtable.

use super::SegmentSummary;
use super::writer::SegmentWriter;
use crate::deletes::Deletes;
use crate::error::Result;
use crate::keys::{self, Namespace};
use crate::memtable::{MemtableView, Postings};
use crate::page::{DocId, PageSink};

/// Writes the live documents of a memtable as a segment.
///
/// The pages depend only on the live documents: equal documents give equal pages, in whatever order
/// they were inserted.
///
/// # Errors
///
/// [`ErrorKind::Sink`](crate::ErrorKind::Sink) if the sink returns an error.
pub fn build_segment(view: &MemtableView, deletes: &Deletes, sink: &mut dyn PageSink) -> Result<SegmentSummary> {
    let mut writer = SegmentWriter::new(view.analyzer().identity(), view.document_count() as usize, sink);
    let map = write_documents(view, deletes, &mut writer)?;
    let mut lists = Lists { view, map: &map, postings: Postings::default(), order: DocumentOrder::new(map.len()) };
    let mut key = Vec::new();
    for term in view.terms() {
        view.put_key(term, &mut key);
        lists.write(term, &key, &mut writer)?;
    }
    writer.finish(vec![map])
}

/// Writes the documents in CID order. Returns the new id of each live document.
fn write_documents(
    view: &MemtableView,
    deletes: &Deletes,
    writer: &mut SegmentWriter<'_>,
) -> Result<Vec<Option<DocId>>> {
    let mut live: Vec<(u128, DocId)> = (0..view.document_count())
        .map(DocId)
        .filter(|id| !deletes.contains(*id))
        .filter_map(|id| Some((first_bytes(view.cid_bytes(id)?), id)))
        .collect();
    live.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0).then_with(|| (view.cid_bytes(a.1), a.1).cmp(&(view.cid_bytes(b.1), b.1)))
    });
    let mut map = vec![None; view.document_count() as usize];
    for (_, id) in live {
        let (Some(cid), Some(encoded), Some(norms)) = (view.cid_bytes(id), view.encoded(id), view.norms(id)) else {
            continue;
        };
        map[id.0 as usize] = Some(writer.document(cid, encoded, norms)?);
    }
    writer.end_documents()?;
    Ok(map)
}

/// Returns the first bytes of a CID as a big-endian number, so that numbers compare like CIDs.
fn first_bytes(cid: &[u8]) -> u128 {
    let mut first = [0; 16];
    let len = cid.len().min(16);
    first[..len].copy_from_slice(&cid[..len]);
    u128::from_be_bytes(first)
}

/// Writes one list after another.
struct Lists<'a> {
    view: &'a MemtableView,
    map: &'a [Option<DocId>],
    postings: Postings,
    order: DocumentOrder,
}

impl Lists<'_> {
    fn write(&mut self, term: u32, key: &[u8], writer: &mut SegmentWriter<'_>) -> Result<()> {
        self.view.put_postings(term, &mut self.postings);
        self.order.sort(&self.postings.documents, self.map);
        if self.order.is_empty() {
            return Ok(());
        }
        match keys::namespace(key) {
            Some(Namespace::Column(kind)) => writer.column(kind, key, &self.numbers()),
            Some(Namespace::Word(field)) => self.write_words(Some(field), key, writer),
            Some(Namespace::OtherWord) => self.write_words(None, key, writer),
            _ => writer.set(key, &self.order.iter().map(|(new, _)| new.0).collect::<Vec<_>>()),
        }
    }

    fn write_words(&self, field: Option<usize>, key: &[u8], writer: &mut SegmentWriter<'_>) -> Result<()> {
        for (new, place) in self.order.iter() {
            writer.posting(field, new, self.postings.weights[place] as u8, self.postings.positions(place))?;
        }
        writer.end_list(key)
    }

    /// Returns the numbers of a column. Each is stored as two positions, the lower half first.
    fn numbers(&self) -> Vec<(u32, u64)> {
        let halves = |place| match self.postings.positions(place) {
            [low, high] => u64::from(*high) << 32 | u64::from(*low),
            _ => unreachable!("a number has two halves"),
        };
        self.order.iter().map(|(new, place)| (new.0, halves(place))).collect()
    }
}

/// The live postings of one list, sorted by their new ids.
struct DocumentOrder {
    /// The new id (upper half) and the place of each posting.
    sorted: Vec<u64>,
    /// Working memory for sorting: a bit and a place for each new id, and a summary bit for each
    /// word of bits.
    bits: Vec<u64>,
    summary: Vec<u64>,
    places: Vec<u32>,
}

impl DocumentOrder {
    /// Allocates working memory for this many documents.
    fn new(documents: usize) -> Self {
        let words = documents.div_ceil(64);
        Self {
            sorted: Vec::new(),
            bits: vec![0; words],
            summary: vec![0; words.div_ceil(64)],
            places: vec![0; documents],
        }
    }

    /// Sorts the documents of a list. Those without an entry in `map` are deleted.
    fn sort(&mut self, documents: &[u32], map: &[Option<DocId>]) {
        /// A list with more postings per word of the summary than this is sorted by writing each
        /// posting to its place.
        const DENSE: usize = 2;
        let new_ids = documents.iter().enumerate().filter_map(|(place, id)| Some((map[*id as usize]?.0, place)));
        self.sorted.clear();
        if documents.len() < 32 + DENSE * self.summary.len() {
            self.sorted.extend(new_ids.map(|(new, place)| u64::from(new) << 32 | place as u64));
            return self.sorted.sort_unstable();
        }
        for (new, place) in new_ids {
            let word = new as usize / 64;
            self.bits[word] |= 1 << (new % 64);
            self.summary[word / 64] |= 1 << (word % 64);
            self.places[new as usize] = place as u32;
        }
        for index in 0..self.summary.len() {
            for word in ones(std::mem::take(&mut self.summary[index])) {
                let word = index * 64 + word;
                for bit in ones(std::mem::take(&mut self.bits[word])) {
                    let new = word * 64 + bit;
                    self.sorted.push((new as u64) << 32 | u64::from(self.places[new]));
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = (DocId, usize)> {
        self.sorted.iter().map(|posting| (new_of(*posting), place_of(*posting)))
    }
}

fn new_of(posting: u64) -> DocId {
    DocId((posting >> 32) as u32)
}

fn place_of(posting: u64) -> usize {
    posting as u32 as usize
}

/// Iterates over the set bits, lowest first.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (word != 0).then(|| word.trailing_zeros() as usize);
        word &= word.wrapping_sub(1);
        lowest
    })
}
