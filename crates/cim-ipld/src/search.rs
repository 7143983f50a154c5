use cid::Cid;
use cim_ipld_persistence::Result;
use cim_ipld_persistence::index::{DocumentKind, Hit, Query, SearchOptions, SnippetOptions, Statistics};
use cim_ipld_persistence::unix_seconds;
use serde::{Deserialize, Serialize};

/// What to search for. Everything that is left out does not restrict the search.
///
/// ```
/// use cim_ipld::SearchQuery;
///
/// let query = SearchQuery { text: Some("harbour AND dawn".into()), tags: vec!["sea".into()], ..SearchQuery::default() };
/// assert!(query.to_query().is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchQuery {
    /// Words as people type them: alternatives, or both sides of `AND`. [`Query::parse`] has the whole language.
    pub text: Option<String>,
    /// Tags that a document must have, every one of them.
    pub tags: Vec<String>,
    /// Content types of which a document must have one.
    pub content_types: Vec<String>,
    /// The most results; 10 when left out.
    pub limit: Option<usize>,
    /// How many of the best results to leave out.
    pub offset: Option<usize>,
}

/// One document that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    /// Names the content.
    pub cid: Cid,
    /// The media type.
    pub content_type: Option<String>,
    /// How well it matches (BM25); 0 for a query without text.
    pub score: f32,
    /// The passage of the text that matches best.
    pub snippet: Option<String>,
    /// Its tags that the query asked for.
    pub matching_tags: Vec<String>,
    /// What is known about the content.
    pub metadata: SearchResultMetadata,
}

/// What a [`SearchResult`] says about the content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// Counts of an index.
///
/// Words, tags and content types are counted in each part of the index, so what stands in several is counted again: they
/// are at least the true numbers.
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
    /// Returns the same as a query of the index core.
    ///
    /// # Errors
    /// `InvalidInput` when the text cannot be understood; the message says where and what was expected.
    pub fn to_query(&self) -> Result<Query> {
        let text = self.text.as_deref().map_or_else(|| Ok(Query::everything()), Query::parse_typed);
        let query = text.map_err(cim_ipld_persistence::index::Error::from)?;
        let query = self.tags.iter().fold(query, Query::tag);
        Ok(self.content_types.iter().fold(query, Query::content_type))
    }

    /// Returns how many results are wanted, and with what.
    #[must_use]
    pub fn to_options(&self) -> SearchOptions {
        let options = SearchOptions::default().snippet(SnippetOptions::default());
        let limit = self.limit.unwrap_or(options.limit);
        options.limit(limit).offset(self.offset.unwrap_or(0))
    }

    /// Returns a hit of this query as a result.
    pub(crate) fn result(&self, hit: Hit) -> SearchResult {
        let wanted = |tag: &&String| self.tags.iter().any(|wanted| wanted.to_lowercase() == tag.to_lowercase());
        SearchResult {
            cid: hit.cid,
            content_type: hit.content_type,
            score: hit.score,
            snippet: hit.snippet.map(|snippet| snippet.text),
            matching_tags: hit.tags.iter().filter(wanted).cloned().collect(),
            metadata: SearchResultMetadata {
                title: hit.title,
                author: hit.author,
                created_at: hit.created_at.and_then(unix_seconds),
                size: hit.size,
                tags: hit.tags,
            },
        }
    }
}

impl From<&Statistics> for IndexStats {
    fn from(statistics: &Statistics) -> Self {
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
