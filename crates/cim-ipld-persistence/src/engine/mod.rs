//! The engine: creating and opening an index, writing to it, searching it.

pub(crate) mod archives;
mod creation;
mod keys;
mod open_checks;
mod opening;
mod protection;
mod reading;
mod recovery;
mod searching;
mod snapshots;
mod start;
mod stats;
mod upkeep;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cid::Cid;
use cim_ipld_backend::ErrorKind as StoreErrorKind;
use cim_ipld_index::{Document, codec, content_id};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::format::record::Operation;
use crate::history::pin::Pin;
use crate::history::shared::Shared;
use crate::history::submit::Submit;
use crate::maintenance::Maintenance;
use crate::position::Position;
use crate::{Error, ErrorKind, Result};

pub use opening::EngineBuilder;
pub use protection::Protection;
pub use reading::LoadReport;
pub use recovery::{Recovery, SnapshotList};
pub use stats::EngineStats;

/// A searchable index in which every acknowledged write is durable.
///
/// Clones share one engine. Dropping the last clone stops its tasks; [`close`](Self::close) also
/// waits for the work in progress.
///
/// ```
/// use std::sync::Arc;
///
/// use cim_ipld_backend::MemoryBackend;
/// use cim_ipld_index::{Document, Query, SearchOptions};
/// use cim_ipld_persistence::{Engine, Protection, content_cid};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = Engine::builder(Arc::new(MemoryBackend::new()));
/// let engine = builder.create(Protection::Plaintext).await?;
/// engine.index(&[Document::new(content_cid(b"1")).with_text("ebb and flow")]).await?;
///
/// let results = engine.search(&Query::parse("ebb")?, &SearchOptions::default()).await?;
/// assert_eq!(results.total, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    maintenance: Arc<Maintenance>,
    submit: Submit,
    pin: Option<Arc<Pin>>,
    tasks: Arc<Mutex<Option<Tasks>>>,
    /// Initialized once every bucket has been found to exist.
    buckets_checked: Arc<OnceCell<()>>,
}

/// The tasks of an engine, aborted on drop.
struct Tasks {
    follower: JoinHandle<()>,
    writer: JoinHandle<()>,
    /// Fold, merge and pin tasks.
    background: Vec<JoinHandle<()>>,
}

impl Tasks {
    /// Aborts the tasks and waits until they have ended.
    async fn end(mut self) {
        self.abort();
        let _ = (&mut self.follower).await;
        for task in &mut self.background {
            let _ = task.await;
        }
    }

