//! Maintenance on request: fold, merge, verify, and restoring the catalog.

use super::Engine;
use crate::maintenance::garbage::{GarbageOptions, GarbageReport};
use crate::maintenance::verify::VerifyReport;
use crate::{Error, ErrorKind, Result};

impl Engine {
    /// Folds the journal into a segment, so that the next opening has nothing to replay. With
    /// [`Settings::background`](crate::Settings::background) the engine does this automatically.
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
    /// assert_eq!(engine.stats().await?.segments, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied),
    /// [`Full`](ErrorKind::Full) or [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) as reported by
    /// the store. The journal is left unchanged.
    pub async fn fold(&self) -> Result<()> {
        self.shared.check()?;
        self.maintenance.fold().await.map(drop)
    }

    /// Merges segments of similar size once there are at least eight of them (a full size class),
    /// and rewrites segments whose documents are mostly deleted, dropping the deleted documents.
    /// Segments of any size are read and written as streams. A merge holds a few bytes per
    /// document, and combines as many segments of a class as fit into its share of the memory
    /// budget and into one segment.
    ///
    /// With [`Settings::background`](crate::Settings::background) the engine does this
    /// automatically, beside writes. Writes wait for a merge only if a class has 32 segments that
    /// no merge of this engine is reading.
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
    /// for number in 0..8_u8 {
    ///     engine.index(&[Document::new(content_cid(&[number])).with_text("ebb and flow")]).await?;
    ///     engine.fold().await?;
    /// }
    /// engine.merge().await?;
    /// assert_eq!(engine.stats().await?.segments, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied),
    /// [`Full`](ErrorKind::Full) or [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) as reported by
    /// the store, and [`Damaged`](ErrorKind::Damaged) or [`Lost`](ErrorKind::Lost) if a segment
    /// cannot be read. The index is left unchanged.
    pub async fn merge(&self) -> Result<()> {
        self.shared.check()?;
        self.maintenance.merge().await
    }

    /// Reads every object of the index from the store, bypassing the cache, and checks it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// let report = engine.verify().await?;
    /// assert!(report.is_sound(), "{:?}", report.problems);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Problems of the index are listed in the report. The errors are those that prevent the check:
    /// [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied) and
    /// [`KeyRotated`](ErrorKind::KeyRotated).
    pub async fn verify(&self) -> Result<VerifyReport> {
        self.maintenance.verify().await
    }

    /// Removes the objects that crashes left behind: those that neither the manifest nor a snapshot
    /// nor the journal names, and that were stored before the grace period.
    ///
    /// Other processes may use the index meanwhile. Before anything is removed, a manifest is
    /// published that supersedes those in preparation, so no manifest can name a removed object.
    ///
    /// The first collection of an index removes nothing, since the store has no clock: it marks
    /// what is there, and a collection after the grace period removes it. A grace period of zero
    /// removes everything unnamed at once.
    ///
    /// `progress` is called after each group of removed objects.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, Protection};
    /// use std::time::Duration;
    ///
    /// use cim_ipld_persistence::GarbageOptions;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// let mut options = GarbageOptions::default();
    /// options.grace_period = Duration::ZERO;
    /// let report = engine.collect_garbage(&options, |_| {}).await?;
    /// assert_eq!(report.removed.objects, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged) or [`Lost`](ErrorKind::Lost) if an object that names others
    /// cannot be read, in which case nothing is removed;
    /// [`Conflict`](ErrorKind::Conflict) if another process is collecting; and
    /// [`Unavailable`](ErrorKind::Unavailable) or [`Denied`](ErrorKind::Denied) as reported by the
    /// store.
    pub async fn collect_garbage(
        &self,
        options: &GarbageOptions,
        progress: impl Fn(&GarbageReport) + Send + Sync,
    ) -> Result<GarbageReport> {
        self.shared.check()?;
        self.maintenance.collect_garbage(options, &progress).await
    }

    /// Restores the catalog of an index whose store lost it while this engine was running: the
    /// root, the manifest and, by a fold, every write that this engine had applied. Until then
    /// every write and search of this engine fails with [`Lost`](ErrorKind::Lost).
    ///
    /// Pages that were lost as well are not restored; [`verify`](Engine::verify) lists them.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::{Backend, Bucket, Key, KeyPrefix, MemoryBackend, Revision};
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, ErrorKind, Protection, content_cid};
    /// # use futures::TryStreamExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let backend = Arc::new(MemoryBackend::new());
    /// let engine = Engine::builder(backend.clone()).create(Protection::Plaintext).await?;
    /// engine.index(&[Document::new(content_cid(b"1"))]).await?;
    ///
    /// // Someone empties the catalog.
    /// let catalog = Bucket::log("catalog_v1")?;
    /// let entries = backend.scan(&catalog, &KeyPrefix::all(), Revision::ZERO);
    /// let keys: Vec<Key> = entries.map_ok(|entry| entry.key).try_collect().await?;
    /// backend.delete(&catalog, &keys).await?;
    /// let error = engine.index(&[Document::new(content_cid(b"2"))]).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Lost);
    ///
    /// engine.put_back().await?;
    /// let reopened = Engine::builder(backend).open(None).await?;
    /// assert_eq!(reopened.stats().await?.index.documents, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`IndexExists`](ErrorKind::IndexExists) if the store now holds another index.
    /// * [`InvalidInput`](ErrorKind::InvalidInput) if the catalog of this engine is not lost.
    /// * [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied) or
    ///   [`Full`](ErrorKind::Full) as reported by the store.
    pub async fn put_back(&self) -> Result<()> {
        match self.shared.check() {
            Err(error) if error.kind() == ErrorKind::Lost => self.maintenance.put_back().await,
            Err(error) => Err(error),
            Ok(()) => {
                Err(Error::new(ErrorKind::InvalidInput, "the store holds this index: there is nothing to put back"))
            }
        }
    }
}
