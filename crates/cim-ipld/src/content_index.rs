use std::sync::Arc;

use cid::Cid;
use cim_ipld_persistence::index::{Analyzer, Document, IndexCounts, MemoryIndex, Query, SearchOptions, SearchResults};
use cim_ipld_persistence::{
    AudioMetadata, DocumentMetadata, Engine, Error, ErrorKind, ImageMetadata, LoadReport, Result, SnapshotInfo,
    VerifyReport, VideoMetadata,
};

use crate::{IndexPersistence, IndexStats, SearchPage, SearchQuery, SearchResult};

/// A searchable index over content: documents, images, audio and video, each under its CID.
///
/// An index has one entry per CID: indexing a CID again replaces what was known of it. Clones are
/// the same index.
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
    /// Makes an empty index that is kept in memory only.
    #[must_use]
    pub fn new() -> Self {
        Self { store: Store::Memory(MemoryIndex::new()) }
    }

    /// Makes an empty index that is kept in memory only, and cuts texts and queries by `analyzer`.
    #[must_use]
    pub fn with_analyzer(analyzer: Analyzer) -> Self {
        Self { store: Store::Memory(MemoryIndex::with_analyzer(analyzer)) }
    }

    /// Makes the index of what `persistence` keeps: searchable at once, and durable with every call
    /// that returns.
    #[must_use]
    pub fn with_persistence(persistence: Arc<IndexPersistence>) -> Self {
        Self { store: Store::Durable(persistence) }
    }

    /// Returns what cuts texts and queries into words.
    #[must_use]
    pub fn analyzer(&self) -> Analyzer {
        match &self.store {
            Store::Memory(index) => index.analyzer(),
            Store::Durable(persistence) => persistence.engine().analyzer().clone(),
        }
    }

    /// Returns the durable half, or `None` for an index in memory only.
    #[must_use]
    pub fn persistence(&self) -> Option<&Arc<IndexPersistence>> {
        match &self.store {
            Store::Memory(_) => None,
            Store::Durable(persistence) => Some(persistence),
        }
    }

    /// Indexes a document, whose words are `content`. Returns once it is searchable and, with
    /// persistence, durable.
    ///
    /// # Errors
    /// `InvalidInput` when the document is over the limits of the index; with persistence also
    /// `OutcomeUnknown` when the store fell silent, and what the store answers (`Unavailable`,
    /// `Denied`, `Full`, …).
    pub async fn index_document(&self, cid: Cid, metadata: &DocumentMetadata, content: Option<&str>) -> Result<()> {
        self.index_all(&[metadata.to_document(cid, content)?]).await
    }

    /// Indexes an image of the media type `content_type`, such as `image/png`.
    ///
    /// # Errors
    /// As for [`index_document`](Self::index_document).
    pub async fn index_image(&self, cid: Cid, metadata: &ImageMetadata, content_type: &str) -> Result<()> {
        self.index_all(&[metadata.to_document(cid, content_type)]).await
    }

    /// Indexes a sound recording of the media type `content_type`, such as `audio/flac`.
    ///
    /// # Errors
    /// As for [`index_document`](Self::index_document).
    pub async fn index_audio(&self, cid: Cid, metadata: &AudioMetadata, content_type: &str) -> Result<()> {
        self.index_all(&[metadata.to_document(cid, content_type)?]).await
    }

    /// Indexes moving pictures of the media type `content_type`, such as `video/webm`.
    ///
    /// # Errors
    /// As for [`index_document`](Self::index_document).
    pub async fn index_video(&self, cid: Cid, metadata: &VideoMetadata, content_type: &str) -> Result<()> {
        self.index_all(&[metadata.to_document(cid, content_type)?]).await
    }

    /// Indexes many entries of any kind. With persistence they become durable and searchable
    /// together or not at all.
    ///
    /// # Errors
    /// As for [`index_document`](Self::index_document). In memory, those before the one that is
    /// refused stay.
    pub async fn index_all(&self, documents: &[Document]) -> Result<()> {
        match &self.store {
            Store::Memory(index) => Ok(documents.iter().try_for_each(|document| index.insert(document).map(drop))?),
            Store::Durable(persistence) => persistence.engine().index(documents).await.map(drop),
        }
    }

    /// Removes the entry of `cid`, if there is one.
    ///
    /// # Errors
    /// As for [`index_document`](Self::index_document).
    pub async fn remove(&self, cid: &Cid) -> Result<()> {
        match &self.store {
            Store::Memory(index) => Ok(index.delete(cid).map(drop)?),
            Store::Durable(persistence) => persistence.engine().delete(std::slice::from_ref(cid)).await.map(drop),
        }
    }

    /// Searches, and returns the best results: score from high to low, equal scores by the bytes of
    /// the CID.
    ///
    /// # Errors
    /// `InvalidInput` when the query cannot be understood or reaches too deep; with persistence
    /// also `Damaged` and `Lost` when a stored page is, `KeyRotated`, `Unavailable`.
    pub async fn search(&self, query: &SearchQuery) -> Result<Vec<SearchResult>> {
        Ok(self.search_page(query).await?.results)
    }

    /// Searches, and returns the results with the number of all matches, what was counted over
    /// them, and where the next page starts.
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
    /// As for [`search`](Self::search).
    pub async fn search_page(&self, query: &SearchQuery) -> Result<SearchPage> {
        Ok(query.page(self.find(&query.to_query()?, &query.to_options()).await?))
    }

    /// Searches with a query of the index core, and returns the best hits with the exact number of
    /// all matches.
    ///
    /// # Errors
    /// As for [`search`](Self::search).
    pub async fn find(&self, query: &Query, options: &SearchOptions) -> Result<SearchResults> {
        match &self.store {
            Store::Memory(index) => Ok(index.search(query, options)?),
            Store::Durable(persistence) => persistence.engine().search(query, options).await,
        }
    }

    /// Returns the entry of `cid` as it was indexed; the metadata types read it by `From`.
    ///
    /// # Errors
    /// As for [`search`](Self::search).
    pub async fn document(&self, cid: &Cid) -> Result<Option<Document>> {
        match &self.store {
            Store::Memory(index) => Ok(index.document(cid)?),
            Store::Durable(persistence) => {
                let found = persistence.engine().documents(std::slice::from_ref(cid)).await?;
                Ok(found.into_iter().next().flatten())
            }
        }
    }

    /// Counts what the index holds.
    ///
    /// # Errors
    /// As for [`search`](Self::search).
    pub async fn stats(&self) -> Result<IndexStats> {
        Ok(IndexStats::from(&self.statistics().await?))
    }

    async fn statistics(&self) -> Result<IndexCounts> {
        match &self.store {
            Store::Memory(index) => Ok(index.counts()?),
            Store::Durable(persistence) => Ok(persistence.engine().stats().await?.index),
        }
    }

    /// Fetches the whole index into memory, as far as the cache's budget goes. An index answers
    /// right after it was opened without this; after it, searches do not wait for the store.
    ///
    /// # Errors
    /// As for [`search`](Self::search), and `InvalidInput` for an index in memory only.
    pub async fn load_from_persistence(&self) -> Result<LoadReport> {
        self.engine()?.load().await
    }

    /// Writes the journal into the index's own pages, so that the next opening has nothing to
    /// replay. What a call that returned has indexed is durable without this.
    ///
    /// # Errors
    /// What the store answers, and `InvalidInput` for an index in memory only.
    pub async fn persist(&self) -> Result<()> {
        self.engine()?.fold().await
    }

    /// Makes a named backup of everything indexed so far. Copies no data.
    ///
    /// # Errors
    /// `SnapshotExists`; `InvalidInput` for a name that is empty or over 256 bytes, and for an
    /// index in memory only; what the store answers.
    pub async fn backup(&self, name: &str) -> Result<SnapshotInfo> {
        self.engine()?.create_snapshot(name).await
    }

    /// Makes the index what it was when the backup was made, in every process that has it open.
    ///
    /// # Errors
    /// `SnapshotMissing`; `Conflict` when another process changed the index at the same moment;
    /// `InvalidInput` for an index in memory only; what the store answers.
    pub async fn restore_backup(&self, name: &str) -> Result<SnapshotInfo> {
        self.engine()?.restore_snapshot(name).await
    }

    /// Lists the backups, oldest first.
    ///
    /// # Errors
    /// `Damaged` when one cannot be read; `InvalidInput` for an index in memory only; what the
    /// store answers.
    pub async fn list_backups(&self) -> Result<Vec<SnapshotInfo>> {
        self.engine()?.snapshots().await
    }

    /// Deletes a backup, and the pages that nothing else names.
    ///
    /// # Errors
    /// `SnapshotMissing`; `InvalidInput` for an index in memory only; what the store answers.
    pub async fn delete_backup(&self, name: &str) -> Result<()> {
        self.engine()?.delete_snapshot(name).await
    }

    /// Reads and checks everything that the stored index consists of. What is wrong is in the
    /// report.
    ///
    /// # Errors
    /// Only what keeps it from checking: `Unavailable`, `Denied`, `KeyRotated`; `InvalidInput` for
    /// an index in memory only.
    pub async fn verify(&self) -> Result<VerifyReport> {
        self.engine()?.verify().await
    }

    fn engine(&self) -> Result<&Engine> {
        match self.persistence() {
            Some(persistence) => Ok(persistence.engine()),
            None => {
                Err(Error::new(ErrorKind::InvalidInput, "this index is kept in memory only: it has no persistence"))
            }
        }
    }
}

impl Default for ContentIndex {
    fn default() -> Self {
        Self::new()
    }
}
