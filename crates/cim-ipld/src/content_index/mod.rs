mod durable;

use std::sync::Arc;

use cid::Cid;
use cim_ipld_persistence::index::{Analyzer, Document, IndexCounts, MemoryIndex, Query, SearchOptions, SearchResults};
use cim_ipld_persistence::{AudioMetadata, DocumentMetadata, ImageMetadata, Result, VideoMetadata};

use crate::{IndexPersistence, IndexStats, SearchPage, SearchQuery, SearchResult};

/// A searchable index of content: documents, images, audio and video, each identified by its CID.
///
/// Indexing a CID again replaces its entry. Clones share one index.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld::Error> {
/// use cim_ipld::{ContentIndex, ImageMetadata, SearchQuery, content_cid};
///
/// let index = ContentIndex::new();
/// let metadata = ImageMetadata { width: Some(640), height: Some(480), tags: vec!["sea".into()], ..Default::default() };
/// index.index_image(content_cid(b"pixels"), &metadata, "image/png").await?;
///
/// let query = SearchQuery { content_types: vec!["image/png".into()], ..SearchQuery::default() };
/// assert_eq!(index.search(&query).await?[0].metadata.tags, ["sea"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ContentIndex {
    store: Store,
}

#[derive(Clone, Debug)]
enum Store {
    Memory(MemoryIndex),
    Durable(Arc<IndexPersistence>),
}

