//! Verifying a segment: every invariant, a few pages at a time.
//!
//! The stored documents are the truth. They are analysed again, and each (word, document, position) and each (name,
//! document) that they give is added to a sum of hashes; the lists and sets of the tables must give the same sums. Beside
//! that every structure is checked for itself: order, counts, bounds, ranges.

use std::sync::Arc;

use crate::analysis::{Analyzer, Scratch};
use crate::codec;
use crate::deletes::Deletes;
use crate::docset::BitSet;
use crate::document::{Document, DocumentKind};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Fetcher;
use crate::fields;
use crate::keys::{self, FIELDS, Namespace};
use crate::page::{PAGE_BYTES, PageClass, PageId, PageSource, Progress};
use crate::score::{Bound, BoundBuilder, norm_of_length};
use crate::segment::{
    BLOCK, Directory, Entries, ListPlace, PagedBytes, PlaceKind, Segment, SetPlace, build_filter, decode_inline,
    decode_set_value, put_positions, stored_page,
};

/// So many missing pages are asked for at once, as far as they are known.
const READ_AHEAD_PAGES: usize = 64;

/// Tells what a verification has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Documents, deleted ones included.
    pub documents: u64,
    /// Documents that are live.
    pub live_documents: u64,
    /// Words of all fields.
    pub terms: u64,
    /// Postings of all words.
    pub postings: u64,
    /// Tags, content types and kinds.
    pub names: u64,
}

/// Checks every invariant of a segment, a few pages at a time.
///
/// Call [`advance`](Self::advance) with the pages it needs until it is ready. Memory holds one list or page at a time and
/// two bytes per document.
///
/// ```
/// use std::sync::Arc;
/// use cim_ipld_index::{
///     Analyzer, Deletes, Document, Memtable, PageMap, Progress, Segment, SegmentId, Verification, build_segment,
/// };
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// memtable.insert(&Document::new(cid).with_text("all hands"))?;
/// let (id, mut pages) = (SegmentId([0; 16]), PageMap::new());
/// build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(id))?;
///
/// let segment = Arc::new(Segment::open(id, &pages.header(id))?);
/// let mut verification = Verification::new(segment, Deletes::new(), Analyzer::default())?;
/// let Progress::Ready(report) = verification.advance(&pages)? else { unreachable!("all pages are at hand") };
/// assert_eq!((report.documents, report.terms), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Verification {
    segment: Arc<Segment>,
    deletes: Deletes,
    analyzer: Analyzer,
    stage: Stage,
    /// The next page of the stage, and the entries of it that are done.
    page: u32,
    entry: u32,
    last_key: Vec<u8>,
    cids: Vec<Box<[u8]>>,
    filter: Vec<u8>,
    /// What the documents give, and what the tables give.
    expected: Sums,
    found: Sums,
    expected_words: [u64; FIELDS],
    distinct: [u64; 3],
    kinds: Vec<(u32, BitSet)>,
    /// The ends of the streams as far as they are read: postings, positions, tag sets, type sets.
    ends: [u64; 4],
    report: VerifyReport,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Documents,
    Filter,
    Table(PageClass),
    Done,
}

/// Sums of hashes, so that the order of what is added does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sums {
    words: u64,
    names: u64,
}

impl Verification {
    /// Starts the check of a segment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnalyzerMismatch`] if the segment was built with another analyzer, [`ErrorKind::Damaged`] if the
    /// deletes name documents that are not there.
    pub fn new(segment: Arc<Segment>, deletes: Deletes, analyzer: Analyzer) -> Result<Self> {
        if segment.analyzer() != analyzer.identity() {
            return Err(Error::new(ErrorKind::AnalyzerMismatch, "the segment was built with another analyzer"));
        }
        if deletes.iter().last().is_some_and(|last| last.0 >= segment.document_count()) {
            return Err(Error::damaged("deletes name a document that is not there"));
        }
        let documents = u64::from(segment.document_count());
        let live_documents = documents - u64::from(deletes.len());
        Ok(Self {
            segment,
            deletes,
            analyzer,
            stage: Stage::Documents,
            page: 0,
            entry: 0,
            last_key: Vec::new(),
            cids: Vec::new(),
            filter: Vec::new(),
            expected: Sums::default(),
            found: Sums::default(),
            expected_words: [0; FIELDS],
            distinct: [0; 3],
            kinds: Vec::new(),
            ends: [0; 4],
            report: VerifyReport { documents, live_documents, ..VerifyReport::default() },
        })
    }

