//! The engine's front: write to an index, search it.

mod creation;
mod first_look;
mod keys;
mod opening;
mod protection;
mod snapshots;
mod start;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cid::Cid;
use cim_ipld_backend::ErrorKind as StoreErrorKind;
use cim_ipld_envelope::{EncryptionAlgorithm, Keyset};
use cim_ipld_index::{
    Analyzer, AnalyzerSpec, Document, IndexCounts, PageSource, Query, SearchOptions, SearchResults, codec, content_id,
};
use futures::stream::{self, StreamExt};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::format::record::Operation;
use crate::history::pin::Pin;
use crate::history::progress::IgnoredEntries;
use crate::history::shared::Shared;
use crate::history::state::View;
use crate::history::submit::Submit;
use crate::maintenance::Maintenance;
use crate::maintenance::verify::VerifyReport;
use crate::objects::segments::SegmentHandle;
use crate::position::Position;
use crate::{Error, ErrorKind, Result};

pub use opening::EngineBuilder;
pub use protection::Protection;

/// A searchable index whose every acknowledged write is durable. Clones are the same engine; the
/// last one dropped ends its tasks.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    maintenance: Arc<Maintenance>,
    submit: Submit,
    pin: Option<Arc<Pin>>,
    tasks: Arc<Mutex<Option<Tasks>>>,
    /// Filled when every bucket was found.
    complete: Arc<OnceCell<()>>,
}

/// Ends the engine's tasks when it is dropped.
struct Tasks {
    follower: JoinHandle<()>,
    writer: JoinHandle<()>,
    /// Folds and merges; keeps the pin.
    background: Vec<JoinHandle<()>>,
}

impl Tasks {
    /// Returns when nothing of the tasks is left.
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

/// What loading everything into memory brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Live documents of the index.
    pub documents: u64,
    /// Pages fetched.
    pub pages: u64,
    /// Their bytes, opened.
    pub bytes: u64,
}

/// Figures of an index.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// What the index core counts: documents, terms, tags, types.
    pub index: IndexCounts,
    /// Segments of the manifest.
    pub segments: usize,
    /// Bytes of their pages, before sealing.
    pub segment_bytes: u64,
    /// Bytes that the journal's documents and records take in memory until they are folded.
    pub memtable_bytes: usize,
    /// Bytes of opened pages in memory.
    pub cached_bytes: u64,
    /// The position in the order of all writes up to which everything is searchable here.
    pub applied: Position,
    /// Generation of the manifest.
    pub generation: u64,
    /// Whether objects are encrypted, and with what new ones are.
    pub algorithm: Option<EncryptionAlgorithm>,
    /// What cuts texts and queries into words.
    pub analyzer: AnalyzerSpec,
    /// Entries of the catalog that this process ignored.
    pub ignored: IgnoredEntries,
    /// Whether a rotation of the keys was cut off before the old ones were retired:
    /// [`finish_rotation`](Engine::finish_rotation) brings it to its end.
    pub rotation_unfinished: bool,
}

impl Engine {
    /// Adds `documents`, each replacing the one of its CID if there is one. All of them become
    /// durable and searchable together, before this returns; the position returned is their place
    /// in the order of all writes.
    ///
    /// A write is acknowledged when this process has read it back at that place: the store's word
    /// alone is not enough.
    ///
    /// # Errors
    /// `InvalidInput` when a document is over the index core's limits (none is written),
    /// `OutcomeUnknown` when the store fell silent (all of them or none will be there), `Lost` or
    /// `Forked` when it no longer has this index or shows another history of it, and what the store
    /// answers.
    pub async fn index(&self, documents: &[Document]) -> Result<Position> {
        let operations = documents
            .iter()
            .map(|document| Ok(Operation::Put(codec::encode(document)?.into())))
            .collect::<Result<_>>()?;
        self.write(operations).await
    }

    /// Removes the documents of these CIDs; those that are not there are passed over.
    ///
    /// # Errors
    /// As for [`index`](Engine::index).
    pub async fn delete(&self, cids: &[Cid]) -> Result<Position> {
        self.write(cids.iter().map(|cid| Operation::Delete(content_id::canonical(*cid).to_bytes().into())).collect())
            .await
    }