impl ContentIndex {
    /// Creates an empty index that exists in memory only.
    ///
    /// ```
    /// let index = cim_ipld::ContentIndex::new();
    /// assert!(index.persistence().is_none());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { store: Store::Memory(MemoryIndex::new()) }
    }

    /// Creates an empty index that exists in memory only and uses `analyzer` for texts and queries.
    ///
    /// ```
    /// use cim_ipld::ContentIndex;
    /// use cim_ipld::index::{Analyzer, Language, UnicodeWords};
    ///
    /// let english = Analyzer::from(UnicodeWords::default().stem(Language::English));
    /// let index = ContentIndex::with_analyzer(english.clone());
    /// assert_eq!(index.analyzer().spec(), english.spec());
    /// ```
    #[must_use]
    pub fn with_analyzer(analyzer: Analyzer) -> Self {
        Self { store: Store::Memory(MemoryIndex::with_analyzer(analyzer)) }
    }

    /// Creates an index over `persistence`. Its existing content is searchable immediately, and a
    /// write is durable when its call returns.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld::backend::MemoryBackend;
    /// # use cim_ipld::{ContentIndex, IndexPersistence};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// # let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// # let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    /// assert_eq!(index.stats().await?.total_documents, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_persistence(persistence: Arc<IndexPersistence>) -> Self {
        Self { store: Store::Durable(persistence) }
    }

    /// Returns the analyzer of texts and queries.
    ///
    /// ```
    /// use cim_ipld::ContentIndex;
    /// use cim_ipld::index::Analyzer;
    ///
    /// assert_eq!(ContentIndex::new().analyzer().spec(), Analyzer::default().spec());
    /// ```
    #[must_use]
    pub fn analyzer(&self) -> Analyzer {
        match &self.store {
            Store::Memory(index) => index.analyzer(),
            Store::Durable(persistence) => persistence.engine().analyzer().clone(),
        }
    }

    /// Returns the persistence of this index, or `None` for an index in memory only.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld::backend::MemoryBackend;
    /// # use cim_ipld::{ContentIndex, IndexPersistence};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// # let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// # let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    /// assert!(index.persistence().is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn persistence(&self) -> Option<&Arc<IndexPersistence>> {
        match &self.store {
            Store::Memory(_) => None,
            Store::Durable(persistence) => Some(persistence),
        }
    }

    /// Indexes a document with the full text `content`. When this returns, the document is
    /// searchable and, with persistence, durable.
    ///
    /// ```
    /// # use cim_ipld::{ContentIndex, DocumentMetadata, SearchQuery, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// let index = ContentIndex::new();
    /// let metadata = DocumentMetadata { title: Some("Tides".into()), ..DocumentMetadata::default() };
    /// index.index_document(content_cid(b"1"), &metadata, Some("ebb and flow")).await?;
    /// assert_eq!(index.search(&SearchQuery::text("flow")).await?[0].metadata.title.as_deref(), Some("Tides"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`InvalidInput`](crate::ErrorKind::InvalidInput) if the document exceeds the limits of the
    ///   index.
    /// * With persistence, [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if the store
    ///   stopped answering, and the other errors of
    ///   [`Engine::index`](crate::persistence::Engine::index).
    pub async fn index_document(&self, cid: Cid, metadata: &DocumentMetadata, content: Option<&str>) -> Result<()> {
        self.index_all(&[metadata.to_document(cid, content)?]).await
    }

    /// Indexes an image of the media type `content_type`, such as `image/png`.
    ///
    /// ```
    /// # use cim_ipld::{ContentIndex, ImageMetadata, SearchQuery, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// let index = ContentIndex::new();
    /// index.index_image(content_cid(b"pixels"), &ImageMetadata::default(), "image/png").await?;
    /// assert_eq!(index.search(&SearchQuery::everything().content_type("image/*")).await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`index_document`](Self::index_document).
    pub async fn index_image(&self, cid: Cid, metadata: &ImageMetadata, content_type: &str) -> Result<()> {
        self.index_all(&[metadata.to_document(cid, content_type)]).await
    }

    /// Indexes an audio recording of the media type `content_type`, such as `audio/flac`.
    ///
    /// ```
    /// # use cim_ipld::{AudioMetadata, ContentIndex, SearchQuery, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// let index = ContentIndex::new();
    /// let metadata = AudioMetadata { artist: Some("Ella".into()), ..AudioMetadata::default() };
    /// index.index_audio(content_cid(b"samples"), &metadata, "audio/flac").await?;
    /// assert_eq!(index.search(&SearchQuery::text("ella")).await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`index_document`](Self::index_document).
    pub async fn index_audio(&self, cid: Cid, metadata: &AudioMetadata, content_type: &str) -> Result<()> {
        self.index_all(&[metadata.to_document(cid, content_type)?]).await
    }

    /// Indexes a video of the media type `content_type`, such as `video/webm`.
    ///
    /// ```
    /// # use cim_ipld::{ContentIndex, VideoMetadata, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// let index = ContentIndex::new();
    /// let metadata = VideoMetadata { duration_ms: Some(90_000), ..VideoMetadata::default() };
    /// index.index_video(content_cid(b"frames"), &metadata, "video/webm").await?;
    /// assert_eq!(index.stats().await?.total_video, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`index_document`](Self::index_document).
    pub async fn index_video(&self, cid: Cid, metadata: &VideoMetadata, content_type: &str) -> Result<()> {
        self.index_all(&[metadata.to_document(cid, content_type)?]).await
    }

    /// Indexes many entries of any kind. With persistence, they become durable and searchable
    /// together, or none of them does.
    ///
    /// ```
    /// # use cim_ipld::{ContentIndex, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// use cim_ipld::index::Document;
    ///
    /// let index = ContentIndex::new();
    /// let tides = Document::new(content_cid(b"1")).with_text("ebb and flow");
    /// let moon = Document::new(content_cid(b"2")).with_text("waxing and waning");
    /// index.index_all(&[tides, moon]).await?;
    /// assert_eq!(index.stats().await?.total_documents, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`index_document`](Self::index_document). In memory, the entries before a
    /// refused one remain indexed.
    pub async fn index_all(&self, documents: &[Document]) -> Result<()> {
        match &self.store {
            Store::Memory(index) => Ok(documents.iter().try_for_each(|document| index.insert(document).map(drop))?),
            Store::Durable(persistence) => persistence.engine().index(documents).await.map(drop),
        }
    }

    /// Removes the entry of `cid`, if there is one.
    ///
    /// ```
    /// # use cim_ipld::{ContentIndex, DocumentMetadata, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// let index = ContentIndex::new();
    /// let cid = content_cid(b"1");
    /// index.index_document(cid, &DocumentMetadata::default(), Some("ebb and flow")).await?;
    /// index.remove(&cid).await?;
    /// assert_eq!(index.document(&cid).await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`index_document`](Self::index_document).
    pub async fn remove(&self, cid: &Cid) -> Result<()> {
        match &self.store {
            Store::Memory(index) => Ok(index.delete(cid).map(drop)?),
            Store::Durable(persistence) => persistence.engine().delete(std::slice::from_ref(cid)).await.map(drop),
        }
    }

    /// Searches the index, and returns the first results, by descending score unless
    /// [`SearchQuery::sort`] specifies otherwise. Ties are broken by the bytes of the CID.
    ///
    /// ```
    /// # use cim_ipld::{ContentIndex, DocumentMetadata, SearchQuery, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// let index = ContentIndex::new();
    /// let metadata = DocumentMetadata { tags: vec!["sea".into()], ..DocumentMetadata::default() };
    /// index.index_document(content_cid(b"1"), &metadata, Some("A quiet harbour at dawn")).await?;
    /// let results = index.search(&SearchQuery::text("harbour").tag("sea")).await?;
    /// assert_eq!(results[0].snippet.as_deref(), Some("A quiet harbour at dawn"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`InvalidInput`](crate::ErrorKind::InvalidInput) if the query is invalid or exceeds the
    ///   limits of the index.
    /// * With persistence, the other errors of
    ///   [`Engine::search`](crate::persistence::Engine::search).
    pub async fn search(&self, query: &SearchQuery) -> Result<Vec<SearchResult>> {
        Ok(self.search_page(query).await?.results)
    }

    /// Searches the index, and returns the results together with the number of all matches, the
    /// requested facet counts and the start of the next page.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// use cim_ipld::index::{Facet, NumberField, Sort};
    /// use cim_ipld::{ContentIndex, DocumentMetadata, SearchQuery, content_cid};
    ///
    /// let index = ContentIndex::new();
    /// for text in ["a harbour", "a quiet harbour", "the harbour wall"] {
    ///     let metadata = DocumentMetadata { tags: vec!["sea".into()], ..DocumentMetadata::default() };
    ///     index.index_document(content_cid(text.as_bytes()), &metadata, Some(text)).await?;
    /// }
    ///
    /// let query = SearchQuery::text("harbour").facet(Facet::tags()).sort(Sort::descending(NumberField::CreatedAt)).limit(2);
    /// let first = index.search_page(&query).await?;
    /// assert_eq!((first.total, first.facets[0].counts[0].1), (3, 3));
    /// let next = first.next.expect("a full page");
    /// assert_eq!(index.search_page(&query.after(next)).await?.results.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`search`](Self::search).
    pub async fn search_page(&self, query: &SearchQuery) -> Result<SearchPage> {
        Ok(query.page(self.find(&query.to_query()?, &query.to_options()).await?))
    }

    /// Searches with a query of the index core, and returns the first hits and the number of
    /// matches, which is exact unless [`SearchOptions::total`] specifies otherwise.
    ///
    /// ```
    /// # use cim_ipld::{ContentIndex, DocumentMetadata, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// use cim_ipld::index::{Query, SearchOptions};
    ///
    /// let index = ContentIndex::new();
    /// index.index_document(content_cid(b"1"), &DocumentMetadata::default(), Some("ebb and flow")).await?;
    /// let results = index.find(&Query::everything(), &SearchOptions::default().limit(0)).await?;
    /// assert_eq!((results.total, results.hits.len()), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`search`](Self::search).
    pub async fn find(&self, query: &Query, options: &SearchOptions) -> Result<SearchResults> {
        match &self.store {
            Store::Memory(index) => Ok(index.search(query, options)?),
            Store::Durable(persistence) => persistence.engine().search(query, options).await,
        }
    }

    /// Returns the entry of `cid` as it was indexed. It can be converted to the metadata types.
    ///
    /// ```
    /// # use cim_ipld::{ContentIndex, DocumentMetadata, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// let index = ContentIndex::new();
    /// let (cid, metadata) = (content_cid(b"1"), DocumentMetadata { size: Some(12), ..DocumentMetadata::default() });
    /// index.index_document(cid, &metadata, Some("ebb and flow")).await?;
    /// let document = index.document(&cid).await?.expect("it was indexed");
    /// assert_eq!(DocumentMetadata::from(&document), metadata);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`search`](Self::search).
    pub async fn document(&self, cid: &Cid) -> Result<Option<Document>> {
        match &self.store {
            Store::Memory(index) => Ok(index.document(cid)?),
            Store::Durable(persistence) => {
                let found = persistence.engine().documents(std::slice::from_ref(cid)).await?;
                Ok(found.into_iter().next().flatten())
            }
        }
    }

    /// Returns the counts of the index.
    ///
    /// ```
    /// # use cim_ipld::{ContentIndex, ImageMetadata, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// let index = ContentIndex::new();
    /// index.index_image(content_cid(b"pixels"), &ImageMetadata::default(), "image/png").await?;
    /// assert_eq!(index.stats().await?.total_images, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`search`](Self::search).
    pub async fn stats(&self) -> Result<IndexStats> {
        Ok(IndexStats::from(&self.counts().await?))
    }

    async fn counts(&self) -> Result<IndexCounts> {
        match &self.store {
            Store::Memory(index) => Ok(index.counts()?),
            Store::Durable(persistence) => Ok(persistence.engine().stats().await?.index),
        }
    }
}

impl Default for ContentIndex {
    fn default() -> Self {
        Self::new()
    }
}
