//! What a search returns beside the documents that match: how many, in which order, with what.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::search_cursor::SearchCursor;
use crate::search_order::Sort;

/// Says how many hits to return and with what.
///
/// ```
/// use cim_ipld_index::{SearchOptions, SnippetOptions};
///
/// let options = SearchOptions::default().limit(20).offset(40).snippet(SnippetOptions::default());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SearchOptions {
    /// The most hits to return; 10 by default.
    pub limit: usize,
    /// How many of the best hits to leave out; 0 by default.
    pub offset: usize,
    /// How to cut snippets; none by default.
    pub snippet: Option<SnippetOptions>,
    /// Whether all matches are counted; they are by default.
    pub total: Total,
    /// The order of the hits: the best score first by default.
    pub sort: Sort,
    /// Only hits that come after this place; from the first by default.
    pub after: Option<SearchCursor>,
    /// What to count over all matches; nothing by default.
    pub facets: Vec<Facet>,
}

/// Says what to count over all matches, whatever the limit.
///
/// ```
/// use cim_ipld_index::{Facet, SearchOptions};
///
/// let options = SearchOptions::default().facet(Facet::tags().limit(20)).facet(Facet::content_types());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Facet {
    /// The names that are counted.
    pub of: FacetField,
    /// The most names to return, the most frequent first; 10 by default.
    pub limit: usize,
}

/// Says which names a facet counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FacetField {
    /// Tags, in lower case.
    Tags,
    /// Content types, in lower case.
    ContentTypes,
    /// The values of the attribute of this name, where it is a keyword.
    Attribute(Arc<str>),
}

/// How many matches have each of the names of a facet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FacetCounts {
    /// Names and in how many matches they are, exactly: the most frequent first, equals by name.
    pub counts: Vec<(String, u64)>,
    /// How many names are in at least one match, those beyond the facet's limit included.
    pub distinct: u64,
}

/// Says how matches are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Total {
    /// Every match, exactly.
    #[default]
    Exact,
    /// Only those that had to be looked at to find the best: a search for a few of many matches is
    /// then faster.
    AtLeast,
}

/// Says how to cut a snippet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SnippetOptions {
    /// The most characters of a snippet; 200 by default.
    pub max_chars: usize,
    /// The most passages that share these characters, with ` … ` between them; 1 by default.
    pub passages: usize,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            limit: 10,
            offset: 0,
            snippet: None,
            total: Total::Exact,
            sort: Sort::default(),
            after: None,
            facets: Vec::new(),
        }
    }
}

impl SearchOptions {
    /// Sets the most hits to return.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Sets how many of the best hits to leave out.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Asks for snippets.
    #[must_use]
    pub fn snippet(mut self, snippet: SnippetOptions) -> Self {
        self.snippet = Some(snippet);
        self
    }

    /// Says how matches are counted.
    #[must_use]
    pub fn total(mut self, total: Total) -> Self {
        self.total = total;
        self
    }

    /// Says in which order hits come.
    #[must_use]
    pub fn sort(mut self, sort: Sort) -> Self {
        self.sort = sort;
        self
    }

    /// Leaves out what comes up to and at this place, which an earlier search with the same order
    /// gave.
    #[must_use]
    pub fn after(mut self, cursor: SearchCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Counts names over all matches too.
    #[must_use]
    pub fn facet(mut self, facet: Facet) -> Self {
        self.facets.push(facet);
        self
    }
}

impl Facet {
    /// Counts tags.
    pub fn tags() -> Self {
        Self::of(FacetField::Tags)
    }

    /// Counts content types.
    pub fn content_types() -> Self {
        Self::of(FacetField::ContentTypes)
    }

    /// Counts the values of an attribute, where it is a keyword.
    pub fn attribute(name: impl Into<Arc<str>>) -> Self {
        Self::of(FacetField::Attribute(name.into()))
    }

    /// Sets the most names to return.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    fn of(of: FacetField) -> Self {
        Self { of, limit: 10 }
    }
}

impl Default for SnippetOptions {
    fn default() -> Self {
        Self { max_chars: 200, passages: 1 }
    }
}

impl SnippetOptions {
    /// Sets the most characters of a snippet.
    #[must_use]
    pub fn max_chars(mut self, max_chars: usize) -> Self {
        self.max_chars = max_chars;
        self
    }

    /// Sets the most passages.
    #[must_use]
    pub fn passages(mut self, passages: usize) -> Self {
        self.passages = passages;
        self
    }
}
