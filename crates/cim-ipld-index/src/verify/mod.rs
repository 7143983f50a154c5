//! Verifies every invariant of a segment, a few pages at a time.
//!
//! The stored documents are the reference. They are analyzed again, and each (word, document,
//! position), (name, document) and (field, document, number) in them is added to a sum of hashes;
//! the lists, sets and columns of the tables must give the same sums. In addition, every structure
//! is checked by itself: order, counts, bounds, ranges.

mod documents;
mod entries;

use std::sync::Arc;

use crate::analysis::Analyzer;
use crate::deletes::Deletes;
use crate::document::DocumentKind;
use crate::encoding::docset::BitSet;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{self, FIELDS, Namespace};
use crate::page::fetch::Fetcher;
use crate::page::{PAGE_BYTES, PageClass, PageId, PageSource, Progress};
use crate::segment::{Entries, Norms, Segment, build_filter};

/// The maximum number of known missing pages to request at once.
const READ_AHEAD_PAGES: usize = 64;

/// The result of verifying a segment: the number of items checked.
///
/// ```
/// use std::sync::Arc;
/// use cim_ipld_index::{
///     Analyzer, Deletes, Memtable, PageMap, Progress, Segment, SegmentId, SegmentReport, Verification, build_segment,
/// };
///
/// let (id, mut pages) = (SegmentId([0; 16]), PageMap::new());
/// build_segment(&Memtable::new(Analyzer::default()).view(), &Deletes::new(), &mut pages.sink(id))?;
/// let segment = Arc::new(Segment::open(id, &pages.header(id))?);
/// let report = Verification::new(segment, Deletes::new(), Analyzer::default())?.advance(&pages)?;
/// assert_eq!(report, Progress::Ready(SegmentReport::default()));
/// # Ok::<(), cim_ipld_index::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SegmentReport {
    /// The number of documents, including deleted ones.
    pub documents: u64,
    /// The number of live documents.
    pub live_documents: u64,
    /// The number of entries of the dictionary: the distinct words of each field, including their
    /// other forms.
    pub terms: u64,
    /// The number of postings of all words.
    pub postings: u64,
    /// The number of tags, keywords, content types and kinds.
    pub names: u64,
    /// The number of values in columns, including the lengths of attributes.
    pub numbers: u64,
}

/// A running verification of a segment, which checks every invariant a few pages at a time.
///
/// Call [`advance`](Self::advance) with the pages it requests until it is ready. It holds in memory
/// one list, column or page at a time and a few bytes per document.
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
/// let Progress::Ready(report) = verification.advance(&pages)? else { unreachable!("all pages are available") };
/// assert_eq!((report.documents, report.terms), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Verification {
    segment: Arc<Segment>,
    deletes: Deletes,
    analyzer: Analyzer,
    stage: Stage,
    /// The next page of the stage, and the number of its entries that are done.
    page: u32,
    entry: u32,
    last_key: Vec<u8>,
    cid_hashes: Vec<u64>,
    /// The length codes of the document fields, once their pages were available.
    norms: [Option<Norms>; FIELDS],
    filter: Vec<u8>,
    /// The sums over the documents, and the sums over the tables.
    expected: HashSums,
    found: HashSums,
    expected_words: [u64; FIELDS],
    distinct: [u64; 3],
    kinds: Vec<(u32, BitSet)>,
    /// The ends of the parts of each stream read so far: postings, positions, tag sets, type sets,
    /// columns.
    ends: [u64; 5],
    /// The length codes and the name of the attribute whose words are being checked.
    attribute_norms: Option<(Arc<str>, Norms)>,
    report: SegmentReport,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Documents,
    Filter,
    Table(PageClass),
    Done,
}

/// Sums of hashes, which do not depend on the order of addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct HashSums {
    words: u64,
    names: u64,
    numbers: u64,
}

