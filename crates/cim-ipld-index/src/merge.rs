//! Merges segments.
//!
//! The documents of every input are sorted by CID, so a merge is one pass over the tables and lists
//! of each input. It holds in memory one page of each table, the pages of one list of each input,
//! and the new id and the field lengths of each document.

use crate::analysis::Form;
use crate::budget::meter::Account;
use crate::deletes::Deletes;
use crate::encoding::docset::BitSet;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{self, ColumnKind, FIELDS, Namespace, namespace};
use crate::page::fetch::Fetcher;
use crate::page::{DocId, MAX_SEGMENT_DOCUMENTS, PageClass, PageSink, PageSource};
use crate::search::{Cursor, END, Handle, Leaf, NormCache, Source, TermSelector};
use crate::segment::{Norms, Segment, SegmentSummary, SegmentWriter, TableCursor};

/// Merges the live documents of several segments into a new segment.
///
/// All pages of the inputs must be available; [`Segment::page_ids`] lists them. Each page is
/// requested about once, grouped by class, so a source that fetches on demand needs to cache only a
/// few. If a CID is live in several inputs, which a well-maintained index avoids, the last input
/// wins.
///
/// # Errors
///
/// [`ErrorKind::Damaged`] if an input is malformed or a page is missing, [`ErrorKind::Sink`] if the
/// sink returns an error, [`ErrorKind::AnalyzerMismatch`] if the inputs' analyzers differ,
/// [`ErrorKind::Full`] if there are too many documents for one segment.
///
/// ```
/// use cim_ipld_index::{
///     Analyzer, Deletes, Document, Memtable, PageMap, Segment, SegmentId, build_segment, merge_segments,
/// };
///
/// let mut pages = PageMap::new();
/// let mut segments = Vec::new();
/// for (number, cid) in [
///     "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
///     "bafkreidgvpkjawlxz6sffxzwgooowe5yt7i6wsyg236mfoks77nywkptdq",
/// ].into_iter().enumerate() {
///     let mut memtable = Memtable::new(Analyzer::default());
///     memtable.insert(&Document::new(cid.parse()?))?;
///     let id = SegmentId([number as u8; 16]);
///     build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(id))?;
///     segments.push(Segment::open(id, &pages.header(id))?);
/// }
/// let mut merged = PageMap::new();
/// let deletes = Deletes::new();
/// let inputs: Vec<_> = segments.iter().map(|segment| (segment, &deletes)).collect();
/// let summary = merge_segments(&inputs, &pages, &mut merged.sink(SegmentId([9; 16])))?;
/// assert_eq!(summary.document_count, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn merge_segments(
    inputs: &[(&Segment, &Deletes)],
    pages: &dyn PageSource,
    sink: &mut dyn PageSink,
) -> Result<SegmentSummary> {
    let analyzer = inputs.first().map_or("", |(segment, _)| segment.analyzer());
    if inputs.iter().any(|(segment, _)| segment.analyzer() != analyzer) {
        return Err(Error::new(ErrorKind::AnalyzerMismatch, "segments with different analyzers cannot be merged"));
    }
    let fetcher = Fetcher::new(pages);
    let live = |(segment, deletes): &(&Segment, &Deletes)| segment.document_count().saturating_sub(deletes.len());
    let documents: u64 = inputs.iter().map(|input| u64::from(live(input))).sum();
    let documents = documents.min(u64::from(MAX_SEGMENT_DOCUMENTS)) as usize;
    let mut writer = SegmentWriter::new(analyzer, documents, sink);
    let maps = merge_documents(inputs, &fetcher, &mut writer)?;
    let mut merge = TableMerge {
        sources: inputs.iter().map(|(segment, deletes)| Source::Segment(segment, deletes)).collect(),
        norms: inputs.iter().map(|_| NormCache::default()).collect(),
        account: Account::unlimited(),
        maps: &maps,
        fetcher: &fetcher,
        writer: &mut writer,
    };
    for class in [PageClass::Dictionary, PageClass::Tags, PageClass::Types, PageClass::Fields] {
        merge.run(inputs, class)?;
    }
    writer.finish(maps)
}

