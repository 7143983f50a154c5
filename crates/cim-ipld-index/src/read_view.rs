//! Read views: one state of an index, searchable.

use std::sync::Arc;

use cid::Cid;

use crate::analysis::Analyzer;
use crate::budget::limits::Cancellation;
use crate::deletes::Deletes;
use crate::document::codec;
use crate::document::content_id;
use crate::document::{Document, DocumentKind};
use crate::error::{Error, ErrorKind, Result};
use crate::keys;
use crate::location::Location;
use crate::memtable::MemtableView;
use crate::page::fetch::Fetcher;
use crate::page::{DocId, PageClass, PageSource, Progress, SegmentId};
use crate::query::Query;
use crate::search::options::SearchOptions;
use crate::search::results::{Matches, SearchResults};
use crate::search::{self, Source};
use crate::segment::Segment;

/// A consistent state of an index: its segments and memtables with their deletes, oldest first.
///
/// A read view is immutable and cheap to create. The owner of the index publishes a new one after
/// each change, and keeps exactly one live document per CID by deleting the older versions that
/// [`locate`](Self::locate) finds.
///
/// ```
/// use cim_ipld_index::{
///     Analyzer, Deletes, Document, Memtable, PageMap, Progress, Query, ReadView, SearchOptions,
/// };
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// memtable.insert(&Document::new(cid).with_text("there she breaches"))?;
/// let view = ReadView::new(Analyzer::default(), vec![], vec![(memtable.view(), Deletes::new())])?;
/// let found = view.search(&Query::term("breaches"), &SearchOptions::default(), &PageMap::new())?;
/// assert!(matches!(found, Progress::Ready(results) if results.hits[0].cid == cid));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ReadView {
    analyzer: Analyzer,
    segments: Vec<(Arc<Segment>, Deletes)>,
    memtables: Vec<(MemtableView, Deletes)>,
}

pub(crate) type ReadViewParts = (Vec<(Arc<Segment>, Deletes)>, Vec<(MemtableView, Deletes)>);

/// Counts of the documents, words, tags and content types in a read view.
///
/// ```
/// use cim_ipld_index::{Document, DocumentKind, MemoryIndex};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let index = MemoryIndex::new();
/// index.insert(&Document::new(cid).with_kind(DocumentKind::Audio).with_tag("sea"))?;
/// let counts = index.counts()?;
/// assert_eq!((counts.documents, counts.tags), (1, 1));
/// assert_eq!(counts.by_kind[usize::from(DocumentKind::Audio.code())], 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IndexCounts {
    /// The exact number of live documents.
    pub documents: u64,
    /// The exact number of live documents of each kind, indexed by [`DocumentKind::code`].
    pub by_kind: [u64; 4],
    /// The sum of the distinct words of all segments and memtables, an upper bound of the true
    /// number.
    pub terms: u64,
    /// The sum of the distinct tags of all segments and memtables, an upper bound of the true
    /// number.
    pub tags: u64,
    /// The sum of the distinct content types of all segments and memtables, an upper bound of the
    /// true number.
    pub content_types: u64,
}

impl ReadView {
    /// Creates a read view of segments and memtables, each oldest first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AnalyzerMismatch`](crate::ErrorKind::AnalyzerMismatch) if a part was built with
    /// a different analyzer.
    pub fn new(
        analyzer: Analyzer,
        segments: Vec<(Arc<Segment>, Deletes)>,
        memtables: Vec<(MemtableView, Deletes)>,
    ) -> Result<Self> {
        let segment_analyzers = segments.iter().map(|(segment, _)| segment.analyzer());
        let memtable_analyzers = memtables.iter().map(|(view, _)| view.analyzer().identity());
        if let Some(other) = segment_analyzers.chain(memtable_analyzers).find(|other| *other != analyzer.identity()) {
            return Err(Error::new(
                ErrorKind::AnalyzerMismatch,
                format!(
                    "a part was built with the analyzer `{other}`; the read view's analyzer is `{}`",
                    analyzer.identity()
                ),
            ));
        }
        Ok(Self { analyzer, segments, memtables })
    }

    /// Returns the segments with their deletes.
    pub fn segments(&self) -> &[(Arc<Segment>, Deletes)] {
        &self.segments
    }

    /// Returns the memtables with their deletes.
    pub fn memtables(&self) -> &[(MemtableView, Deletes)] {
        &self.memtables
    }

