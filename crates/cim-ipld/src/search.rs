use std::collections::BTreeMap;
use std::ops::{Range, RangeBounds};

use cid::Cid;
use cim_ipld_persistence::Result;
use cim_ipld_persistence::index::{
    DocumentKind, Facet, FacetCounts, Hit, IndexCounts, Number, NumberField, NumberRange, Query, SearchCursor,
    SearchOptions, SearchResults, SnippetOptions, Sort, Value,
};
use cim_ipld_persistence::unix_seconds;
use serde::{Deserialize, Serialize};

/// What to search for. Everything that is left out does not restrict the search.
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
    /// Words as people type them: alternatives, or both sides of `AND`. [`Query::parse`] and
    /// `docs/search.md` have the whole language; any text is understood, unless a field cannot hold
    /// the value that it names.
    pub text: Option<String>,
    /// Tags that a document must have, every one of them.
    pub tags: Vec<String>,
    /// Tags of which a document must have none.
    pub no_tags: Vec<String>,
    /// Content types of which a document must have one. Parameters do not count unless they are
    /// given; `image/*` is any image.
    pub content_types: Vec<String>,
    /// Kinds of content of which a document must have one.
    pub kinds: Vec<DocumentKind>,
    /// Attributes that a document must have, every one of them, each with a value as a query text
    /// has it.
    pub attributes: Vec<(String, String)>,
    /// Numbers and times that a document must have, every one of them.
    pub ranges: Vec<NumberRange>,
    /// The most results; 10 when left out.
    pub limit: Option<usize>,
    /// How many of the best results to leave out.
    pub offset: Option<usize>,
    /// The order of the results; the best score first when left out.
    pub sort: Option<Sort>,
    /// Only results behind this place, which a [`SearchPage`] of the same query has.
    pub after: Option<SearchCursor>,
    /// What to count over all matches; [`SearchPage::facets`] has it.
    pub facets: Vec<Facet>,
    /// How to cut snippets; one passage of at most 200 characters when left out.
    pub snippet: Option<SnippetOptions>,
}

/// The results of a search, and what is known of all matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    /// How many documents match in all.
    pub total: u64,
    /// The first of them, in the order of the query.
    pub results: Vec<SearchResult>,
    /// Where the results after these start, if there are as many as were asked for.
    pub next: Option<SearchCursor>,
    /// What [`SearchQuery::facets`] asks for, in that order.
    pub facets: Vec<FacetCounts>,
}

/// One document that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    /// Names the content; a string in JSON.
    #[serde(with = "cim_ipld_persistence::index::cid_text")]
    pub cid: Cid,
    /// The media type.
    pub content_type: Option<String>,
    /// How well it matches (BM25); 0 for a query without text.
    pub score: f32,
    /// The passage of the text that matches best.
    pub snippet: Option<String>,
    /// Where in the snippet the words of the query stand, in bytes.
    #[serde(default)]
    pub highlights: Vec<Range<usize>>,
    /// Its tags that the query asked for.
    pub matching_tags: Vec<String>,
    /// What is known about the content.
    pub metadata: SearchResultMetadata,
}

/// What a [`SearchResult`] says about the content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResultMetadata {
    /// The title.
    pub title: Option<String>,
    /// The author, or the artist of a recording.
    pub author: Option<String>,
    /// When it was made, in Unix seconds.
    pub created_at: Option<u64>,
    /// The size of the content in bytes.
    pub size: Option<u64>,
    /// All its tags.
    pub tags: Vec<String>,
    /// The kind of content.
    pub kind: DocumentKind,
    /// Its attributes.
    pub attributes: BTreeMap<String, Value>,
}

/// Counts of an index.
///
/// Words, tags and content types are counted in each part of the index, so what stands in several
/// is counted again: they are at least the true numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexStats {
    /// Documents, without images, audio and video.
    pub total_documents: u64,
    /// Images.
    pub total_images: u64,
    /// Recordings of sound.
    pub total_audio: u64,
    /// Moving pictures.
    pub total_video: u64,
    /// Distinct words.
    pub unique_words: u64,
    /// Distinct tags.
    pub unique_tags: u64,
    /// Distinct content types.
    pub content_types: u64,
}

impl SearchQuery {
    /// Returns a search for words as people type them.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// Returns a search for every document.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Wants this tag too.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Wants what has not this tag.
    #[must_use]
    pub fn no_tag(mut self, tag: impl Into<String>) -> Self {
        self.no_tags.push(tag.into());
        self
    }

    /// Wants this content type, or one of the others given this way.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_types.push(content_type.into());
        self
    }

    /// Wants this kind of content, or one of the others given this way.
    #[must_use]
    pub fn kind(mut self, kind: DocumentKind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Wants this value in an attribute: a word of a text, the whole of a keyword, a number or a
    /// date.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// Wants a number or time between the bounds.
    #[must_use]
    pub fn range<T: Into<Number> + Clone>(mut self, field: NumberField, bounds: impl RangeBounds<T>) -> Self {
        self.ranges.push(NumberRange::new(field, bounds));
        self
    }

    /// Sets the most results.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Sets how many of the best results to leave out.
    #[must_use]
    pub fn offset(self, offset: usize) -> Self {
        Self { offset: Some(offset), ..self }
    }

    /// Sets the order of the results.
    #[must_use]
    pub fn sort(self, sort: Sort) -> Self {
        Self { sort: Some(sort), ..self }
    }

    /// Leaves out what comes up to and at this place.
    #[must_use]
    pub fn after(self, cursor: SearchCursor) -> Self {
        Self { after: Some(cursor), ..self }
    }

    /// Counts names over all matches too.
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

    /// Returns the same as a query of the index core.
    ///
    /// # Errors
    /// `InvalidInput` when a field cannot hold the value that the text names (`created:yesterday`);
    /// the message has the place and what was expected.
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

    /// Returns how many results are wanted, in which order, and with what.
    #[must_use]
    pub fn to_options(&self) -> SearchOptions {
        let options = SearchOptions::default().snippet(self.snippet.clone().unwrap_or_default());
        let limit = self.limit.unwrap_or(options.limit);
        let options = options.limit(limit).offset(self.offset.unwrap_or(0)).sort(self.sort.clone().unwrap_or_default());
        let options = self.after.iter().cloned().fold(options, SearchOptions::after);
        self.facets.iter().cloned().fold(options, SearchOptions::facet)
    }

    /// Returns what a search of this query found as a page.
    pub(crate) fn page(&self, found: SearchResults) -> SearchPage {
        let results = found.hits.into_iter().map(|hit| self.result(hit)).collect();
        SearchPage { total: found.total, results, next: found.next, facets: found.facets }
    }

    /// Returns a hit of this query as a result.
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
    fn from(statistics: &IndexCounts) -> Self {
        let of_kind = |kind: DocumentKind| statistics.by_kind[usize::from(kind.code())];
        Self {
            total_documents: of_kind(DocumentKind::Document),
            total_images: of_kind(DocumentKind::Image),
            total_audio: of_kind(DocumentKind::Audio),
            total_video: of_kind(DocumentKind::Video),
            unique_words: statistics.terms,
            unique_tags: statistics.tags,
            content_types: statistics.content_types,
        }
    }
}
