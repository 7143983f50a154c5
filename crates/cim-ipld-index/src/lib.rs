//! A search index over content-addressed documents: in memory, visible per document, in pages when
//! sealed.
//!
//! Which part to use:
//!
//! * [`MemoryIndex`] is a whole index in memory: insert, delete, search.
//! * [`Memtable`], [`build_segment`], [`merge_segments`], [`Segment`] and [`ReadView`] are the
//!   parts for whoever keeps an index somewhere: a document goes into a memtable and is searchable
//!   at once; a full memtable becomes the pages of a segment; a snapshot searches segments and
//!   memtables as one.
//!
//! The crate does no I/O, has no clock and spawns nothing. An operation that would need a page that
//! is not at hand says so ([`Progress::Need`]); whoever called fetches the pages and calls again.
//! No search needs more than three rounds.
//!
//! Bytes from outside (pages, documents, sets of deletes, queries) may be hostile: they give a
//! value or an [`Error`].
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

mod analysis;
mod automaton;
pub mod cid_text;
pub mod codec;
mod collection;
pub mod content_id;
mod date;
mod deletes;
mod docset;
mod document;
mod error;
mod fetch;
mod fields;
mod keys;
mod location;
mod memory_index;
mod memtable;
mod merge;
mod numbers;
mod page;
mod page_id;
mod query;
mod read_view;
mod score;
mod search;
mod search_cursor;
mod search_options;
mod search_order;
mod search_results;
mod segment;
mod text_field;
mod verify;
mod wire;

pub use analysis::{
    Analyze, Analyzer, AnalyzerSpec, Cjk, Language, MAX_WORD_BYTES, QueryPrefix, QueryWord, QueryWords, Token,
    UnicodeWords, WordsSpec,
};
pub use date::{ParseTimestampError, Timestamp};
pub use deletes::Deletes;
pub use document::{
    Document, DocumentKind, MAX_ATTRIBUTE_NAME_BYTES, MAX_ATTRIBUTES, MAX_CID_BYTES, MAX_DOCUMENT_BYTES,
    MAX_KEYWORD_BYTES, MAX_LIST_VALUES, MAX_TAG_BYTES, MAX_TAGS, Value,
};
pub use error::{Error, ErrorKind, Result};
pub use location::Location;
pub use memory_index::MemoryIndex;
pub use memtable::{Memtable, MemtableView};
pub use merge::merge_segments;
pub use page::{MAX_PAGE_BYTES, MAX_SEGMENT_DOCUMENTS, Page, PageMap, PageSink, PageSinkError, PageSource, Progress};
pub use page_id::{DocId, PageClass, PageId, SegmentId, SubIndex};
pub use query::{Number, NumberField, NumberRange, Query, QueryError, QueryErrorKind};
pub use read_view::{IndexCounts, ReadView};
pub use search::{MAX_QUERY_WORDS, MAX_RESULT_WINDOW};
pub use search_cursor::SearchCursor;
pub use search_options::{Facet, FacetCounts, FacetField, SearchOptions, SnippetOptions, Total};
pub use search_order::{Sort, SortBy, SortOrder};
pub use search_results::{Hit, Matches, SearchResults, Snippet};
pub use segment::{Segment, SegmentSummary, build_segment};
pub use text_field::Field;
pub use verify::{SegmentReport, Verification};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
