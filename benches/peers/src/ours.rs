//! The index core, through its public interface.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use cim_ipld_index::{
    Analyzer, Deletes, Document, Field, Matches, Memtable, PageMap, Progress, Query, ReadView, SearchOptions,
    SearchResults, Segment, SegmentId, Total, build_segment,
};

use crate::queries::Question;

/// A read view with all of its pages in memory.
#[derive(Debug)]
pub struct Ours {
    snapshot: ReadView,
    pages: PageMap,
}

/// Inserts all documents into one memtable.
///
/// # Errors
///
/// If a document exceeds a limit of the index.
pub fn fill(documents: &[Document]) -> Result<Memtable> {
    let mut memtable = Memtable::new(Analyzer::default());
    for document in documents {
        memtable.insert(document)?;
    }
    Ok(memtable)
}

impl Ours {
    /// Creates a read view of one memtable.
    ///
    /// # Errors
    ///
    /// If the memtable was not built with the default analyzer.
    pub fn of_memtable(memtable: &Memtable) -> Result<Self> {
        let memtables = vec![(memtable.view(), Deletes::new())];
        Ok(Self { snapshot: ReadView::new(Analyzer::default(), Vec::new(), memtables)?, pages: PageMap::new() })
    }

    /// Seals a memtable into one segment.
    ///
    /// # Errors
    ///
    /// If the segment would be larger than its format can address.
    pub fn sealed(memtable: &Memtable) -> Result<Self> {
        let id = SegmentId([1; 16]);
        let mut pages = PageMap::new();
        build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(id))?;
        let segment = Arc::new(Segment::open(id, &pages.header(id))?);
        let snapshot = ReadView::new(Analyzer::default(), vec![(segment, Deletes::new())], Vec::new())?;
        Ok(Self { snapshot, pages })
    }

    /// Builds a segment of each part except the last, which remains a memtable.
    ///
    /// # Errors
    ///
    /// The same as for [`fill`] and [`sealed`](Self::sealed).
    pub fn in_parts(parts: &[&[Document]]) -> Result<Self> {
        let (last, sealed) = parts.split_last().context("no parts")?;
        let mut pages = PageMap::new();
        let mut segments = Vec::new();
        for (number, part) in sealed.iter().enumerate() {
            let id = SegmentId([number as u8; 16]);
            build_segment(&fill(part)?.view(), &Deletes::new(), &mut pages.sink(id))?;
            segments.push((Arc::new(Segment::open(id, &pages.header(id))?), Deletes::new()));
        }
        let memtables = vec![(fill(last)?.view(), Deletes::new())];
        Ok(Self { snapshot: ReadView::new(Analyzer::default(), segments, memtables)?, pages })
    }

    /// Answers a query.
    ///
    /// # Errors
    ///
    /// If the options exceed a limit of the index.
    #[inline]
    pub fn search(&self, query: &Query, options: &SearchOptions) -> Result<SearchResults> {
        ready(self.snapshot.search(query, options, &self.pages)?)
    }

    /// Returns the addresses and scores of the best ten, like Tantivy's `TopDocs`.
    ///
    /// # Errors
    ///
    /// If a page is damaged.
    #[inline]
    pub fn top(&self, query: &Query) -> Result<Matches> {
        let options = SearchOptions::default().total(Total::AtLeast);
        ready(self.snapshot.matches(query, &options, &self.pages)?)
    }

    /// Returns the addresses and scores of the best ten, and the exact number of matches.
    ///
    /// # Errors
    ///
    /// If a page is damaged.
    #[inline]
    pub fn top_and_total(&self, query: &Query) -> Result<Matches> {
        ready(self.snapshot.matches(query, &SearchOptions::default(), &self.pages)?)
    }

    /// Returns the best ten with their stored fields, and the exact number of matches.
    ///
    /// # Errors
    ///
    /// If a page is damaged.
    #[inline]
    pub fn hits(&self, query: &Query) -> Result<SearchResults> {
        self.search(query, &SearchOptions::default())
    }

    /// Returns the pages of the segments.
    pub fn pages(&self) -> &PageMap {
        &self.pages
    }

    /// Returns the read view.
    pub fn snapshot(&self) -> &ReadView {
        &self.snapshot
    }
}

fn ready<T>(progress: Progress<T>) -> Result<T> {
    match progress {
        Progress::Ready(value) => Ok(value),
        Progress::Need(pages) => bail!("{} pages are missing", pages.len()),
    }
}

/// Translates a question.
pub fn query(question: &Question) -> Query {
    let terms = |words: &[String]| words.iter().map(Query::term).collect::<Vec<_>>();
    match question {
        Question::Term(word) => Query::term(word),
        Question::All(words) => Query::all(terms(words)),
        Question::Any(words) => Query::any(terms(words)),
        Question::Phrase(words) => Query::phrase(Field::Any, words.join(" "), 0),
        Question::Prefix(prefix) => Query::prefix(Field::Any, prefix),
        Question::Fuzzy(word) => Query::fuzzy(Field::Any, word, 1),
        Question::Tagged(tag, question) => query(question).tag(tag),
    }
}
