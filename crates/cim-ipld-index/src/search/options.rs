//! The options of a search.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::budget::limits::SearchLimits;
use crate::search::order::Sort;
use crate::search::paging::SearchCursor;

/// Options of a search: how many hits to return, in which order, and with which additional data.
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
    /// The maximum number of hits to return; 10 by default.
    pub limit: usize,
    /// The number of leading hits to skip; 0 by default.
    pub offset: usize,
    /// How to generate snippets; none by default.
    pub snippet: Option<SnippetOptions>,
    /// How to count matches; exactly by default.
    pub total: Total,
    /// The order of the hits; by decreasing score by default.
    pub sort: Sort,
    /// The position after which hits start; the beginning by default.
    pub after: Option<SearchCursor>,
    /// The facets to count over all matches; none by default.
    pub facets: Vec<Facet>,
    /// The limits on what the search may cost.
    pub limits: SearchLimits,
}

/// A facet: counts the names of one kind over all matches, regardless of the limit.
///
/// ```
/// use cim_ipld_index::{Facet, SearchOptions};
///
/// let options = SearchOptions::default().facet(Facet::tags().limit(20)).facet(Facet::content_types());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Facet {
    /// Which names to count.
    pub of: FacetField,
    /// The maximum number of names to return, most frequent first; 10 by default.
    pub limit: usize,
}

/// The names that a facet counts.
///
/// ```
/// use cim_ipld_index::{Facet, FacetField};
///
/// assert_eq!(Facet::tags().of, FacetField::Tags);
/// assert_eq!(Facet::attribute("lang").of, FacetField::Attribute("lang".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FacetField {
    /// Tags, in their folded form: lower case, without accents.
    Tags,
    /// Content types, in lower case.
    ContentTypes,
    /// The values of this attribute, where it is a keyword.
    Attribute(Arc<str>),
}

/// The result of a facet.
///
/// ```
/// use cim_ipld_index::{Document, Facet, MemoryIndex, Query, SearchOptions};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let index = MemoryIndex::new();
/// index.insert(&Document::new(cid).with_tag("Sea"))?;
/// let options = SearchOptions::default().facet(Facet::tags());
/// let results = index.search(&Query::everything(), &options)?;
/// assert_eq!(results.facets[0].counts, [("sea".to_owned(), 1)]);
/// assert_eq!(results.facets[0].distinct, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FacetCounts {
    /// The names, each with its exact number of matches: most frequent first, ties by name.
    pub counts: Vec<(String, u64)>,
    /// The number of names with at least one match, including those beyond the facet's limit.
    pub distinct: u64,
}

/// How matches are counted.
///
/// ```
/// use cim_ipld_index::{SearchOptions, Total};
///
/// let fast = SearchOptions::default().total(Total::AtLeast);
/// assert_eq!(SearchOptions::default().total, Total::Exact);
/// assert_eq!(fast.total, Total::AtLeast);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Total {
    /// Counts every match.
    #[default]
    Exact,
    /// Counts only the matches that were visited while finding the best ones, so the total is a
    /// lower bound. This is faster if only a few of many matches are requested.
    AtLeast,
}

/// Options for snippets.
///
/// ```
/// use cim_ipld_index::{Document, MemoryIndex, Query, SearchOptions, SnippetOptions};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let index = MemoryIndex::new();
/// index.insert(&Document::new(cid).with_text("Call me Ishmael. Some years ago, never mind how long precisely."))?;
/// let options = SearchOptions::default().snippet(SnippetOptions::default().max_chars(20));
/// let hit = index.search(&Query::term("ishmael"), &options)?.hits.remove(0);
/// assert!(hit.snippet.is_some_and(|snippet| snippet.text.contains("Ishmael")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SnippetOptions {
    /// The maximum length of a snippet, in characters; 200 by default.
    pub max_chars: usize,
    /// The maximum number of passages that share this length, separated by ` … `; 1 by default.
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
            limits: SearchLimits::default(),
        }
    }
}

impl SearchOptions {
    /// Sets the maximum number of hits to return.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the number of leading hits to skip.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Requests snippets.
    #[must_use]
    pub fn snippet(mut self, snippet: SnippetOptions) -> Self {
        self.snippet = Some(snippet);
        self
    }

    /// Sets the limits on what the search may cost.
    #[must_use]
    pub fn limits(mut self, limits: SearchLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how matches are counted.
    #[must_use]
    pub fn total(mut self, total: Total) -> Self {
        self.total = total;
        self
    }

    /// Sets the order of the hits.
    #[must_use]
    pub fn sort(mut self, sort: Sort) -> Self {
        self.sort = sort;
        self
    }

    /// Starts after a position that an earlier search with the same order returned.
    #[must_use]
    pub fn after(mut self, cursor: SearchCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Adds a facet.
    #[must_use]
    pub fn facet(mut self, facet: Facet) -> Self {
        self.facets.push(facet);
        self
    }
}

impl Facet {
    /// Creates a facet that counts tags.
    pub fn tags() -> Self {
        Self::of(FacetField::Tags)
    }

    /// Creates a facet that counts content types.
    pub fn content_types() -> Self {
        Self::of(FacetField::ContentTypes)
    }

    /// Creates a facet that counts the values of a keyword attribute.
    pub fn attribute(name: impl Into<Arc<str>>) -> Self {
        Self::of(FacetField::Attribute(name.into()))
    }

    /// Sets the maximum number of names to return.
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
    /// Sets the maximum length of a snippet, in characters.
    #[must_use]
    pub fn max_chars(mut self, max_chars: usize) -> Self {
        self.max_chars = max_chars;
        self
    }

    /// Sets the maximum number of passages.
    #[must_use]
    pub fn passages(mut self, passages: usize) -> Self {
        self.passages = passages;
        self
    }
}