type Map = Vec<Option<DocId>>;

fn merge_documents(
    inputs: &[(&Segment, &Deletes)],
    fetcher: &Fetcher<'_>,
    writer: &mut SegmentWriter<'_>,
) -> Result<Vec<Map>> {
    let mut cursors = Vec::with_capacity(inputs.len());
    let mut maps = Vec::with_capacity(inputs.len());
    for (segment, deletes) in inputs {
        cursors.push(Documents::new(segment, deletes, fetcher)?);
        maps.push(vec![None; segment.document_count() as usize]);
    }
    while let Some(least) = cursors.iter().filter_map(Documents::cid).min().map(<[u8]>::to_vec) {
        let holders: Vec<usize> = (0..cursors.len()).filter(|input| cursors[*input].cid() == Some(&least)).collect();
        if let Some(&newest) = holders.last() {
            let documents = &cursors[newest];
            let id = DocId(documents.table.rank());
            let encoded = at_hand(documents.segment.stored(fetcher, id)?)?;
            maps[newest][id.0 as usize] = Some(writer.document(&least, &encoded, documents.norms(id))?);
        }
        for input in holders {
            cursors[input].advance()?;
        }
    }
    writer.end_documents()?;
    Ok(maps)
}

/// The live documents of one input, in order.
struct Documents<'a> {
    segment: &'a Segment,
    deletes: &'a Deletes,
    norms: Vec<Norms>,
    table: TableCursor<'a>,
}

impl<'a> Documents<'a> {
    fn new(segment: &'a Segment, deletes: &'a Deletes, fetcher: &'a Fetcher<'a>) -> Result<Self> {
        let mut norms = Vec::with_capacity(FIELDS);
        for field in 0..FIELDS {
            norms.push(at_hand(segment.norms(fetcher, field)?)?);
        }
        let table = segment.entries(fetcher, PageClass::Cids);
        let mut documents = Self { segment, deletes, norms, table };
        documents.advance()?;
        Ok(documents)
    }

    fn cid(&self) -> Option<&[u8]> {
        self.table.key()
    }

    fn advance(&mut self) -> Result<()> {
        while self.table.advance()? && self.deletes.contains(DocId(self.table.rank())) {}
        Ok(())
    }

    fn norms(&self, id: DocId) -> [u8; FIELDS] {
        std::array::from_fn(|field| self.norms[field].at(id.0))
    }
}

/// Merges tables of posting lists and document sets.
struct TableMerge<'m, 'a, 'w> {
    sources: Vec<Source<'a>>,
    norms: Vec<NormCache>,
    account: Account,
    maps: &'m [Map],
    fetcher: &'m Fetcher<'m>,
    writer: &'m mut SegmentWriter<'w>,
}

impl<'a> TableMerge<'_, 'a, '_> {
    fn run(&mut self, inputs: &[(&'a Segment, &'a Deletes)], class: PageClass) -> Result<()> {
        let fetcher = self.fetcher;
        let mut tables: Vec<TableCursor<'_>> =
            inputs.iter().map(|(segment, _)| segment.entries(fetcher, class)).collect();
        for table in &mut tables {
            table.advance()?;
        }
        while let Some(key) = tables.iter().filter_map(TableCursor::key).min().map(<[u8]>::to_vec) {
            let holders: Vec<usize> = (0..tables.len()).filter(|input| tables[*input].key() == Some(&key)).collect();
            match (namespace(&key), class) {
                (Some(Namespace::Word(_) | Namespace::OtherWord), PageClass::Dictionary) => {
                    self.merge_lists(&key, &holders, &tables)?;
                }
                (Some(Namespace::Tag | Namespace::Keyword), PageClass::Tags)
                | (Some(Namespace::Type), PageClass::Types) => {
                    self.merge_sets(&key, class, inputs, &holders, &tables)?;
                }
                (Some(Namespace::Column(kind)), PageClass::Fields) => {
                    self.merge_columns(&key, kind, inputs, &holders, &tables)?;
                }
                _ => return Err(Error::damaged("a table contains a key of an unknown kind")),
            }
            for input in holders {
                tables[input].advance()?;
            }
        }
        Ok(())
    }

