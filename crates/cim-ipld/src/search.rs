use std::collections::BTreeMap;
use std::ops::{Range, RangeBounds};

use cid::Cid;
use cim_ipld_persistence::Result;
use cim_ipld_persistence::index::{
    DocumentKind, Facet, FacetCounts, Hit, IndexCounts, Number, NumberField, NumberRange, Query, SearchCursor,
    SearchLimits, SearchOptions, SearchResults, SnippetOptions, Sort, Value,
};
use cim_ipld_persistence::unix_seconds;
use serde::{Deserialize, Serialize};

/// A search query. Fields left at their default do not restrict the search.
///
/// ```
/// use cim_ipld::SearchQuery;
/// use cim_ipld::index::{Facet, NumberField, Sort};
///
/// let query = SearchQuery { text: Some("harbour AND dawn".into()), tags: vec!["sea".into()], ..SearchQuery::default() };
/// assert_eq!(query, SearchQuery::text("harbour AND dawn").tag("sea"));
///
/// let newest = query.range(NumberField::Size, 1_000..).facet(Facet::tags()).sort(Sort::descending(NumberField::CreatedAt));
/// assert!(newest.to_query().is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchQuery {
    /// The query text, as typed by a user: words are alternatives unless joined by `AND`.
    /// [`Query::parse`] and `docs/search.md` describe the language. A text is refused if it
    /// contains a value that its field cannot hold or a misspelt field name, or if it exceeds a
    /// limit, for example on nesting. Misplaced operators and unbalanced quotes are accepted.
    pub text: Option<String>,
    /// Tags. A document must have all of them.
    pub tags: Vec<String>,
    /// Excluded tags. A document must have none of them.
    pub no_tags: Vec<String>,
    /// Content types. A document must have one of them, unless the list is empty. The parameters of
    /// a document's type are ignored unless the type in this list has some; `image/*` matches any
    /// image type.
    pub content_types: Vec<String>,
    /// Kinds of content. A document must have one of them, unless the list is empty.
    pub kinds: Vec<DocumentKind>,
    /// Attributes, as names and values in the syntax of a query text. A document must have all of
    /// them.
    pub attributes: Vec<(String, String)>,
    /// Ranges of numbers and times. A document must match all of them.
    pub ranges: Vec<NumberRange>,
    /// The maximum number of results, 10 by default.
    pub limit: Option<usize>,
    /// The number of results to skip.
    pub offset: Option<usize>,
    /// The order of the results, by descending score by default.
    pub sort: Option<Sort>,
    /// Returns only results after this cursor, which comes from a [`SearchPage`] of the same query.
    pub after: Option<SearchCursor>,
    /// The facets to count over all matches, returned in [`SearchPage::facets`].
    pub facets: Vec<Facet>,
    /// How snippets are cut: one passage of at most 200 characters by default.
    pub snippet: Option<SnippetOptions>,
    /// The limits on what the search may cost: by default, 2^28 units of work and 256 MiB of
    /// working memory.
    pub limits: SearchLimits,
}

/// A page of search results, with the number of all matches and their facets.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld::Error> {
/// use cim_ipld::{ContentIndex, SearchPage, SearchQuery};
///
/// let page: SearchPage = ContentIndex::new().search_page(&SearchQuery::everything()).await?;
/// assert_eq!((page.total, page.next), (0, None));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    /// The number of all matching documents.
    pub total: u64,
    /// The results of this page, in the order that [`SearchQuery::sort`] specifies.
    pub results: Vec<SearchResult>,
    /// The cursor of the next page, if this page is full.
    pub next: Option<SearchCursor>,
    /// The counts of [`SearchQuery::facets`], in that order.
    pub facets: Vec<FacetCounts>,
}

