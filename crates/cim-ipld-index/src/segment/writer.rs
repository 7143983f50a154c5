//! Writes a segment: first documents in CID order, then lists and sets in key order.

use super::SegmentSummary;
use super::bloom;
use super::column::{self, Number};
use super::header::{Header, STREAMS, TABLES};
use super::list::{ListStreams, ListWriter};
use super::stored::{StoredTop, StoredWriter};
use super::stream::{Emitter, StreamWriter, new_page, too_large};
use super::table::{TableTop, TableWriter};
use crate::encoding::docset;
use crate::encoding::wire::{Reader, put_varint};
use crate::error::{Error, Result};
use crate::keys::{self, ColumnKind, FIELDS, Namespace};
use crate::page::{DocId, MAX_SEGMENT_DOCUMENTS, PAGE_BYTES, PageClass, PageSink};

/// A set of at most this many bytes is stored inline in its table.
const MAX_INLINE_SET: usize = 512;
const IN_TABLE: u8 = 0;
const IN_STREAM: u8 = 1;

pub(crate) struct SegmentWriter<'a> {
    out: Emitter<'a>,
    analyzer: String,
    norms: [Vec<u8>; FIELDS],
    total_words: [u64; FIELDS],
    distinct: [u64; 3],
    kinds: [u32; 4],
    stored: StoredWriter,
    cids: TableWriter,
    document_count: u32,
    cid_hashes: Vec<u64>,
    filter_len: u64,
    stored_top: StoredTop,
    cids_top: TableTop,
    dictionary: TableWriter,
    list: ListWriter,
    streams: ListStreams,
    tags: SetWriter,
    types: SetWriter,
    fields: TableWriter,
    columns: StreamWriter,
}

/// A table of sets, and the stream for its large sets.
struct SetWriter {
    table: TableWriter,
    stream: StreamWriter,
}

impl<'a> SegmentWriter<'a> {
    /// Creates a writer with room for the hashes and lengths of this many documents.
    pub(crate) fn new(analyzer: &str, documents: usize, sink: &'a mut dyn PageSink) -> Self {
        Self {
            out: Emitter::new(sink),
            analyzer: analyzer.to_owned(),
            norms: std::array::from_fn(|_| Vec::with_capacity(documents)),
            total_words: [0; FIELDS],
            distinct: [0; 3],
            kinds: [0; 4],
            stored: StoredWriter::default(),
            cids: TableWriter::new(PageClass::Cids),
            document_count: 0,
            cid_hashes: Vec::with_capacity(documents),
            filter_len: 0,
            stored_top: StoredTop::default(),
            cids_top: TableTop::new(PageClass::Cids),
            dictionary: TableWriter::new(PageClass::Dictionary),
            list: ListWriter::new(),
            streams: ListStreams {
                postings: StreamWriter::new(PageClass::Postings),
                positions: StreamWriter::new(PageClass::Positions),
            },
            tags: SetWriter::new(PageClass::Tags, PageClass::TagSets),
            types: SetWriter::new(PageClass::Types, PageClass::TypeSets),
            fields: TableWriter::new(PageClass::Fields),
            columns: StreamWriter::new(PageClass::Columns),
        }
    }

    pub(crate) fn document_count(&self) -> u32 {
        self.document_count
    }

    /// Adds the next document. CIDs come in increasing byte order.
    pub(crate) fn document(&mut self, cid: &[u8], encoded: &[u8], norms: [u8; FIELDS]) -> Result<DocId> {
        if self.document_count() == MAX_SEGMENT_DOCUMENTS {
            return Err(too_large());
        }
        let id = DocId(self.document_count());
        self.stored.push(encoded, &mut self.out)?;
        self.cids.push(cid, &[], &mut self.out)?;
        self.cid_hashes.push(bloom::hash(cid));
        self.document_count += 1;
        self.norms.iter_mut().zip(norms).for_each(|(field, norm)| field.push(norm));
        Ok(id)
    }

    /// Completes the documents.
    pub(crate) fn end_documents(&mut self) -> Result<()> {
        self.stored_top = std::mem::take(&mut self.stored).finish(&mut self.out)?;
        let cids = std::mem::replace(&mut self.cids, TableWriter::new(PageClass::Cids));
        self.cids_top = cids.finish(&mut self.out)?;
        for field in std::mem::take(&mut self.norms) {
            for part in field.chunks(PAGE_BYTES) {
                let mut page = new_page(PageClass::Norms);
                page.extend_from_slice(part);
                self.out.emit(PageClass::Norms, page)?;
            }
        }
        let mut filter = StreamWriter::new(PageClass::CidFilter);
        filter.write(&bloom::build(std::mem::take(&mut self.cid_hashes).into_iter()), &mut self.out)?;
        self.filter_len = filter.finish(&mut self.out)?;
        Ok(())
    }