    async fn write(&self, operations: Vec<Operation>) -> Result<Position> {
        self.shared.check()?;
        if operations.is_empty() {
            return Ok(self.applied());
        }
        self.complete.get_or_try_init(|| self.find_buckets()).await?;
        self.submit.operations(operations).await
    }

    /// Looks for every bucket before the first write: what is acknowledged must find its place when
    /// it is folded.
    async fn find_buckets(&self) -> Result<()> {
        let objects = &self.shared.objects;
        let looks = objects.layout.buckets().map(|bucket| async move {
            objects.backend.check_bucket(bucket).await.map_err(|error| match error.kind() {
                StoreErrorKind::BucketMissing => {
                    let message =
                        format!("bucket {bucket} of the index is gone from the store, and nothing is written");
                    Error::new(ErrorKind::Lost, message).with_source(error)
                }
                _ => error.into(),
            })
        });
        futures::future::try_join_all(looks).await.map(drop)
    }

    fn applied(&self) -> Position {
        Position::new(self.shared.progress.read(|progress| progress.seen.position))
    }

    /// Waits until everything up to `position` is searchable here: how a reader sees what another
    /// process wrote.
    ///
    /// # Errors
    /// What stopped this engine from following.
    pub async fn wait_for(&self, position: Position) -> Result<()> {
        self.shared.progress.wait_until(|progress| progress.seen.position >= position.number()).await
    }

    /// Finds documents.
    ///
    /// # Errors
    /// `InvalidInput` for a query that asks too much, `Damaged` and `Lost` when a page it needs is,
    /// `KeyRotated`, `Unavailable`.
    pub async fn search(&self, query: &Query, options: &SearchOptions) -> Result<SearchResults> {
        self.read(|view, pages| view.snapshot.search(query, options, pages)).await
    }

    /// Returns the documents of these CIDs as they were indexed, `None` for each that is not there.
    ///
    /// # Errors
    /// As for [`search`](Engine::search).
    pub async fn documents(&self, cids: &[Cid]) -> Result<Vec<Option<Document>>> {
        self.read(|view, pages| view.snapshot.documents(cids, pages)).await
    }

    /// Returns figures of the index.
    ///
    /// # Errors
    /// As for [`search`](Engine::search).
    pub async fn stats(&self) -> Result<Stats> {
        let index = self.read(|view, pages| view.snapshot.counts(pages)).await?;
        let (view, progress) = (self.shared.view(), self.shared.progress.get());
        let segments = &view.manifest.manifest.segments;
        Ok(Stats {
            index,
            segments: segments.len(),
            segment_bytes: segments.iter().map(|segment| segment.bytes).sum(),
            memtable_bytes: progress.memtable_bytes + progress.frozen_bytes,
            cached_bytes: self.shared.cache.resident_bytes(),
            applied: Position::new(view.position),
            generation: view.manifest.generation(),
            algorithm: self.algorithm(),
            analyzer: self.analyzer().spec(),
            ignored: progress.ignored,
            rotation_unfinished: self.shared.is_rotation_unfinished(&view.manifest),
        })
    }

    /// Returns what cuts texts and queries into words: chosen when the index was made.
    #[must_use]
    pub fn analyzer(&self) -> &Analyzer {
        &self.shared.analyzer
    }

    /// Returns what new objects are encrypted with, or `None` for a plaintext index.
    #[must_use]
    pub fn algorithm(&self) -> Option<EncryptionAlgorithm> {
        self.shared.objects.root().envelope.keyset().map(Keyset::algorithm)
    }

    /// Fetches every page into the cache, as far as its budget goes, so that the searches to come
    /// wait for none.
    ///
    /// # Errors
    /// As for [`search`](Engine::search).
    pub async fn load(&self) -> Result<LoadReport> {
        loop {
            self.shared.check()?;
            let view = self.shared.view();
            match self.load_view(&view).await {
                Err(error) => self.shared.move_on(view.manifest.generation(), error).await?,
                loaded => return loaded,
            }
        }
    }