    /// Returns the deletes that the check was started with.
    pub fn deletes(&self) -> &Deletes {
        &self.deletes
    }

    /// Goes on as far as the pages at hand allow; pages that it has passed are not needed again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`] names the page, where it is one page's fault, and the invariant that does not hold.
    pub fn advance(&mut self, pages: &dyn PageSource) -> Result<Progress<VerifyReport>> {
        let fetcher = Fetcher::new(pages);
        let segment = Arc::clone(&self.segment);
        loop {
            let is_over = match self.stage {
                Stage::Documents => self.documents(&segment, &fetcher)?,
                Stage::Filter => self.filter(&segment, &fetcher)?,
                Stage::Table(class) => self.table(&segment, class, &fetcher)?,
                Stage::Done => return Ok(Progress::Ready(self.report)),
            };
            if fetcher.has_missing() {
                return Ok(fetcher.need());
            }
            if is_over {
                self.enter_next_stage()?;
            }
        }
    }

    fn enter_next_stage(&mut self) -> Result<()> {
        self.stage = match self.stage {
            Stage::Documents => {
                if self.cids.len() != self.segment.document_count() as usize {
                    return Err(Error::damaged("a segment has not as many stored documents as it says"));
                }
                self.filter = build_filter(&std::mem::take(&mut self.cids));
                Stage::Filter
            }
            Stage::Filter => Stage::Table(PageClass::Dictionary),
            Stage::Table(PageClass::Dictionary) => Stage::Table(PageClass::Tags),
            Stage::Table(PageClass::Tags) => Stage::Table(PageClass::Types),
            Stage::Table(_) | Stage::Done => {
                self.finish()?;
                Stage::Done
            }
        };
        (self.page, self.entry) = (0, 0);
        self.last_key.clear();
        Ok(())
    }

    /// Checks one stored page, or all pages of one large document: documents, their CIDs and lengths.
    fn documents(&mut self, segment: &Segment, fetcher: &Fetcher<'_>) -> Result<bool> {
        let top = &segment.header().stored;
        if self.page == top.page_count() {
            return Ok(true);
        }
        let (pages, documents) = top.unit_of(self.page, segment.document_count());
        let cids = self.cids_of(segment, fetcher, documents.clone())?;
        let mut norms = Vec::with_capacity(FIELDS);
        for field in 0..FIELDS {
            norms.extend(segment.norms(fetcher, field)?);
        }
        let held: Vec<_> = pages.clone().filter_map(|page| fetcher.page(segment.id(), stored_page(page))).collect();
        (pages.end..top.page_count()).take(READ_AHEAD_PAGES).for_each(|page| {
            if fetcher.has_missing() {
                fetcher.page(segment.id(), stored_page(page));
            }
        });
        if fetcher.has_missing() {
            return Ok(false);
        }
        let place = stored_page(pages.start);
        let check = |own: &mut Self| -> Result<()> {
            let mut next = documents.start;
            let mut whole = Vec::new();
            for (page, ordinal) in held.iter().zip(pages.clone()) {
                top.visit_page(page.payload(stored_page(ordinal))?, ordinal, |id, bytes| {
                    if held.len() > 1 {
                        whole.extend_from_slice(bytes);
                        return Ok(());
                    }
                    let lengths = norms.iter().map(|norms| norms.at(id.min(segment.document_count() - 1)));
                    own.document(id, bytes, cids.get((id - documents.start) as usize).map(|cid| &cid[..]), lengths)?;
                    next = id + 1;
                    Ok(())
                })?;
            }
            if held.len() > 1 {
                let lengths = norms.iter().map(|norms| norms.at(documents.start));
                own.document(documents.start, &whole, cids.first().map(|cid| &cid[..]), lengths)?;
                next = documents.start + 1;
            }
            if next == documents.end {
                Ok(())
            } else {
                Err(Error::damaged("a page has not as many documents as it should"))
            }
        };
        check(self).map_err(|error| error.at(segment.id(), place))?;
        self.cids.extend(cids);
        self.page = pages.end;
        Ok(false)
    }

