//! What a search answers.

use std::collections::BTreeMap;
use std::ops::Range;

use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::date::Timestamp;
use crate::document::{DocumentKind, Value};
use crate::location::Location;
use crate::search_cursor::SearchCursor;
use crate::search_options::FacetCounts;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchResults {
    /// How many documents match in all: exactly, unless
    /// [`SearchOptions::total`](crate::SearchOptions::total) asks for less.
    pub total: u64,
    /// The best of them: score from high to low unless
    /// [`SearchOptions::sort`](crate::SearchOptions::sort) says otherwise, equals by the bytes of
    /// the CID.
    pub hits: Vec<Hit>,
    /// Where the hits after these start, if there are as many as were asked for:
    /// [`SearchOptions::after`](crate::SearchOptions::after) takes it.
    pub next: Option<SearchCursor>,
    /// What [`SearchOptions::facets`](crate::SearchOptions::facets) asks for, in that order.
    pub facets: Vec<FacetCounts>,
}

/// The best documents of a search, before they are read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Matches {
    /// How many documents match in all: exactly, unless
    /// [`SearchOptions::total`](crate::SearchOptions::total) asks for less.
    pub total: u64,
    /// Where the best of them are, with their scores, in the order of [`SearchResults::hits`].
    pub best: Vec<(Location, f32)>,
}

/// One document that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hit {
    /// Names the content; a string in JSON.
    #[serde(with = "crate::cid_text")]
    pub cid: Cid,
    /// How well it matches (BM25); 0 for a query without a text part.
    pub score: f32,
    /// The title.
    pub title: Option<String>,
    /// The author.
    pub author: Option<String>,
    /// The tags, as they were given.
    pub tags: Vec<String>,
    /// The content type, as it was given.
    pub content_type: Option<String>,
    /// The kind of content.
    pub kind: DocumentKind,
    /// When the content was made.
    pub created_at: Option<Timestamp>,
    /// When the content was last changed.
    pub modified_at: Option<Timestamp>,
    /// The size of the content in bytes.
    pub size: Option<u64>,
    /// The attributes.
    pub attributes: BTreeMap<String, Value>,
    /// The passages of the text that match best, if
    /// [`SearchOptions::snippet`](crate::SearchOptions::snippet) asks for it and there is text.
    pub snippet: Option<Snippet>,
}

/// Passages of a document's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snippet {
    /// The passages, on one line.
    pub text: String,
    /// Where in `text` the words of the query stand, in bytes.
    pub highlights: Vec<Range<usize>>,
}
