//! Reading an index: searches, documents, pages in memory.

use std::sync::Arc;

use cid::Cid;
use cim_ipld_envelope::{EncryptionAlgorithm, Keyset};
use cim_ipld_index::{Analyzer, Document, PageSource, Progress, Query, SearchOptions, SearchResults};
use futures::stream::{self, StreamExt};

use super::Engine;
use crate::history::state::View;
use crate::objects::segments::SegmentHandle;
use crate::{Error, ErrorKind, Result};

/// The result of loading an index into memory with [`Engine::load`].
///
/// ```
/// # use std::sync::Arc;
/// # use cim_ipld_backend::MemoryBackend;
/// # use cim_ipld_persistence::{Engine, Protection};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
/// # let engine = builder.create(Protection::Plaintext).await?;
/// let report = engine.load().await?;
/// assert_eq!((report.documents, report.pages, report.bytes), (0, 0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// The number of live documents in the index.
    pub documents: u64,
    /// The number of pages fetched.
    pub pages: u64,
    /// The size of those pages in bytes, decrypted.
    pub bytes: u64,
}

impl Engine {
    /// Searches the index, and returns the best hits and the exact number of matches.
    ///
    /// A search that takes more than a moment runs on a blocking thread, and stops within a few
    /// milliseconds when the future is dropped.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::{Document, Query, SearchOptions};
    /// # use cim_ipld_persistence::{Engine, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// let cid = content_cid(b"1");
    /// engine.index(&[Document::new(cid).with_text("ebb and flow").with_tag("sea")]).await?;
    ///
    /// let query = Query::parse("flow tag:sea")?;
    /// let results = engine.search(&query, &SearchOptions::default().limit(10)).await?;
    /// assert_eq!((results.total, results.hits[0].cid), (1, cid));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`InvalidInput`](crate::ErrorKind::InvalidInput) if the query is invalid or too large for
    ///   the index core; [`QueryTooExpensive`](crate::ErrorKind::QueryTooExpensive) if it exceeds
    ///   [`SearchOptions::limits`](cim_ipld_index::SearchOptions::limits).
    /// * [`Damaged`](crate::ErrorKind::Damaged) or [`Lost`](crate::ErrorKind::Lost) if a page that
    ///   the search needs cannot be decrypted or is missing.
    /// * [`KeyRotated`](crate::ErrorKind::KeyRotated) if another process changed the key.
    /// * [`Unavailable`](crate::ErrorKind::Unavailable) if the store does not answer.
    pub async fn search(&self, query: &Query, options: &SearchOptions) -> Result<SearchResults> {
        let Some(deadline) = options.limits.deadline else { return self.find(query, options).await };
        tokio::time::timeout(deadline, self.find(query, options)).await.unwrap_or_else(|_| {
            let message = format!("the search needs more than the limit of {deadline:?} (deadline)");
            Err(Error::new(ErrorKind::QueryTooExpensive, message))
        })
    }

    /// Returns the documents of these CIDs as they were indexed, with `None` for each CID that is
    /// not in the index.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// let (tides, other) = (content_cid(b"1"), content_cid(b"2"));
    /// engine.index(&[Document::new(tides).with_title("Tides")]).await?;
    ///
    /// let documents = engine.documents(&[tides, other]).await?;
    /// assert_eq!(documents[0].as_ref().and_then(|document| document.title.as_deref()), Some("Tides"));
    /// assert_eq!(documents[1], None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`search`](Engine::search).
    pub async fn documents(&self, cids: &[Cid]) -> Result<Vec<Option<Document>>> {
        self.read(|view, pages| view.read_view.documents(cids, pages)).await
    }

    /// Returns the analyzer of texts and queries, which is fixed when the index is created.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Analyzer;
    /// # use cim_ipld_persistence::{Engine, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// assert_eq!(engine.analyzer().spec(), Analyzer::default().spec());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn analyzer(&self) -> &Analyzer {
        &self.shared.analyzer
    }

    /// Returns the algorithm that encrypts new objects, or `None` for a plaintext index.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, KeySource};
    /// # use cim_ipld_persistence::{Engine, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let key = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM);
    /// # let engine = builder.create(Protection::of(Some(key.into()), None)?).await?;
    /// assert_eq!(engine.algorithm(), Some(EncryptionAlgorithm::AES256GCM));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn algorithm(&self) -> Option<EncryptionAlgorithm> {
        self.shared.objects.root().envelope.keyset().map(Keyset::algorithm)
    }

    /// Fetches all pages into the cache, as far as its budget allows, so that later searches need
    /// not wait for the store.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// engine.index(&[Document::new(content_cid(b"1")).with_text("ebb and flow")]).await?;
    /// engine.fold().await?;
    /// let report = engine.load().await?;
    /// assert_eq!(report.documents, 1);
    /// assert!(report.pages > 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`search`](Engine::search).
    pub async fn load(&self) -> Result<LoadReport> {
        loop {
            self.shared.check()?;
            let view = self.shared.view();
            match self.load_view(&view).await {
                Err(error) => self.shared.wait_for_newer_manifest(view.manifest.generation(), error).await?,
                loaded => return loaded,
            }
        }
    }

    async fn load_view(&self, view: &View) -> Result<LoadReport> {
        let mut report = LoadReport { documents: view.read_view.document_count(), ..LoadReport::default() };
        let handles: Vec<&SegmentHandle> = view.segments.values().map(|handle| &**handle).collect();
        let keys = handles.iter().flat_map(|handle| handle.pages().map(|page| Ok((handle.id(), page?))));
        let (objects, cache) = (&self.shared.objects, &self.shared.cache);
        let mut pages = stream::iter(keys)
            .map(|key: Result<_>| async move { cache.fetch(objects, &view.segments, key?).await })
            .buffer_unordered(objects.parallel_transfers);
        while let Some(page) = pages.next().await {
            report.pages += 1;
            report.bytes += page?.len() as u64;
        }
        Ok(report)
    }

    async fn read<T>(
        &self,
        computation: impl Fn(&View, &dyn PageSource) -> cim_ipld_index::Result<Progress<T>>,
    ) -> Result<T> {
        Ok(self.read_with_view(computation).await?.1)
    }

    /// Runs a computation of the index core on the published view, and returns its result with that
    /// view. If a page is missing because a newer manifest has replaced it, the computation is
    /// repeated on the newer view. A page that the current manifest names but the store does not
    /// hold is an error.
    pub(super) async fn read_with_view<T>(
        &self,
        computation: impl Fn(&View, &dyn PageSource) -> cim_ipld_index::Result<Progress<T>>,
    ) -> Result<(Arc<View>, T)> {
        loop {
            self.shared.check()?;
            let view = self.shared.view();
            let (objects, cache) = (&self.shared.objects, &self.shared.cache);
            match cache.resolve(objects, &view.segments, |pages| computation(&view, pages)).await {
                Err(error) => self.shared.wait_for_newer_manifest(view.manifest.generation(), error).await?,
                Ok(result) => return Ok((view, result)),
            }
        }
    }
}