    fn abort(&self) {
        self.follower.abort();
        self.writer.abort();
        for task in &self.background {
            task.abort();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Engine {
    /// Adds `documents`, replacing the document of each CID that is already indexed, and returns
    /// the position of the write in the order of all writes.
    ///
    /// The documents become durable and searchable together, before this returns. A write is
    /// acknowledged only after this process has read it back at its position: the
    /// acknowledgement of the store alone is not sufficient.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, Position, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// let tides = Document::new(content_cid(b"1")).with_text("ebb and flow");
    /// let moon = Document::new(content_cid(b"2")).with_text("waxing and waning");
    /// assert_eq!(engine.index(&[tides, moon]).await?, Position::new(1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`InvalidInput`](ErrorKind::InvalidInput) if a document exceeds the limits of the index
    ///   core. No document is written.
    /// * [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if the store stopped answering. Either all
    ///   documents are written or none.
    /// * [`Lost`](ErrorKind::Lost) if the store no longer holds this index, and
    ///   [`Forked`](ErrorKind::Forked) if it holds a different history of the index.
    /// * [`KeyRotated`](ErrorKind::KeyRotated) if another process changed the key.
    /// * [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied) or
    ///   [`Full`](ErrorKind::Full) as reported by the store.
    pub async fn index(&self, documents: &[Document]) -> Result<Position> {
        self.replace(&[], documents).await
    }

    /// Removes the documents of `deleted` and adds `documents`, in one atomic write: no process and
    /// no crash leaves one part of it without the other. A document whose CID is also in `deleted`
    /// is added.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, Position, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// let (draft, finished) = (content_cid(b"draft"), content_cid(b"final"));
    /// engine.index(&[Document::new(draft).with_text("ebb")]).await?;
    /// engine.replace(&[draft], &[Document::new(finished).with_text("ebb and flow")]).await?;
    ///
    /// let documents = engine.documents(&[draft, finished]).await?;
    /// assert!(documents[0].is_none() && documents[1].is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`index`](Engine::index).
    pub async fn replace(&self, deleted: &[Cid], documents: &[Document]) -> Result<Position> {
        let deletions = deleted.iter().map(|cid| Ok(Operation::Delete(content_id::canonical(*cid).to_bytes().into())));
        let additions = documents.iter().map(|document| Ok(Operation::Put(codec::encode(document)?.into())));
        self.write(deletions.chain(additions).collect::<Result<_>>()?).await
    }

    /// Removes the documents of these CIDs. CIDs that are not indexed are ignored.
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
    /// let cid = content_cid(b"1");
    /// engine.index(&[Document::new(cid).with_text("ebb and flow")]).await?;
    /// engine.delete(&[cid]).await?;
    /// assert_eq!(engine.documents(&[cid]).await?, [None]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`index`](Engine::index).
    pub async fn delete(&self, cids: &[Cid]) -> Result<Position> {
        self.replace(cids, &[]).await
    }

    async fn write(&self, operations: Vec<Operation>) -> Result<Position> {
        self.shared.check()?;
        if operations.is_empty() {
            return Ok(self.applied());
        }
        self.buckets_checked.get_or_try_init(|| self.check_buckets()).await?;
        self.submit.operations(operations).await
    }

    /// Checks before the first write that every bucket exists. Without this check, a write could be
    /// acknowledged even though there is no bucket in which a fold could store its pages.
    async fn check_buckets(&self) -> Result<()> {
        let objects = &self.shared.objects;
        let checks = objects.layout.buckets().map(|bucket| async move {
            objects.backend.check_bucket(bucket).await.map_err(|error| match error.kind() {
                StoreErrorKind::BucketMissing => {
                    let message =
                        format!("bucket {bucket} of the index is missing from the store: nothing was written");
                    Error::new(ErrorKind::Lost, message).with_source(error)
                }
                _ => error.into(),
            })
        });
        futures::future::try_join_all(checks).await.map(drop)
    }

    fn applied(&self) -> Position {
        Position::new(self.shared.progress.read(|progress| progress.seen.position))
    }

    /// Waits until every write up to `position` is searchable in this process. Use it to read what
    /// another process wrote.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let backend = Arc::new(MemoryBackend::new());
    /// let writer = Engine::builder(backend.clone()).create(Protection::Plaintext).await?;
    /// let reader = Engine::builder(backend).open(None).await?;
    ///
    /// let written = writer.index(&[Document::new(content_cid(b"1"))]).await?;
    /// reader.wait_for(written).await?;
    /// assert_eq!(reader.stats().await?.index.documents, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error that stopped this engine from following the catalog, such as
    /// [`KeyRotated`](ErrorKind::KeyRotated), [`Lost`](ErrorKind::Lost),
    /// [`Forked`](ErrorKind::Forked) or [`Closed`](ErrorKind::Closed).
    pub async fn wait_for(&self, position: Position) -> Result<()> {
        self.shared.progress.wait_until(|progress| progress.seen.position >= position.number()).await
    }

    /// Closes the engine: finishes the writes and the fold in progress, folds the journal if it is
    /// this engine's turn to do so, stores the pin, ends the tasks, and releases the store, which
    /// closes unless a clone of this engine or the application still holds it. A store that only
    /// one process may open can then be opened again.
    ///
    /// Later reads and writes on a clone fail with [`Closed`](ErrorKind::Closed); a clone keeps the
    /// store open until it is dropped.
    ///
    /// Dropping the last clone also ends the engine, but asynchronously, and it aborts the work in
    /// progress. Acknowledged writes are durable in either case.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, ErrorKind, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// let clone = engine.clone();
    /// engine.close().await;
    /// let error = clone.index(&[Document::new(content_cid(b"1"))]).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Closed);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(self) {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut tasks) = tasks {
            self.maintenance.fold_displaced().await;
            self.submit.close();
            // Callers waiting for the last record are answered before the writer ends.
            let _ = (&mut tasks.writer).await;
            self.maintenance.end().await;
            if let Some(pin) = &self.pin
                && self.shared.check().is_ok()
                && let Err(error) = pin.save(&self.shared).await
            {
                tracing::warn!(%error, "the last state of the index was not stored in the pin");
            }
            self.shared.progress.fail(Error::new(ErrorKind::Closed, "the engine was closed"));
            tasks.end().await;
        }
        if self.shared.objects.environment.is_single_threaded() {
            return;
        }
        // The engine is dropped on a blocking thread, because closing a store may wait for the
        // disk.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("applied", &self.applied()).finish_non_exhaustive()
    }
}