    fn document(&mut self, id: u32, bytes: &[u8], cid: Option<&[u8]>, norms: impl Iterator<Item = u8>) -> Result<()> {
        let document = codec::decode(bytes)?;
        if cid.is_none_or(|cid| cid != document.cid.to_bytes()) {
            return Err(Error::damaged("a stored document is not the one its CID's place says"));
        }
        if self.last_key.as_slice() >= &*document.cid.to_bytes() {
            return Err(Error::damaged("CIDs are not in order"));
        }
        self.last_key = document.cid.to_bytes();
        let lengths = self.add_expected(id, &document);
        if !norms.eq(lengths.map(norm_of_length)) {
            return Err(Error::damaged("a document's length is not what its words add up to"));
        }
        Ok(())
    }

    fn add_expected(&mut self, id: u32, document: &Document) -> [u32; FIELDS] {
        let mut key = Vec::new();
        let words = &mut self.expected.words;
        let lengths =
            fields::visit_words(document, &self.analyzer, &mut Scratch::default(), |field, word, position| {
                keys::put_word(field, word, &mut key);
                *words = words.wrapping_add(hash(&key, id, position));
            });
        let names = &mut self.expected.names;
        let Ok(()) = fields::visit_names(document, |key| {
            *names = names.wrapping_add(hash(key, id, 0));
            Ok::<(), std::convert::Infallible>(())
        });
        self.expected_words.iter_mut().zip(lengths).for_each(|(sum, length)| *sum += u64::from(length));
        lengths
    }

    /// Returns the CIDs with these ranks.
    fn cids_of(&self, segment: &Segment, fetcher: &Fetcher<'_>, ranks: std::ops::Range<u32>) -> Result<Vec<Box<[u8]>>> {
        let top = segment.header().table(PageClass::Cids);
        let mut cids = Vec::new();
        for ordinal in top.pages_of_ranks(ranks.clone()) {
            let id = PageId::new(PageClass::Cids, ordinal);
            let Some(page) = fetcher.page(segment.id(), id) else { continue };
            let mut read = || -> Result<u32> {
                let mut entries = Entries::new(page.payload(id)?)?;
                let mut rank = top.entries_before(ordinal as usize);
                if rank >= ranks.start {
                    entries.check_restarts()?;
                }
                while let Some(value) = entries.next()? {
                    if rank == top.entries_before(ordinal as usize) && entries.key != top.first_key(ordinal as usize) {
                        return Err(Error::damaged("a page does not start with the CID that the top index says"));
                    }
                    if ranks.contains(&rank) {
                        cids.push(entries.key.as_slice().into());
                    }
                    if !value.is_empty() {
                        return Err(Error::damaged("a CID has a value"));
                    }
                    rank += 1;
                }
                Ok(rank)
            };
            if read().map_err(|error| error.at(segment.id(), id))? != top.entries_before(ordinal as usize + 1) {
                return Err(Error::damaged("a page has not as many CIDs as it should").at(segment.id(), id));
            }
        }
        Ok(cids)
    }

    /// Checks one page of the CID filter.
    fn filter(&mut self, segment: &Segment, fetcher: &Fetcher<'_>) -> Result<bool> {
        let len = self.filter.len() as u64;
        let start = u64::from(self.page) * PAGE_BYTES as u64;
        if start >= len {
            self.filter = Vec::new();
            return Ok(true);
        }
        let end = (start + PAGE_BYTES as u64).min(len);
        let Some(bytes) = segment.stream(fetcher, PageClass::CidFilter, (start, end - start))? else {
            return Ok(false);
        };
        if *bytes.slice(0..bytes.len())? != self.filter[start as usize..end as usize] {
            let id = PageId::new(PageClass::CidFilter, self.page);
            return Err(Error::damaged("the CID filter is not that of the CIDs").at(segment.id(), id));
        }
        self.page += 1;
        Ok(false)
    }

