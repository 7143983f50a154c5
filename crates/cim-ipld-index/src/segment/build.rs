//! Building a segment from a memtable.

use super::SegmentSummary;
use super::writer::SegmentWriter;
use crate::deletes::Deletes;
use crate::error::Result;
use crate::keys::{self, Namespace};
use crate::memtable::{BLOCK, MemtableList, MemtableView};
use crate::page::{DocId, PageSink};

/// Writes the live documents of a memtable as a segment.
///
/// The pages depend on nothing but the live documents: equal documents give equal pages, in whatever order they came.
///
/// # Errors
///
/// [`ErrorKind::Sink`](crate::ErrorKind::Sink) if the sink refuses a page.
pub fn build_segment(view: &MemtableView, deletes: &Deletes, sink: &mut dyn PageSink) -> Result<SegmentSummary> {
    let mut live: Vec<(&[u8], DocId)> = (0..view.document_count())
        .map(DocId)
        .filter(|id| !deletes.contains(*id))
        .filter_map(|id| Some((view.cid_bytes(id)?, id)))
        .collect();
    live.sort_unstable();
    let mut writer = SegmentWriter::new(view.analyzer().identity(), sink);
    let mut map = vec![None; view.document_count() as usize];
    for (cid, id) in live {
        let (Some(encoded), Some(norms)) = (view.encoded(id), view.norms(id)) else { continue };
        map[id.0 as usize] = Some(writer.document(cid, encoded, norms)?);
    }
    writer.end_documents()?;
    let mut lists = Vec::new();
    view.keys(&[], |key, term| lists.push((key.to_vec(), term)));
    // Most of them come in order; this sort makes use of it.
    lists.sort();
    let mut buffers = Buffers::default();
    for (key, term) in lists {
        if let Some(list) = view.list_of(term) {
            write_list(&key, &list, &map, &mut buffers, &mut writer)?;
        }
    }
    writer.finish(vec![map])
}

#[derive(Default)]
struct Buffers {
    /// New id (upper half), block and place in the block of every live posting.
    postings: Vec<u64>,
    positions: Vec<u32>,
    ids: Vec<u32>,
    /// A bit and a place for each new id, while a long list is sorted.
    bits: Vec<u64>,
    places: Vec<u32>,
}

impl Buffers {
    /// Sorts the postings by their new ids, of which there are at most so many.
    fn sort_postings(&mut self, documents: usize) {
        /// A list of so many postings for each word of bits is sorted by putting each in its place.
        const DENSE: usize = 2;
        let words = documents.div_ceil(64);
        if self.postings.len() < DENSE * words {
            return self.postings.sort_unstable();
        }
        self.bits.resize(words, 0);
        self.places.resize(documents, 0);
        for posting in self.postings.drain(..) {
            let id = (posting >> 32) as usize;
            self.bits[id / 64] |= 1 << (id % 64);
            self.places[id] = posting as u32;
        }
        for (index, bits) in self.bits.iter_mut().enumerate() {
            let mut word = std::mem::take(bits);
            while word != 0 {
                let id = index * 64 + word.trailing_zeros() as usize;
                self.postings.push((id as u64) << 32 | u64::from(self.places[id]));
                word &= word - 1;
            }
        }
    }
}

fn write_list(
    key: &[u8],
    list: &MemtableList<'_>,
    map: &[Option<DocId>],
    buffers: &mut Buffers,
    writer: &mut SegmentWriter<'_>,
) -> Result<()> {
    if let Some(Namespace::Column(kind)) = keys::namespace(key) {
        let mut numbers: Vec<_> =
            list.numbers().filter_map(|(id, number)| Some((map[id as usize]?.0, number))).collect();
        numbers.sort_unstable();
        return if numbers.is_empty() { Ok(()) } else { writer.column(kind, key, &numbers) };
    }
    let (mut documents, mut weights) = ([0; BLOCK], [0; BLOCK]);
    buffers.postings.clear();
    for block in 0..list.blocks.len() {
        let len = list.load(block, &mut documents, &mut weights);
        for (index, document) in documents[..len].iter().enumerate() {
            if let Some(new) = map[*document as usize] {
                buffers.postings.push(u64::from(new.0) << 32 | (block * BLOCK + index) as u64);
            }
        }
    }
    if buffers.postings.is_empty() {
        return Ok(());
    }
    buffers.sort_postings(map.len());
    let field = match keys::namespace(key) {
        Some(Namespace::Word(field)) => Some(field),
        Some(Namespace::AttributeWord) => None,
        _ => {
            buffers.ids.clear();
            buffers.ids.extend(buffers.postings.iter().map(|posting| (posting >> 32) as u32));
            return writer.set(key, &buffers.ids);
        }
    };
    for posting in &buffers.postings {
        let place = *posting as u32 as usize;
        let norm = list.put_posting(place / BLOCK, place % BLOCK, &mut buffers.positions);
        writer.posting(field, DocId((posting >> 32) as u32), norm, &buffers.positions)?;
    }
    writer.end_list(key)
}