impl Verification {
    /// Starts the verification of a segment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnalyzerMismatch`] if the segment was built with a different analyzer,
    /// [`ErrorKind::Damaged`] if the deletes contain documents that the segment does not have.
    pub fn new(segment: Arc<Segment>, deletes: Deletes, analyzer: Analyzer) -> Result<Self> {
        if segment.analyzer() != analyzer.identity() {
            return Err(Error::new(ErrorKind::AnalyzerMismatch, "the segment was built with a different analyzer"));
        }
        if deletes.iter().last().is_some_and(|last| last.0 >= segment.document_count()) {
            return Err(Error::damaged("the deletes contain a document that does not exist"));
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
            cid_hashes: Vec::new(),
            norms: [const { None }; FIELDS],
            filter: Vec::new(),
            expected: HashSums::default(),
            found: HashSums::default(),
            expected_words: [0; FIELDS],
            distinct: [0; 3],
            kinds: Vec::new(),
            ends: [0; 5],
            attribute_norms: None,
            report: SegmentReport { documents, live_documents, ..SegmentReport::default() },
        })
    }

    /// Returns the deletes with which the verification was started.
    pub fn deletes(&self) -> &Deletes {
        &self.deletes
    }

    /// Continues as far as the available pages allow. Pages that it has passed are not needed
    /// again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`], naming the violated invariant and, if it is specific to one page,
    /// that page.
    pub fn advance(&mut self, pages: &dyn PageSource) -> Result<Progress<SegmentReport>> {
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
                if self.cid_hashes.len() != self.segment.document_count() as usize {
                    return Err(Error::damaged("a segment does not have its recorded number of stored documents"));
                }
                self.filter = build_filter(&std::mem::take(&mut self.cid_hashes));
                Stage::Filter
            }
            Stage::Filter => Stage::Table(PageClass::Dictionary),
            Stage::Table(PageClass::Dictionary) => Stage::Table(PageClass::Tags),
            Stage::Table(PageClass::Tags) => Stage::Table(PageClass::Types),
            Stage::Table(PageClass::Types) => Stage::Table(PageClass::Fields),
            Stage::Table(_) | Stage::Done => {
                self.finish()?;
                Stage::Done
            }
        };
        (self.page, self.entry) = (0, 0);
        self.last_key.clear();
        Ok(())
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
            return Err(Error::damaged("the CID filter does not match the CIDs").at(segment.id(), id));
        }
        self.page += 1;
        Ok(false)
    }

    /// Checks the entries of one page of a table, as far as their lists are available.
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
                // After the first missing list, the remaining lists are only requested.
                let is_checking = !fetcher.has_missing();
                if fetcher.missing_count() >= READ_AHEAD_PAGES {
                    return Ok(());
                }
                let is_first = index == 1 && entries.key != top.first_key(self.page as usize);
                if is_checking && (is_first || !self.last_key.is_empty() && self.last_key >= entries.key) {
                    return Err(Error::damaged("keys are out of order or contradict the top index"));
                }
                let is_done = match (class, keys::namespace(&entries.key)) {
                    (PageClass::Dictionary, Some(Namespace::Word(_) | Namespace::OtherWord)) => {
                        self.list(segment, fetcher, &entries.key, value, is_checking)?
                    }
                    (PageClass::Tags, Some(Namespace::Tag | Namespace::Keyword))
                    | (PageClass::Types, Some(Namespace::Type)) => {
                        self.set(segment, fetcher, class, &entries.key, value, is_checking)?
                    }
                    (PageClass::Fields, Some(Namespace::Column(kind))) => {
                        self.column(segment, fetcher, kind, &entries.key, value, is_checking)?
                    }
                    _ => return Err(Error::damaged("a table contains a key of an unknown kind")),
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
                return Err(Error::damaged("a page does not have its recorded number of entries"));
            }
            (self.page, self.entry) = (self.page + 1, 0);
            Ok(())
        };
        check().map_err(|error| error.at(segment.id(), id))?;
        Ok(false)
    }

    fn finish(&self) -> Result<()> {
        let header = self.segment.header();
        let streams =
            [PageClass::Postings, PageClass::Positions, PageClass::TagSets, PageClass::TypeSets, PageClass::Columns];
        let kind_of = |code: usize| self.kinds.iter().find(|(kind, _)| *kind as usize == code);
        let kinds = std::array::from_fn(|code| kind_of(code).map_or(0, |(_, set)| set.count() as u32));
        let checks = [
            (self.found == self.expected, "words, names and numbers do not match the documents"),
            (self.expected_words == header.total_words, "the header's number of words is wrong"),
            (self.distinct == header.distinct, "the header's number of terms, tags or types is wrong"),
            (kinds == header.kinds && self.kinds.len() <= DocumentKind::ALL.len(), "the header's kinds are wrong"),
            (streams.map(|class| header.stream_len(class)) == self.ends, "a stream does not end with its last list"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(Error::damaged(what).at(self.segment.id(), PageId::new(PageClass::Header, 0))),
            None => Ok(()),
        }
    }
}