    /// Checks the entries of one page of a table, as far as their lists are at hand.
    fn table(&mut self, segment: &Segment, class: PageClass, fetcher: &Fetcher<'_>) -> Result<bool> {
        let top = segment.header().table(class);
        if self.page == top.page_count() {
            return Ok(true);
        }
        let id = PageId::new(class, self.page);
        let Some(page) = fetcher.page(segment.id(), id) else { return Ok(false) };
        let mut check = || -> Result<()> {
            let mut entries = Entries::new(page.payload(id)?)?;
            entries.check_restarts()?;
            let mut index = 0;
            while let Some(value) = entries.next()? {
                index += 1;
                if index <= self.entry {
                    continue;
                }
                // After the first list that is not at hand the others are only asked for.
                let is_checking = !fetcher.has_missing();
                if fetcher.missing_count() >= READ_AHEAD_PAGES {
                    return Ok(());
                }
                let is_first = index == 1 && entries.key != top.first_key(self.page as usize);
                if is_checking && (is_first || !self.last_key.is_empty() && self.last_key >= entries.key) {
                    return Err(Error::damaged("keys are not in order, or not those of the top index"));
                }
                let is_done = match (class, keys::namespace(&entries.key)) {
                    (PageClass::Dictionary, Some(Namespace::Word(field))) => {
                        self.list(segment, fetcher, field, &entries.key, value, is_checking)?
                    }
                    (PageClass::Tags, Some(Namespace::Tag)) | (PageClass::Types, Some(Namespace::Type)) => {
                        self.set(segment, fetcher, class, &entries.key, value, is_checking)?
                    }
                    _ => return Err(Error::damaged("a table holds a key of an unknown kind")),
                };
                if is_checking && is_done {
                    self.entry = index;
                    self.last_key.clone_from(&entries.key);
                }
            }
            if fetcher.has_missing() {
                return Ok(());
            }
            if index != top.entries_before(self.page as usize + 1) - top.entries_before(self.page as usize) {
                return Err(Error::damaged("a page has not as many entries as it should"));
            }
            (self.page, self.entry) = (self.page + 1, 0);
            Ok(())
        };
        check().map_err(|error| error.at(segment.id(), id))?;
        Ok(false)
    }

    /// Checks one list; says whether it was at hand.
    fn list(
        &mut self,
        segment: &Segment,
        fetcher: &Fetcher<'_>,
        field: usize,
        key: &[u8],
        value: &[u8],
        is_checking: bool,
    ) -> Result<bool> {
        let documents = segment.document_count();
        let place = ListPlace::decode(value, documents)?;
        let (postings_at, positions_at) = match place.kind {
            PlaceKind::Inline(bytes) => {
                if is_checking {
                    for posting in decode_inline(bytes, place.document_frequency, documents)? {
                        self.posting(key, posting.document, &posting.positions)?;
                    }
                    self.count_list(place.document_frequency);
                }
                return Ok(true);
            }
            PlaceKind::Streams { postings, positions } => (postings, positions),
        };
        let postings = segment.stream(fetcher, PageClass::Postings, postings_at)?;
        let positions = segment.stream(fetcher, PageClass::Positions, positions_at)?;
        let norms = segment.norms(fetcher, field)?;
        let (true, Some(postings), Some(positions), Some(norms)) = (is_checking, postings, positions, norms) else {
            return Ok(false);
        };
        self.follow(0, postings_at)?;
        self.follow(1, positions_at)?;
        let directory = Directory::decode(&postings, place.document_frequency, documents)?;
        let (mut ids, mut frequencies) = ([0; BLOCK], [0; BLOCK]);
        let mut next = 0;
        for block in 0..directory.block_count() {
            let len = directory.load(&postings, block, documents, &mut ids, &mut frequencies)?;
            if ids[..len].iter().any(|id| *id >= documents) || ids[0] < next || !ids[..len].is_sorted_by(|a, b| a < b) {
                return Err(Error::damaged("a list's documents are not in order"));
            }
            next = ids[len - 1] + 1;
            let bound = directory.bounds[block];
            self.block(key, &directory, &positions, block, (&ids[..len], &frequencies[..len]), bound, |id| {
                norms.at(id)
            })?;
        }
        self.count_list(place.document_frequency);
        Ok(true)
    }

