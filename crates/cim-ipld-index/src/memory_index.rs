//! A complete index in memory, for users of this crate alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use cid::Cid;

use crate::analysis::Analyzer;
use crate::budget::limits::Cancellation;
use crate::deletes::Deletes;
use crate::document::Document;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::memtable::{Memtable, MemtableView};
use crate::merge::merge_segments;
use crate::page::{Page, PageId, PageMap, PageSource, Progress, SegmentId};
use crate::query::Query;
use crate::read_view::{IndexCounts, ReadView};
use crate::search::options::SearchOptions;
use crate::search::results::SearchResults;
use crate::segment::{Segment, build_segment};

/// A memtable above this size is sealed.
const MEMTABLE_BUDGET_BYTES: usize = 64 * 1024 * 1024;
/// This many segments are merged into one.
const MAX_SEGMENTS: usize = 8;

/// An index in memory. Every insert is visible at once, and readers never lock. Clones share one
/// index.
///
/// ```
/// use cim_ipld_index::{Document, MemoryIndex, Query, SearchOptions};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let index = MemoryIndex::new();
/// index.insert(&Document::new(cid).with_title("Moby-Dick").with_text("Call me Ishmael."))?;
///
/// let found = index.search(&Query::parse("ishmael AND title:moby")?, &SearchOptions::default())?;
/// assert_eq!((found.total, found.hits[0].cid), (1, cid));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryIndex {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    published: ArcSwap<State>,
    writer: Mutex<Memtable>,
    memtable_budget_bytes: usize,
}

/// One published state.
#[derive(Debug, Clone)]
struct State {
    snapshot: ReadView,
    pages: Pages,
    next_segment: u128,
}

#[derive(Debug, Clone, Default)]
struct Pages(Vec<(SegmentId, Arc<PageMap>)>);

impl MemoryIndex {
    /// Creates an empty index.
    pub fn new() -> Self {
        Self::with_analyzer(Analyzer::default())
    }

    /// Creates an empty index with a custom analyzer.
    pub fn with_analyzer(analyzer: Analyzer) -> Self {
        Self::with(analyzer, MEMTABLE_BUDGET_BYTES)
    }

    /// Creates an empty index that seals its memtable into a segment when it exceeds this many
    /// bytes.
    pub fn with_memtable_budget(bytes: usize) -> Self {
        Self::with(Analyzer::default(), bytes)
    }

    /// Returns the analyzer of texts and queries.
    pub fn analyzer(&self) -> Analyzer {
        self.shared.published.load().snapshot.analyzer().clone()
    }