    /// Adds a posting to the list that [`end_list`](Self::end_list) completes. `field` is `None`
    /// for an attribute, and `norm` is the document's length code in the field. Documents come in
    /// increasing order.
    #[inline]
    pub(crate) fn posting(&mut self, field: Option<usize>, document: DocId, norm: u8, positions: &[u32]) -> Result<()> {
        if let Some(field) = field {
            self.total_words[field] += positions.len() as u64;
        }
        self.list.push(document.0, norm, positions, &mut self.streams, &mut self.out)
    }

    /// Completes the list of a word. Keys come in increasing order.
    pub(crate) fn end_list(&mut self, key: &[u8]) -> Result<()> {
        let value = self.list.finish(&mut self.streams, &mut self.out)?;
        self.distinct[0] += 1;
        self.dictionary.push(key, value, &mut self.out)
    }

    /// Adds a column. Keys and documents come in increasing order.
    pub(crate) fn column(&mut self, kind: ColumnKind, key: &[u8], numbers: &[Number]) -> Result<()> {
        let count = self.document_count();
        let value = column::write(kind, numbers, count, &mut self.columns, &mut self.out)?;
        self.fields.push(key, &value, &mut self.out)
    }

    /// Adds the set of a tag, keyword or type. Keys and ids come in increasing order.
    pub(crate) fn set(&mut self, key: &[u8], ids: &[u32]) -> Result<()> {
        match keys::namespace(key) {
            Some(namespace @ (Namespace::Tag | Namespace::Keyword)) => {
                self.distinct[1] += u64::from(namespace == Namespace::Tag);
                self.tags.push(key, ids, &mut self.out)
            }
            _ => {
                if keys::is_content_type(key) {
                    self.distinct[2] += 1;
                } else if let Some(kind) = self.kinds.get_mut(usize::from(key.get(1).copied().unwrap_or(u8::MAX))) {
                    *kind = ids.len() as u32;
                }
                self.types.push(key, ids, &mut self.out)
            }
        }
    }

    pub(crate) fn finish(mut self, document_maps: Vec<Vec<Option<DocId>>>) -> Result<SegmentSummary> {
        let out = &mut self.out;
        let document_count = self.document_count;
        let tables = [
            self.dictionary.finish(out)?,
            self.cids_top,
            self.tags.table.finish(out)?,
            self.types.table.finish(out)?,
            self.fields.finish(out)?,
        ];
        let streams = [
            self.streams.postings.finish(out)?,
            self.streams.positions.finish(out)?,
            self.tags.stream.finish(out)?,
            self.types.stream.finish(out)?,
            self.filter_len,
            self.columns.finish(out)?,
        ];
        debug_assert_eq!((tables.len(), streams.len()), (TABLES.len(), STREAMS.len()));
        let header = Header {
            analyzer: self.analyzer,
            document_count,
            total_words: self.total_words,
            distinct: self.distinct,
            kinds: self.kinds,
            streams,
            tables,
            stored: self.stored_top,
        };
        header.emit(out)?;
        let pages = PageClass::ALL.into_iter().map(|class| (class, out.count(class))).filter(|(_, count)| *count > 0);
        Ok(SegmentSummary { pages: pages.collect(), bytes: out.bytes(), document_count, document_maps })
    }
}

impl SetWriter {
    fn new(table: PageClass, stream: PageClass) -> Self {
        Self { table: TableWriter::new(table), stream: StreamWriter::new(stream) }
    }

    /// Adds a set. The value consists of its size, its location (one byte), and either the set
    /// itself or its offset and length in the stream.
    fn push(&mut self, key: &[u8], ids: &[u32], out: &mut Emitter<'_>) -> Result<()> {
        let mut set = Vec::new();
        docset::encode(ids.iter().copied(), &mut set);
        let mut value = Vec::new();
        put_varint(&mut value, ids.len() as u64);
        if set.len() <= MAX_INLINE_SET {
            value.push(IN_TABLE);
            value.extend_from_slice(&set);
        } else {
            value.push(IN_STREAM);
            put_varint(&mut value, self.stream.len());
            put_varint(&mut value, set.len() as u64);
            self.stream.write(&set, out)?;
        }
        self.table.push(key, &value, out)
    }
}

/// The location of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetPlace<'a> {
    Table(&'a [u8]),
    Stream { offset: u64, len: u64 },
}

/// Decodes the value of a set's table entry: its size and its location.
pub(crate) fn decode_set_value(value: &[u8]) -> Result<(u32, SetPlace<'_>)> {
    let mut reader = Reader::new(value);
    let count = reader.varint_u32()?;
    let place = match reader.u8()? {
        IN_TABLE => SetPlace::Table(reader.take(reader.remaining())?),
        IN_STREAM => SetPlace::Stream { offset: reader.varint()?, len: reader.varint()? },
        _ => return Err(Error::damaged("a set has an unknown location")),
    };
    Ok((count, place))
}
