//! The engine's front: write to an index, search it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cid::Cid;
use cim_ipld_backend::Revision;
use cim_ipld_envelope::{EncryptionAlgorithm, Keyset};
use cim_ipld_index::{Document, PageSource, Query, SearchOptions, SearchResults, Statistics, codec};
use futures::stream::{self, StreamExt};
use tokio::task::JoinHandle;

use crate::catalog;
use crate::fold::Folder;
use crate::format::record::Operation;
use crate::shared::Shared;
use crate::state::View;
use crate::writer::Submit;
use crate::{Error, ErrorKind, Result};

/// A searchable index whose every acknowledged write is durable. Clones are the same engine; the last one dropped ends
/// its tasks.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    pub(crate) folder: Arc<Folder>,
    pub(crate) submit: Submit,
    pub(crate) tasks: Arc<Mutex<Option<Tasks>>>,
}

/// Ends the engine's tasks when it is dropped.
pub(crate) struct Tasks {
    pub(crate) follower: JoinHandle<()>,
    pub(crate) writer: JoinHandle<Revision>,
    pub(crate) background: Option<JoinHandle<()>>,
}

impl Tasks {
    /// Returns when nothing of the tasks is left.
    async fn end(mut self) {
        self.abort();
        let _ = (&mut self.follower).await;
        if let Some(background) = &mut self.background {
            let _ = background.await;
        }
    }

