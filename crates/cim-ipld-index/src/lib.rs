//! A search index over content-addressed documents. Inserts are searchable at once. A full memtable
//! becomes an immutable segment that is divided into pages.
//!
//! Choose by where the index is stored:
//!
//! * [`MemoryIndex`] is a complete index in memory: insert, delete, search.
//! * [`Memtable`], [`Segment`] and [`ReadView`] are its parts, for applications that store an index
//!   themselves. Documents are inserted into a memtable; a full memtable becomes the pages of a
//!   segment; a read view searches segments and memtables as one index.
//!
//! The crate is sans I/O: it has no files, network, clock or threads. A search, lookup or
//! verification that needs a page that is not available returns [`Progress::Need`]; the caller
//! fetches the pages and calls again. (A merge requires all pages to be available.) A search takes
//! at most three rounds.
//!
//! External bytes (pages, documents, delete sets, queries) are untrusted: decoding them returns a
//! value or an [`Error`] and never panics.
//!
//! # Search documents
//!
//! ```
//! use cim_ipld_index::{Document, MemoryIndex, Query, SearchOptions, SnippetOptions};
//!
//! let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
//! let index = MemoryIndex::new();
//! index.insert(&Document::new(cid).with_text("The whale surfaced at dawn.").with_tag("log"))?;
//!
//! let options = SearchOptions::default().snippet(SnippetOptions::default());
//! let results = index.search(&Query::parse("whale OR squid")?.tag("log"), &options)?;
//! assert_eq!(results.total, 1);
//! assert_eq!(results.hits[0].snippet.as_ref().map(|snippet| snippet.text.as_str()), Some("The whale surfaced at dawn."));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Accept queries that people type
//!
//! [`Query::parse`] is strict and suits programs. [`Query::parse_typed`] treats misplaced operators
//! as punctuation, and refuses only values that do not fit their field, and excessive nesting.
//!
//! ```
//! use cim_ipld_index::{Query, QueryErrorKind};
//!
//! assert!(Query::parse("rock & roll (live").is_err());
//! assert!(Query::parse_typed("rock & roll (live").is_ok());
//! let error = Query::parse_typed("whale created:2024-02-30").unwrap_err();
//! assert_eq!((error.kind, error.range), (QueryErrorKind::Value, 14..24));
//! ```
//!
//! # Sort, page and count
//!
//! ```
//! use cim_ipld_index::{Document, Facet, MemoryIndex, NumberField, Query, SearchOptions, Sort, Value};
//!
//! let index = MemoryIndex::new();
//! for (cid, year) in [
//!     ("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", 1851),
//!     ("bafkreidgvpkjawlxz6sffxzwgooowe5yt7i6wsyg236mfoks77nywkptdq", 1986),
//! ] {
//!     index.insert(&Document::new(cid.parse()?).with_tag("sea").with_attribute("year", Value::Integer(year)))?;
//! }
//! let newest_first = Sort::descending(NumberField::Attribute("year".into()));
//! let options = SearchOptions::default().limit(1).sort(newest_first).facet(Facet::tags());
//! let first = index.search(&Query::parse("year:>1800")?, &options)?;
//! assert_eq!(first.hits[0].attributes["year"], Value::Integer(1986));
//! assert_eq!(first.facets[0].counts, [("sea".to_owned(), 2)]);
//!
//! let next = first.next.expect("the page is full");
//! let second = index.search(&Query::parse("year:>1800")?, &options.after(next))?;
//! assert_eq!(second.hits[0].attributes["year"], Value::Integer(1851));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Store segments elsewhere
//!
//! ```
//! use std::sync::Arc;
//! use cim_ipld_index::{
//!     Analyzer, Deletes, Document, Memtable, PageMap, PageSource, Progress, Query, ReadView, SearchOptions, Segment,
//!     SegmentId, build_segment,
//! };
//!
//! let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
//! let mut memtable = Memtable::new(Analyzer::default());
//! memtable.insert(&Document::new(cid).with_text("a dead calm"))?;
//! // Write the segment's pages to a store.
//! let (id, mut store) = (SegmentId([1; 16]), PageMap::new());
//! build_segment(&memtable.view(), &Deletes::new(), &mut store.sink(id))?;
//!
//! // Search it, fetching missing pages from the store.
//! let segment = Arc::new(Segment::open(id, &store.header(id))?);
//! let view = ReadView::new(Analyzer::default(), vec![(segment, Deletes::new())], vec![])?;
//! let mut cache = PageMap::new();
//! let results = loop {
//!     match view.search(&Query::term("calm"), &SearchOptions::default(), &cache)? {
//!         Progress::Ready(results) => break results,
//!         Progress::Need(missing) => {
//!             for (segment, page) in missing {
//!                 cache.insert(segment, page, store.page(segment, page).expect("the store is complete"));
//!             }
//!         }
//!     }
//! };
//! assert_eq!(results.hits[0].cid, cid);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod analysis;
mod automaton;
mod budget;
mod deletes;
mod document;
mod encoding;
mod error;
mod keys;
mod location;
mod memory_index;
mod memtable;
mod merge;
mod page;
mod page_id;
mod query;
mod read_view;
mod score;
mod search;
mod segment;
mod verify;

pub use analysis::{
    Analyze, Analyzer, AnalyzerSpec, Cjk, Language, MAX_WORD_BYTES, QueryPrefix, QueryWord, QueryWords, Token,
    UnicodeWords, WordsSpec,
};
pub use budget::limits::{Cancellation, SearchLimits};
pub use deletes::Deletes;
pub use document::codec::EncodedDocument;
pub use document::date::{ParseTimestampError, Timestamp};
pub use document::text_field::Field;
pub use document::{
    Document, DocumentKind, MAX_ATTRIBUTE_NAME_BYTES, MAX_ATTRIBUTES, MAX_CID_BYTES, MAX_DOCUMENT_BYTES,
    MAX_KEYWORD_BYTES, MAX_LIST_VALUES, MAX_TAG_BYTES, MAX_TAGS, Value,
};
pub use document::{cid_text, codec, content_id};
pub use error::{Error, ErrorKind, Result};
pub use location::Location;
pub use memory_index::MemoryIndex;
pub use memtable::{Memtable, MemtableView};
pub use merge::merge_segments;
pub use page::{MAX_PAGE_BYTES, MAX_SEGMENT_DOCUMENTS, Page, PageMap, PageSink, PageSinkError, PageSource, Progress};
pub use page_id::{DocId, PageClass, PageId, SegmentId, SubIndex};
pub use query::{Number, NumberField, NumberRange, Query, QueryError, QueryErrorKind};
pub use read_view::{IndexCounts, ReadView};
pub use search::MAX_RESULT_WINDOW;
pub use search::options::{Facet, FacetCounts, FacetField, SearchOptions, SnippetOptions, Total};
pub use search::order::{Sort, SortBy, SortOrder};
pub use search::paging::SearchCursor;
pub use search::results::{Hit, Matches, SearchResults, Snippet};
pub use segment::{Salvaged, Segment, SegmentSummary, build_segment, salvage_cids, salvage_documents};
pub use verify::{SegmentReport, Verification};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