/// A document found by a search.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld::Error> {
/// use cim_ipld::{ContentIndex, DocumentMetadata, SearchQuery, SearchResult, content_cid};
///
/// let index = ContentIndex::new();
/// index.index_document(content_cid(b"1"), &DocumentMetadata::default(), Some("ebb and flow")).await?;
/// let result: SearchResult = index.search(&SearchQuery::text("flow")).await?.remove(0);
/// assert_eq!((result.cid, result.highlights), (content_cid(b"1"), vec![8..12]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    /// The CID of the content, serialized as a string.
    #[serde(with = "cim_ipld_persistence::index::cid_text")]
    pub cid: Cid,
    /// The media type.
    pub content_type: Option<String>,
    /// The BM25 score, or 0 for a query without text.
    pub score: f32,
    /// The best matching passages of the text; one unless [`SearchQuery::snippet`] allows more.
    pub snippet: Option<String>,
    /// The byte ranges of the matching words within the snippet.
    #[serde(default)]
    pub highlights: Vec<Range<usize>>,
    /// The tags of the document that are among [`SearchQuery::tags`], ignoring case.
    pub matching_tags: Vec<String>,
    /// The metadata of the content.
    pub metadata: SearchResultMetadata,
}

/// The metadata of a [`SearchResult`].
///
/// ```
/// use cim_ipld::SearchResultMetadata;
/// use cim_ipld::index::DocumentKind;
///
/// let metadata = SearchResultMetadata { kind: DocumentKind::Audio, ..SearchResultMetadata::default() };
/// assert_eq!(metadata.title, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResultMetadata {
    /// The title.
    pub title: Option<String>,
    /// The author, or the artist of a recording.
    pub author: Option<String>,
    /// The creation time in Unix seconds.
    pub created_at: Option<u64>,
    /// The size of the content in bytes.
    pub size: Option<u64>,
    /// All tags of the document.
    pub tags: Vec<String>,
    /// The kind of content.
    pub kind: DocumentKind,
    /// The attributes of the document.
    pub attributes: BTreeMap<String, Value>,
}

/// The counts of an index.
///
/// Words, tags and content types are counted per segment, so one that occurs in several segments is
/// counted several times. These counts are therefore upper bounds.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld::Error> {
/// use cim_ipld::{ContentIndex, IndexStats};
///
/// assert_eq!(ContentIndex::new().stats().await?, IndexStats::default());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexStats {
    /// The number of documents other than images, audio and video.
    pub total_documents: u64,
    /// The number of images.
    pub total_images: u64,
    /// The number of audio recordings.
    pub total_audio: u64,
    /// The number of videos.
    pub total_video: u64,
    /// The number of distinct words.
    pub unique_words: u64,
    /// The number of distinct tags.
    pub unique_tags: u64,
    /// The number of distinct content types.
    pub content_types: u64,
}

impl SearchQuery {
    /// Returns a query for a text, as typed by a user.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// Returns a query that matches every document.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Requires a tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Excludes documents with a tag.
    #[must_use]
    pub fn no_tag(mut self, tag: impl Into<String>) -> Self {
        self.no_tags.push(tag.into());
        self
    }