    fn abort(&self) {
        self.follower.abort();
        self.writer.abort();
        if let Some(background) = &self.background {
            background.abort();
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
    pub index: Statistics,
    /// Segments of the manifest.
    pub segments: usize,
    /// Bytes of their pages, before sealing.
    pub segment_bytes: u64,
    /// Bytes that the journal's documents and records take in memory until they are folded.
    pub memtable_bytes: usize,
    /// Bytes of opened pages in memory.
    pub cached_bytes: u64,
    /// The catalog revision up to which everything is searchable here.
    pub applied: Revision,
    /// Generation of the manifest.
    pub generation: u64,
    /// Whether objects are encrypted, and with what new ones are.
    pub algorithm: Option<EncryptionAlgorithm>,
}

impl Engine {
    /// Adds `documents`, each replacing the one of its CID if there is one. All of them become durable and searchable
    /// together, before this returns; the revision returned is their place in the order of all writes.
    ///
    /// # Errors
    /// `InvalidInput` when a document is over the index core's limits (none is written), `OutcomeUnknown` when the store
    /// fell silent (all of them or none will be there), and what the store answers.
    pub async fn index(&self, documents: &[Document]) -> Result<Revision> {
        let operations =
            documents.iter().map(|document| Ok(Operation::Put(codec::encode(document)?))).collect::<Result<_>>()?;
        self.write(operations).await
    }

    /// Removes the documents of these CIDs; those that are not there are passed over.
    ///
    /// # Errors
    /// As for [`index`](Engine::index).
    pub async fn delete(&self, cids: &[Cid]) -> Result<Revision> {
        self.write(cids.iter().map(|cid| Operation::Delete(cid.to_bytes())).collect()).await
    }

    async fn write(&self, operations: Vec<Operation>) -> Result<Revision> {
        self.shared.check()?;
        if operations.is_empty() {
            return Ok(self.shared.progress().applied);
        }
        let revision = self.submit.operations(operations).await?;
        self.shared.wait_published(revision).await?;
        Ok(revision)
    }

    /// Waits until everything up to `revision` is searchable here: how a reader sees what another process wrote.
    ///
    /// # Errors
    /// What stopped this engine from following.
    pub async fn wait_for(&self, revision: Revision) -> Result<()> {
        self.shared.wait_applied(revision).await
    }

    /// Finds documents.
    ///
    /// # Errors
    /// `InvalidInput` for a query that asks too much, `Damaged` and `Lost` when a page it needs is, `KeyRotated`,
    /// `Unavailable`.
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
        let index = self.read(|view, pages| view.snapshot.statistics(pages)).await?;
        let (view, progress) = (self.shared.view(), self.shared.progress());
        let segments = &view.manifest.manifest.segments;
        Ok(Stats {
            index,
            segments: segments.len(),
            segment_bytes: segments.iter().map(|segment| segment.bytes).sum(),
            memtable_bytes: progress.memtable_bytes + progress.frozen_bytes,
            cached_bytes: self.shared.cache.resident_bytes(),
            applied: view.applied,
            generation: view.manifest.manifest.generation,
            algorithm: self.algorithm(),
        })
    }

    /// Returns what new objects are encrypted with, or `None` for a plaintext index.
    #[must_use]
    pub fn algorithm(&self) -> Option<EncryptionAlgorithm> {
        self.shared.objects.envelope().keyset().map(Keyset::algorithm)
    }

    /// Fetches every page into the cache, as far as its budget goes, so that the searches to come wait for none.
    ///
    /// # Errors
    /// As for [`search`](Engine::search).
    pub async fn load(&self) -> Result<LoadReport> {
        loop {
            self.shared.check()?;
            let view = self.shared.view();
            match self.load_view(&view).await {
                Err(error) => self.move_on(&view, error).await?,
                loaded => return loaded,
            }
        }
    }

    async fn load_view(&self, view: &View) -> Result<LoadReport> {
        let mut report = LoadReport { documents: view.snapshot.document_count(), ..LoadReport::default() };
        let mut keys = Vec::new();
        for handle in view.segments.values() {
            for page in handle.pages() {
                keys.push((handle.id(), page?));
            }
        }
        let (objects, cache) = (&self.shared.objects, &self.shared.cache);
        let mut pages = stream::iter(keys)
            .map(|key| cache.fetch(objects, &view.segments, key))
            .buffer_unordered(self.shared.settings.parallel_transfers.max(1));
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
        self.folder.fold().await
    }

    /// Merges segments now where too many of one size have piled up, and drops what was deleted in them.
    ///
    /// # Errors
    /// What the store answers; the index is untouched then.
    pub async fn merge(&self) -> Result<()> {
        self.shared.check()?;
        self.folder.merge().await
    }

    /// Ends this engine in order: what was written or is being folded is brought to its end, then its tasks are gone, and
    /// if nobody else has the store, it is closed: one that a single process may open can be opened again after it. Clones
    /// answer `Closed` from then on, and hold the store until they are dropped.
    ///
    /// Dropping the last clone without this ends the engine too, but some time later, and cuts off what is under way; what
    /// was acknowledged is durable all the same.
    pub async fn close(self) {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut tasks) = tasks {
            self.submit.close();
            if let Ok(last) = (&mut tasks.writer).await {
                // Whoever waits for the last record still gets its answer.
                let _ = self.shared.wait_published(last).await;
            }
            self.folder.end().await;
            self.shared.fail(Error::new(ErrorKind::Closed, "the engine was closed"));
            tasks.end().await;
        }
        // Off the runtime's own threads: closing a store may take as long as its disk does.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Runs a computation of the index core on what is published now. When a page has gone because the manifest moved on
    /// meanwhile, runs it again on what is published then; a page that the current manifest names and the store has not
    /// is an error.
    async fn read<T>(
        &self,
        computation: impl Fn(&View, &dyn PageSource) -> cim_ipld_index::Result<cim_ipld_index::Progress<T>>,
    ) -> Result<T> {
        loop {
            self.shared.check()?;
            let view = self.shared.view();
            let (objects, cache) = (&self.shared.objects, &self.shared.cache);
            match cache.resolve(objects, &view.segments, |pages| computation(&view, pages)).await {
                Err(error) => self.move_on(&view, error).await?,
                result => return result,
            }
        }
    }

    /// Waits for a newer view when `error` says that a page of this one is gone and the manifest has moved on; else it stays
    /// an error.
    async fn move_on(&self, view: &View, error: Error) -> Result<()> {
        if error.kind() != ErrorKind::Lost {
            return Err(error);
        }
        let newest = catalog::read_manifest(&self.shared.objects).await?;
        if newest.revision <= view.manifest.revision {
            return Err(error);
        }
        self.shared.wait_generation(newest.manifest.generation).await
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("applied", &self.shared.progress().applied).finish_non_exhaustive()
    }
}