    fn with(analyzer: Analyzer, bytes: usize) -> Self {
        let memtable = Memtable::new(analyzer);
        let snapshot = ReadView::of_memtable(memtable.view());
        let state = State { snapshot, pages: Pages::default(), next_segment: 0 };
        let shared = Shared {
            published: ArcSwap::from_pointee(state),
            writer: Mutex::new(memtable),
            memtable_budget_bytes: bytes,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Inserts a document, replacing an older one with the same CID.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`](crate::ErrorKind::InvalidDocument) if it exceeds a limit,
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the memtable has no space left before it
    /// reaches its budget, or a segment would exceed the capacity of its format.
    pub fn insert(&self, document: &Document) -> Result<()> {
        let mut memtable = self.writer();
        let mut state = State::clone(&self.shared.published.load());
        if memtable.bytes_used() > self.shared.memtable_budget_bytes && memtable.document_count() > 0 {
            self.seal(&mut memtable, &mut state)?;
        }
        let older = state.locate(&document.cid)?;
        memtable.insert(document)?;
        state.delete(older);
        state.snapshot.set_memtable(memtable.view());
        self.shared.published.store(Arc::new(state));
        Ok(())
    }

    /// Deletes a document. Returns whether it existed.
    ///
    /// # Errors
    ///
    /// None that a caller can cause.
    pub fn delete(&self, cid: &Cid) -> Result<bool> {
        let _writer = self.writer();
        let mut state = State::clone(&self.shared.published.load());
        let found = state.locate(cid)?;
        if found.is_some() {
            state.delete(found);
            self.shared.published.store(Arc::new(state));
        }
        Ok(found.is_some())
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
    pub fn search(&self, query: &Query, options: &SearchOptions) -> Result<SearchResults> {
        let state = self.shared.published.load();
        ready(state.snapshot.search(query, options, &state.pages)?)
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
        cancellation: &Cancellation,
    ) -> Result<SearchResults> {
        let state = self.shared.published.load();
        ready(state.snapshot.search_until(query, options, &state.pages, cancellation)?)
    }

    /// Returns a document in the form in which it was inserted.
    ///
    /// # Errors
    ///
    /// None that a caller can cause.
    pub fn document(&self, cid: &Cid) -> Result<Option<Document>> {
        let state = self.shared.published.load();
        Ok(ready(state.snapshot.documents(&[*cid], &state.pages)?)?.pop().flatten())
    }

    /// Counts the documents, words, tags and content types in the index.
    ///
    /// # Errors
    ///
    /// None that a caller can cause.
    pub fn counts(&self) -> Result<IndexCounts> {
        let state = self.shared.published.load();
        ready(state.snapshot.counts(&state.pages)?)
    }

    /// Seals the memtable into a segment, and merges the segments if there are many.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the segment would exceed the capacity of its
    /// format.
    pub fn compact(&self) -> Result<()> {
        let mut memtable = self.writer();
        let mut state = State::clone(&self.shared.published.load());
        self.seal(&mut memtable, &mut state)?;
        self.shared.published.store(Arc::new(state));
        Ok(())
    }

    fn seal(&self, memtable: &mut Memtable, state: &mut State) -> Result<()> {
        let fresh = Memtable::new(state.snapshot.analyzer().clone());
        state.seal(fresh.view())?;
        *memtable = fresh;
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, Memtable> {
        // A writer that panicked has published no partial state: the memtable shows only complete
        // documents.
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn locate(&self, cid: &Cid) -> Result<Option<Location>> {
        Ok(ready(self.snapshot.locate(&[*cid], &self.pages)?)?.pop().flatten())
    }

    fn delete(&mut self, place: Option<Location>) {
        match place {
            Some(Location::Segment { segment, document }) => self.snapshot.delete_in_segment(segment, document),
            Some(Location::Memtable { index, document }) => self.snapshot.delete_in_memtable(index, document),
            None => {}
        }
    }

    fn seal(&mut self, fresh: MemtableView) -> Result<()> {
        let (mut segments, memtables) = self.snapshot.parts();
        for (view, deletes) in &memtables {
            if view.document_count() > deletes.len() {
                segments.push(self.write(|sink| build_segment(view, deletes, sink).map(drop))?);
            }
        }
        if segments.len() >= MAX_SEGMENTS {
            let pages = self.pages.clone();
            let inputs: Vec<(&Segment, &Deletes)> =
                segments.iter().map(|(segment, deletes)| (&**segment, deletes)).collect();
            let merged = self.write(|sink| merge_segments(&inputs, &pages, sink).map(drop))?;
            self.pages.0.retain(|(id, _)| *id == merged.0.id());
            segments = vec![merged];
        }
        let analyzer = self.snapshot.analyzer().clone();
        self.snapshot = ReadView::new(analyzer, segments, vec![(fresh, Deletes::new())])?;
        Ok(())
    }

    fn write(
        &mut self,
        build: impl FnOnce(&mut dyn crate::page::PageSink) -> Result<()>,
    ) -> Result<(Arc<Segment>, Deletes)> {
        let id = SegmentId(self.next_segment.to_be_bytes());
        self.next_segment += 1;
        let mut pages = PageMap::new();
        build(&mut pages.sink(id))?;
        let segment = Segment::open(id, &pages.header(id))?;
        self.pages.0.push((id, Arc::new(pages)));
        Ok((Arc::new(segment), Deletes::new()))
    }
}

impl PageSource for Pages {
    fn page(&self, segment: SegmentId, page: PageId) -> Option<Page> {
        self.0.iter().find(|(id, _)| *id == segment)?.1.page(segment, page)
    }
}

/// All pages are in memory, so the operation is always ready.
fn ready<T>(progress: Progress<T>) -> Result<T> {
    progress.ready().ok_or_else(|| Error::damaged("a page of a segment in memory is missing"))
}

const fn assert_shared<T: Send + Sync>() {}
const _: () = assert_shared::<MemoryIndex>();