    async fn load_view(&self, view: &View) -> Result<LoadReport> {
        let mut report = LoadReport { documents: view.snapshot.document_count(), ..LoadReport::default() };
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

    /// Folds the journal into a segment now, so that the next opening has nothing to replay.
    ///
    /// # Errors
    /// What the store answers; the journal is untouched then.
    pub async fn fold(&self) -> Result<()> {
        self.shared.check()?;
        self.maintenance.fold().await.map(drop)
    }

    /// Merges segments now where too many of one size have piled up, and drops what was deleted in
    /// them.
    ///
    /// # Errors
    /// What the store answers; the index is untouched then.
    pub async fn merge(&self) -> Result<()> {
        self.shared.check()?;
        self.maintenance.merge().await
    }

    /// Reads and checks everything that the index consists of, from the store and not from the
    /// cache.
    ///
    /// # Errors
    /// Only what keeps it from checking: `Unavailable`, `Denied`, `KeyRotated`. What is wrong with
    /// the index is in the report.
    pub async fn verify(&self) -> Result<VerifyReport> {
        self.maintenance.verify().await
    }

    /// Puts the index back into a store that lost its catalog under this process: root, manifest,
    /// and in a fold everything that this process had applied. Until then a process whose store was
    /// emptied or made anew answers `Lost`.
    ///
    /// Pages that went too are not brought back: [`verify`](Engine::verify) names them.
    ///
    /// # Errors
    /// `IndexExists` when there is another index in the store now, `InvalidInput` when this engine
    /// has not lost its store, and what the store answers.
    pub async fn put_back(&self) -> Result<()> {
        match self.shared.check() {
            Err(error) if error.kind() == ErrorKind::Lost => self.maintenance.put_back().await,
            Err(error) => Err(error),
            Ok(()) => {
                Err(Error::new(ErrorKind::InvalidInput, "the store has this index: there is nothing to put back"))
            }
        }
    }

    /// Ends this engine in order: what was written or is being folded is brought to its end, a fold
    /// that is this engine's to do is done, then its tasks are gone, and if nobody else has the
    /// store, it is closed: one that a single process may open can be opened again after it. Clones
    /// answer `Closed` from then on, and hold the store until they are dropped.
    ///
    /// Dropping the last clone without this ends the engine too, but some time later, and cuts off
    /// what is under way; what was acknowledged is durable all the same.
    pub async fn close(self) {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut tasks) = tasks {
            self.maintenance.settle_order().await;
            self.submit.close();
            // Whoever waits for the last record gets its answer before the writer ends.
            let _ = (&mut tasks.writer).await;
            self.maintenance.end().await;
            if let Some(pin) = &self.pin
                && self.shared.check().is_ok()
                && let Err(error) = pin.save(&self.shared).await
            {
                tracing::warn!(%error, "the pin does not hold the last state");
            }
            self.shared.progress.fail(Error::new(ErrorKind::Closed, "the engine was closed"));
            tasks.end().await;
        }
        if self.shared.objects.environment.is_single_threaded() {
            return;
        }
        // Off the runtime's own threads: closing a store may take as long as its disk does.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Runs a computation of the index core on what is published now. When a page has gone because
    /// the manifest moved on meanwhile, runs it again on what is published then; a page that the
    /// current manifest names and the store has not is an error.
    async fn read<T>(
        &self,
        computation: impl Fn(&View, &dyn PageSource) -> cim_ipld_index::Result<cim_ipld_index::Progress<T>>,
    ) -> Result<T> {
        loop {
            self.shared.check()?;
            let view = self.shared.view();
            let (objects, cache) = (&self.shared.objects, &self.shared.cache);
            match cache.resolve(objects, &view.segments, |pages| computation(&view, pages)).await {
                Err(error) => self.shared.move_on(view.manifest.generation(), error).await?,
                result => return result,
            }
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("applied", &self.applied()).finish_non_exhaustive()
    }
}
