//! The results of a search.

use std::collections::BTreeMap;
use std::ops::Range;

use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::document::date::Timestamp;
use crate::document::{DocumentKind, Value};
use crate::location::Location;
use crate::search::options::FacetCounts;
use crate::search::paging::SearchCursor;

/// The results of a search.
///
/// ```
/// use cim_ipld_index::{Document, MemoryIndex, Query, SearchOptions, SearchResults};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let index = MemoryIndex::new();
/// index.insert(&Document::new(cid).with_text("thar she blows"))?;
/// let found: SearchResults = index.search(&Query::term("blows"), &SearchOptions::default())?;
/// assert_eq!((found.total, found.hits.len(), found.next), (1, 1, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchResults {
    /// The number of matches: exact, unless [`SearchOptions::total`](crate::SearchOptions::total)
    /// specifies otherwise.
    pub total: u64,
    /// The best matches, by decreasing score unless
    /// [`SearchOptions::sort`](crate::SearchOptions::sort) specifies otherwise. Ties are broken by
    /// the bytes of the CIDs.
    pub hits: Vec<Hit>,
    /// The position after the last hit, for [`SearchOptions::after`](crate::SearchOptions::after).
    /// It is `None` if there are fewer hits than requested.
    pub next: Option<SearchCursor>,
    /// The results of [`SearchOptions::facets`](crate::SearchOptions::facets), in the same order.
    pub facets: Vec<FacetCounts>,
}

/// The locations of the best documents, which have not been read.
///
/// ```
/// use cim_ipld_index::{
///     Analyzer, Deletes, Document, Matches, Memtable, PageMap, Progress, Query, ReadView, SearchOptions,
/// };
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// memtable.insert(&Document::new(cid).with_text("all hands"))?;
/// let view = ReadView::new(Analyzer::default(), vec![], vec![(memtable.view(), Deletes::new())])?;
/// let found = view.matches(&Query::term("hands"), &SearchOptions::default(), &PageMap::new())?;
/// let Progress::Ready(Matches { total, best, .. }) = found else { unreachable!("memtables need no pages") };
/// assert_eq!((total, best.len()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Matches {
    /// The number of matches: exact, unless [`SearchOptions::total`](crate::SearchOptions::total)
    /// specifies otherwise.
    pub total: u64,
    /// The locations and scores of the best matches, in the order of [`SearchResults::hits`].
    pub best: Vec<(Location, f32)>,
}

/// One matching document.
///
/// ```
/// use cim_ipld_index::{Document, MemoryIndex, Query, SearchOptions};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let index = MemoryIndex::new();
/// index.insert(&Document::new(cid).with_title("Moby-Dick").with_tag("Sea"))?;
/// let hit = index.search(&Query::term("moby"), &SearchOptions::default())?.hits.remove(0);
/// assert_eq!((hit.cid, hit.title.as_deref(), hit.tags), (cid, Some("Moby-Dick"), vec!["Sea".to_owned()]));
/// assert!(hit.score > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hit {
    /// Identifies the content. In JSON it is a string.
    #[serde(with = "crate::cid_text")]
    pub cid: Cid,
    /// The BM25 score; 0 for a query without a scored part.
    pub score: f32,
    /// The title.
    pub title: Option<String>,
    /// The author.
    pub author: Option<String>,
    /// The tags, as inserted.
    pub tags: Vec<String>,
    /// The content type, as inserted.
    pub content_type: Option<String>,
    /// The kind of content.
    pub kind: DocumentKind,
    /// When the content was created.
    pub created_at: Option<Timestamp>,
    /// When the content was last changed.
    pub modified_at: Option<Timestamp>,
    /// The size of the content in bytes.
    pub size: Option<u64>,
    /// The attributes.
    pub attributes: BTreeMap<String, Value>,
    /// The best-matching passages of the text, if
    /// [`SearchOptions::snippet`](crate::SearchOptions::snippet) requests them and there is text.
    pub snippet: Option<Snippet>,
}

/// Passages of a document's text.
///
/// ```
/// use cim_ipld_index::{Document, MemoryIndex, Query, SearchOptions, SnippetOptions};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let index = MemoryIndex::new();
/// index.insert(&Document::new(cid).with_text("The white whale"))?;
/// let options = SearchOptions::default().snippet(SnippetOptions::default());
/// let hit = index.search(&Query::term("whale"), &options)?.hits.remove(0);
/// let snippet = hit.snippet.expect("the document has text");
/// assert_eq!(&snippet.text[snippet.highlights[0].clone()], "whale");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snippet {
    /// The passages, on one line.
    pub text: String,
    /// The ranges of query words in `text`, in bytes.
    pub highlights: Vec<Range<usize>>,
}