    /// Accepts documents of a content type. If several types are added, one of them must match.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_types.push(content_type.into());
        self
    }

    /// Accepts documents of a kind. If several kinds are added, one of them must match.
    #[must_use]
    pub fn kind(mut self, kind: DocumentKind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Requires an attribute to match `value`: a word that a text contains, the whole of a keyword,
    /// a number or a date.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// Requires a number or time within `bounds`.
    #[must_use]
    pub fn range<T: Into<Number> + Clone>(mut self, field: NumberField, bounds: impl RangeBounds<T>) -> Self {
        self.ranges.push(NumberRange::new(field, bounds));
        self
    }

    /// Sets the maximum number of results.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Sets the number of results to skip.
    #[must_use]
    pub fn offset(self, offset: usize) -> Self {
        Self { offset: Some(offset), ..self }
    }

    /// Sets the order of the results.
    #[must_use]
    pub fn sort(self, sort: Sort) -> Self {
        Self { sort: Some(sort), ..self }
    }

    /// Skips the results up to and including the one at this cursor.
    #[must_use]
    pub fn after(self, cursor: SearchCursor) -> Self {
        Self { after: Some(cursor), ..self }
    }

    /// Adds a facet to be counted over all matches.
    #[must_use]
    pub fn facet(mut self, facet: Facet) -> Self {
        self.facets.push(facet);
        self
    }

    /// Sets how snippets are cut.
    #[must_use]
    pub fn snippet(self, snippet: SnippetOptions) -> Self {
        Self { snippet: Some(snippet), ..self }
    }

    /// Sets the limits on what the search may cost.
    #[must_use]
    pub fn limits(self, limits: SearchLimits) -> Self {
        Self { limits, ..self }
    }

    /// Returns the corresponding query of the index core.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the text gives a field a value that the
    /// field cannot hold, such as `created:yesterday`, or is nested too deeply. The message names
    /// the position and the expected value.
    pub fn to_query(&self) -> Result<Query> {
        let text = self.text.as_deref().map_or_else(|| Ok(Query::everything()), Query::parse_typed);
        let query = text.map_err(cim_ipld_persistence::index::Error::from)?;
        let query = self.tags.iter().fold(query, Query::tag).no_tag(&self.no_tags);
        let query = self.content_types.iter().fold(query, Query::content_type);
        let query = self.kinds.iter().copied().fold(query, Query::kind);
        let attributes = self.attributes.iter().map(|(name, value)| Query::attribute(name.as_str(), value));
        let ranges = self.ranges.iter().cloned().map(Query::in_range);
        Ok(attributes.chain(ranges).fold(query, Query::filter))
    }

    /// Returns the corresponding search options of the index core.
    #[must_use]
    pub fn to_options(&self) -> SearchOptions {
        let options = SearchOptions::default().snippet(self.snippet.clone().unwrap_or_default());
        let limit = self.limit.unwrap_or(options.limit);
        let options = options.limit(limit).offset(self.offset.unwrap_or(0)).sort(self.sort.clone().unwrap_or_default());
        let options = options.limits(self.limits.clone());
        let options = self.after.iter().cloned().fold(options, SearchOptions::after);
        self.facets.iter().cloned().fold(options, SearchOptions::facet)
    }

    /// Converts the results of this query to a page.
    pub(crate) fn page(&self, found: SearchResults) -> SearchPage {
        let results = found.hits.into_iter().map(|hit| self.result(hit)).collect();
        SearchPage { total: found.total, results, next: found.next, facets: found.facets }
    }

    /// Converts a hit of this query to a result.
    fn result(&self, hit: Hit) -> SearchResult {
        let wanted = |tag: &&String| self.tags.iter().any(|wanted| wanted.to_lowercase() == tag.to_lowercase());
        let (snippet, highlights) =
            hit.snippet.map_or((None, Vec::new()), |snippet| (Some(snippet.text), snippet.highlights));
        SearchResult {
            cid: hit.cid,
            content_type: hit.content_type,
            score: hit.score,
            snippet,
            highlights,
            matching_tags: hit.tags.iter().filter(wanted).cloned().collect(),
            metadata: SearchResultMetadata {
                title: hit.title,
                author: hit.author,
                created_at: hit.created_at.and_then(unix_seconds),
                size: hit.size,
                tags: hit.tags,
                kind: hit.kind,
                attributes: hit.attributes,
            },
        }
    }
}

impl From<&IndexCounts> for IndexStats {
    fn from(counts: &IndexCounts) -> Self {
        let of_kind = |kind: DocumentKind| counts.by_kind[usize::from(kind.code())];
        Self {
            total_documents: of_kind(DocumentKind::Document),
            total_images: of_kind(DocumentKind::Image),
            total_audio: of_kind(DocumentKind::Audio),
            total_video: of_kind(DocumentKind::Video),
            unique_words: counts.terms,
            unique_tags: counts.tags,
            content_types: counts.content_types,
        }
    }
}