    fn merge_lists(&mut self, key: &[u8], holders: &[usize], tables: &[TableCursor<'_>]) -> Result<()> {
        let field =
            keys::field_of(key).ok_or_else(|| Error::damaged("a dictionary contains a key that is not a word"))?;
        // Only words themselves count towards the length of a field, not their other forms.
        let counted = match namespace(key) {
            Some(Namespace::Word(field)) => Some(field),
            _ => None,
        };
        let leaf = Leaf { field, form: Form::Word, want: TermSelector::Word(String::new()), needs_positions: true };
        let mut lists = Vec::with_capacity(holders.len());
        for input in holders {
            let Source::Segment(segment, _) = self.sources[*input] else { continue };
            let handle = Handle::of_value(tables[*input].value(), segment)?;
            let cursor =
                self.sources[*input].open(self.fetcher, &handle, &leaf, &mut self.norms[*input], &self.account)?;
            let mut list = Postings { cursor: at_hand(cursor)?, map: &self.maps[*input], new: None };
            list.advance(0)?;
            lists.push(list);
        }
        let (mut positions, mut is_empty) = (Vec::new(), true);
        while let Some((least, new)) =
            lists.iter().enumerate().filter_map(|(i, list)| Some((i, list.new?))).min_by_key(|(_, new)| *new)
        {
            let list = &mut lists[least];
            list.cursor.put_positions(&mut positions)?;
            let (_, norm) = list.cursor.frequency_and_norm()?;
            self.writer.posting(counted, new, norm, &positions)?;
            is_empty = false;
            list.advance(list.cursor.document() + 1)?;
        }
        if is_empty { Ok(()) } else { self.writer.end_list(key) }
    }

    fn merge_sets(
        &mut self,
        key: &[u8],
        class: PageClass,
        inputs: &[(&Segment, &Deletes)],
        holders: &[usize],
        tables: &[TableCursor<'_>],
    ) -> Result<()> {
        let mut ids = Vec::new();
        for input in holders {
            let segment = inputs[*input].0;
            let mut set = BitSet::empty(segment.document_count());
            if !segment.insert_set(self.fetcher, class, tables[*input].value(), &mut set)? {
                return Err(missing());
            }
            ids.extend(set.iter().filter_map(|id| self.maps[*input][id as usize]).map(|new| new.0));
        }
        ids.sort_unstable();
        if ids.is_empty() { Ok(()) } else { self.writer.set(key, &ids) }
    }

    fn merge_columns(
        &mut self,
        key: &[u8],
        kind: ColumnKind,
        inputs: &[(&Segment, &Deletes)],
        holders: &[usize],
        tables: &[TableCursor<'_>],
    ) -> Result<()> {
        let mut numbers = Vec::new();
        for input in holders {
            let column = at_hand(inputs[*input].0.open_column(self.fetcher, kind, tables[*input].value())?)?;
            numbers.extend(column.iter().filter_map(|(id, number)| Some((self.maps[*input][id as usize]?.0, number))));
        }
        numbers.sort_unstable();
        if numbers.is_empty() { Ok(()) } else { self.writer.column(kind, key, &numbers) }
    }
}

/// A cursor over one input's list, at a posting of a live document.
struct Postings<'a> {
    cursor: Cursor<'a>,
    map: &'a Map,
    new: Option<DocId>,
}

impl Postings<'_> {
    fn advance(&mut self, from: u32) -> Result<()> {
        let mut document = self.cursor.seek(from)?;
        while document != END {
            self.new = self.map.get(document as usize).copied().flatten();
            if self.new.is_some() {
                return Ok(());
            }
            document = self.cursor.seek(document + 1)?;
        }
        self.new = None;
        Ok(())
    }
}

fn at_hand<T>(found: Option<T>) -> Result<T> {
    found.ok_or_else(missing)
}

fn missing() -> Error {
    Error::damaged("a page that the merge needs is missing")
}