    /// Returns the analyzer.
    pub fn analyzer(&self) -> &Analyzer {
        &self.analyzer
    }

    /// Returns the number of live documents.
    pub fn document_count(&self) -> u64 {
        let live = |source: &Source<'_>| u64::from(source.document_count().saturating_sub(source.deletes().len()));
        self.sources().iter().map(live).sum()
    }

    /// Returns the best matches of a query.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidQuery`](crate::ErrorKind::InvalidQuery) if limit plus offset exceeds
    /// [`MAX_RESULT_WINDOW`](crate::MAX_RESULT_WINDOW), the query is too large or nested too
    /// deeply, it uses a field name that is not an attribute of any live document but looks like a
    /// misspelt built-in field (`titel:x`), or the cursor belongs to another search.
    /// [`ErrorKind::QueryTooExpensive`](crate::ErrorKind::QueryTooExpensive) if it would exceed
    /// [`SearchOptions::limits`].
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) or
    /// [`ErrorKind::UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) for pages that
    /// cannot be decoded.
    pub fn search(
        &self,
        query: &Query,
        options: &SearchOptions,
        pages: &dyn PageSource,
    ) -> Result<Progress<SearchResults>> {
        self.search_with(query, options, pages, None)
    }

    /// Like [`search`](Self::search), but stops as soon as the cancellation takes effect.
    ///
    /// # Errors
    ///
    /// As for [`search`](Self::search), and [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn search_until(
        &self,
        query: &Query,
        options: &SearchOptions,
        pages: &dyn PageSource,
        cancellation: &Cancellation,
    ) -> Result<Progress<SearchResults>> {
        self.search_with(query, options, pages, Some(cancellation))
    }

    fn search_with(
        &self,
        query: &Query,
        options: &SearchOptions,
        pages: &dyn PageSource,
        cancellation: Option<&Cancellation>,
    ) -> Result<Progress<SearchResults>> {
        let fetcher = search::fetcher(options, cancellation, pages)?;
        search::search(self.sources(), &self.analyzer, query, options, &fetcher)
    }

    /// Returns the locations of the hits that [`search`](Self::search) would return, in the same
    /// order, for callers that read the documents later or not at all.
    ///
    /// # Errors
    ///
    /// As for [`search`](Self::search).
    pub fn matches(&self, query: &Query, options: &SearchOptions, pages: &dyn PageSource) -> Result<Progress<Matches>> {
        let fetcher = search::fetcher(options, None, pages)?;
        let Some(found) = search::find(self.sources(), &self.analyzer, query, options, &fetcher)? else {
            return Ok(fetcher.need());
        };
        let location = |candidate: &search::Candidate| match found.sources[candidate.source] {
            Source::Segment(segment, _) => Location::Segment { segment: segment.id(), document: candidate.document },
            // Memtables come after the segments.
            Source::Memtable(..) => {
                Location::Memtable { index: candidate.source - self.segments.len(), document: candidate.document }
            }
        };
        if fetcher.has_missing() {
            return Ok(fetcher.need());
        }
        let best = found.best.iter().map(|candidate| (location(candidate), candidate.score)).collect();
        Ok(Progress::Ready(Matches { total: found.total, best }))
    }

    /// Returns the location of the live document of each CID. Once the pages of the Bloom filters
    /// ([`PageClass::CidFilter`](crate::PageClass::CidFilter)) are available, a CID that is not in
    /// the index rarely needs another page.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search) for pages that cannot be decoded.
    pub fn locate(&self, cids: &[Cid], pages: &dyn PageSource) -> Result<Progress<Vec<Option<Location>>>> {
        let fetcher = Fetcher::new(pages);
        let locations = self.locate_with(cids, &fetcher)?;
        Ok(if fetcher.has_missing() { fetcher.need() } else { Progress::Ready(locations) })
    }

    /// Returns the live document of each CID, in the form in which it was inserted.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search) for pages that cannot be decoded.
    pub fn documents(&self, cids: &[Cid], pages: &dyn PageSource) -> Result<Progress<Vec<Option<Document>>>> {
        let fetcher = Fetcher::new(pages);
        let locations = self.locate_with(cids, &fetcher)?;
        let mut documents = Vec::with_capacity(cids.len());
        for location in locations {
            let encoded = match location {
                Some(Location::Segment { segment, document }) => match self.segment(segment) {
                    Some(segment) => segment.stored(&fetcher, document)?,
                    None => None,
                },
                Some(Location::Memtable { index, document }) => {
                    self.memtables[index].0.encoded(document).map(<[u8]>::to_vec)
                }
                None => None,
            };
            documents.push(encoded.map(|encoded| codec::decode(&encoded)).transpose()?);
        }
        Ok(if fetcher.has_missing() { fetcher.need() } else { Progress::Ready(documents) })
    }

    /// Counts the documents, words, tags and content types in the view.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search) for pages that cannot be decoded.
    pub fn counts(&self, pages: &dyn PageSource) -> Result<Progress<IndexCounts>> {
        let fetcher = Fetcher::new(pages);
        let mut statistics = IndexCounts { documents: self.document_count(), ..IndexCounts::default() };
        for source in self.sources() {
            for (kind, live) in DocumentKind::ALL.into_iter().zip(&mut statistics.by_kind) {
                let mut set = source.names(&fetcher, PageClass::Types, [keys::kind(kind.code())])?;
                source.deletes().subtract_from(&mut set);
                *live += set.count();
            }
            let [terms, tags, content_types] = source.distinct();
            statistics.terms += terms;
            statistics.tags += tags;
            statistics.content_types += content_types;
        }
        Ok(if fetcher.has_missing() { fetcher.need() } else { Progress::Ready(statistics) })
    }

    pub(crate) fn of_memtable(view: MemtableView) -> Self {
        Self { analyzer: view.analyzer().clone(), segments: Vec::new(), memtables: vec![(view, Deletes::new())] }
    }

    /// Replaces the view of the newest memtable.
    pub(crate) fn set_memtable(&mut self, view: MemtableView) {
        if let Some((last, _)) = self.memtables.last_mut() {
            *last = view;
        }
    }

    pub(crate) fn delete_in_segment(&mut self, id: SegmentId, document: DocId) {
        if let Some((_, deletes)) = self.segments.iter_mut().find(|(segment, _)| segment.id() == id) {
            deletes.insert(document);
        }
    }

    pub(crate) fn delete_in_memtable(&mut self, index: usize, document: DocId) {
        self.memtables[index].1.insert(document);
    }

    pub(crate) fn parts(&self) -> ReadViewParts {
        (self.segments.clone(), self.memtables.clone())
    }

    /// Returns the segments, then the memtables.
    pub(crate) fn sources(&self) -> Vec<Source<'_>> {
        let segments = self.segments.iter().map(|(segment, deletes)| Source::Segment(segment, deletes));
        let memtables = self.memtables.iter().map(|(view, deletes)| Source::Memtable(view, deletes));
        segments.chain(memtables).collect()
    }

    fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.segments.iter().map(|(segment, _)| &**segment).find(|segment| segment.id() == id)
    }

    /// Finds live documents, newest parts first. Missing pages are recorded by the fetcher.
    fn locate_with(&self, cids: &[Cid], fetcher: &Fetcher<'_>) -> Result<Vec<Option<Location>>> {
        cids.iter().map(|cid| self.locate_one(cid, fetcher)).collect()
    }

    fn locate_one(&self, cid: &Cid, fetcher: &Fetcher<'_>) -> Result<Option<Location>> {
        for (index, (view, deletes)) in self.memtables.iter().enumerate().rev() {
            if let Some(document) = view.locate(cid).filter(|id| !deletes.contains(*id)) {
                return Ok(Some(Location::Memtable { index, document }));
            }
        }
        if self.segments.is_empty() {
            return Ok(None);
        }
        let bytes = content_id::canonical(*cid).to_bytes();
        // All filters are checked before any table, so that one round requests all missing filters.
        let mut maybe = Vec::new();
        let mut is_known = true;
        for (segment, deletes) in self.segments.iter().rev() {
            match segment.may_contain(fetcher, &bytes)? {
                Some(true) => maybe.push((segment, deletes)),
                Some(false) => {}
                None => is_known = false,
            }
        }
        for (segment, deletes) in maybe {
            let found = match segment.find(fetcher, PageClass::Cids, &bytes)? {
                Some(found) => found.map(|found| DocId(found.rank)),
                None => continue,
            };
            if let Some(document) = found.filter(|id| !deletes.contains(*id))
                && is_known
            {
                return Ok(Some(Location::Segment { segment: segment.id(), document }));
            }
        }
        Ok(None)
    }
}