    #[allow(clippy::too_many_arguments)]
    fn block(
        &mut self,
        key: &[u8],
        directory: &Directory,
        positions: &PagedBytes,
        block: usize,
        (ids, frequencies): (&[u32], &[u32]),
        bound: Bound,
        norm: impl Fn(u32) -> u8,
    ) -> Result<()> {
        let (start_bit, width) = directory.positions_of(block);
        let total: u64 = frequencies.iter().map(|frequency| u64::from(*frequency)).sum();
        let end = start_bit as u64 / 8 + (total * u64::from(width)).div_ceil(8);
        let stated = directory.positions_end(block).map_or(positions.len() as u64, u64::from);
        if end != stated || end > positions.len() as u64 {
            return Err(Error::damaged("a block's positions do not end where they should"));
        }
        let (mut skip, mut place, mut exact) = (0, Vec::new(), BoundBuilder::default());
        for (id, frequency) in ids.iter().zip(frequencies) {
            exact.add(*frequency, norm(*id));
            place.clear();
            put_positions(positions, (start_bit, width), skip, *frequency as usize, &mut place)?;
            skip += *frequency as usize;
            self.posting(key, *id, &place)?;
        }
        if exact.finish() != bound {
            return Err(Error::damaged("a block's bound is not that of its postings"));
        }
        Ok(())
    }

    fn posting(&mut self, key: &[u8], id: u32, positions: &[u32]) -> Result<()> {
        if positions.is_empty() || !positions.is_sorted_by(|a, b| a < b) {
            return Err(Error::damaged("positions are not in order"));
        }
        for position in positions {
            self.found.words = self.found.words.wrapping_add(hash(key, id, *position));
        }
        Ok(())
    }

    fn count_list(&mut self, document_frequency: u32) {
        self.report.terms += 1;
        self.report.postings += u64::from(document_frequency);
        self.distinct[0] += 1;
    }

    /// Checks one set; says whether it was at hand.
    fn set(
        &mut self,
        segment: &Segment,
        fetcher: &Fetcher<'_>,
        class: PageClass,
        key: &[u8],
        value: &[u8],
        is_checking: bool,
    ) -> Result<bool> {
        let mut set = BitSet::empty(segment.document_count());
        if !segment.insert_set(fetcher, class, value, &mut set)? || !is_checking {
            return Ok(false);
        }
        let (count, place) = decode_set_value(value)?;
        if let SetPlace::Stream { offset, len } = place {
            self.follow(if class == PageClass::Tags { 2 } else { 3 }, (offset, len))?;
        }
        if count == 0 || set.count() != u64::from(count) {
            return Err(Error::damaged("a set is not of the size it says"));
        }
        set.iter().for_each(|id| self.found.names = self.found.names.wrapping_add(hash(key, id, 0)));
        self.report.names += 1;
        match class {
            PageClass::Tags => self.distinct[1] += 1,
            _ if keys::is_content_type(key) => self.distinct[2] += 1,
            _ => self.kinds.push((u32::from(key.get(1).copied().unwrap_or(u8::MAX)), set)),
        }
        Ok(true)
    }

    /// Checks that a stream's parts follow each other without gap.
    fn follow(&mut self, stream: usize, (offset, len): (u64, u64)) -> Result<()> {
        if self.ends[stream] != offset {
            return Err(Error::damaged("a list does not start where the one before it ends"));
        }
        self.ends[stream] = offset + len;
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        let header = self.segment.header();
        let streams = [PageClass::Postings, PageClass::Positions, PageClass::TagSets, PageClass::TypeSets];
        let kind_of = |code: usize| self.kinds.iter().find(|(kind, _)| *kind as usize == code);
        let kinds = std::array::from_fn(|code| kind_of(code).map_or(0, |(_, set)| set.count() as u32));
        let checks = [
            (self.found == self.expected, "words and names are not those of the documents"),
            (self.expected_words == header.total_words, "the header's number of words is wrong"),
            (self.distinct == header.distinct, "the header's number of terms, tags or types is wrong"),
            (kinds == header.kinds && self.kinds.len() <= DocumentKind::ALL.len(), "the header's kinds are wrong"),
            (streams.map(|class| header.stream_len(class)) == self.ends, "a stream is longer than its lists"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(Error::damaged(what).at(self.segment.id(), PageId::new(PageClass::Header, 0))),
            None => Ok(()),
        }
    }
}

/// MurmurHash3's finalizer over the parts: no protection against forgery, which is the envelope's task.
fn hash(key: &[u8], id: u32, position: u32) -> u64 {
    let mut hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    for part in [u64::from(id) << 32 | u64::from(position), 0x9e37_79b9_7f4a_7c15] {
        hash = (hash ^ part).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
    }
    hash
}
