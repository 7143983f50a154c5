//! Turns the journal's head into a segment: pages first, then one compare-and-set of the manifest, then trimming.
//!
//! A crash between any two steps leaves garbage, never loss: nothing names the pages before the manifest does, and the
//! journal is trimmed only after it.

use std::sync::Arc;

use cim_ipld_backend::{Key, Revision};
use cim_ipld_envelope::SealOptions;
use cim_ipld_index::build_segment;
use futures::StreamExt;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, mpsc, oneshot};

use crate::catalog;
use crate::follower::{Command, Frozen};
use crate::format::manifest::{SegmentEntry, Watermark};
use crate::merge;
use crate::objects::Backoff;
use crate::publish::Publication;
use crate::segment_writer::{Stored, store_segment};
use crate::shared::{Progress, Shared};
use crate::state::Origin;
use crate::{Error, ErrorKind, Result, snapshots};

/// Tells the background task that there may be something to fold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trigger(Arc<Notify>);

impl Trigger {
    pub(crate) fn wake(&self) {
        self.0.notify_one();
    }
}

/// Folds and merges, one at a time.
pub(crate) struct Folder {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    /// One permit: folds and merges take turns. Closed when the engine is.
    turns: Semaphore,
}

impl Folder {
    pub(crate) fn new(shared: Arc<Shared>, commands: mpsc::Sender<Command>) -> Self {
        Self { shared, commands, turns: Semaphore::new(1) }
    }

    /// Folds whenever the memtable is over its budget, and merges what has piled up, until the engine is dropped.
    pub(crate) async fn run(self: Arc<Self>, trigger: Trigger) {
        let mut backoff = Backoff::new();
        loop {
            trigger.0.notified().await;
            loop {
                match self.work().await {
                    Ok(true) => backoff = Backoff::new(),
                    Ok(false) => break,
                    Err(error) if error.kind() == ErrorKind::Closed || self.shared.check().is_err() => return,
                    Err(error) => {
                        tracing::warn!(%error, "folding the journal failed; it will be tried again");
                        backoff.wait().await;
                    }
                }
            }
        }
    }

    /// Folds if that is due, then merges once if that is: writers who wait for a fold wait for one merge at most, and
    /// segments do not pile up however fast they write. Returns false when nothing was due.
    async fn work(&self) -> Result<bool> {
        let Progress { memtable_bytes, frozen_bytes, .. } = self.shared.progress();
        let budget = self.shared.settings.memtable_budget_bytes.max(1);
        let is_due = frozen_bytes > 0 || memtable_bytes >= budget;
        if is_due {
            self.fold().await?;
        }
        let _turn = self.turn().await?;
        Ok(merge::step(&self.shared).await? || is_due)
    }

    /// Waits for what is under way, and lets nothing follow it.
    pub(crate) async fn end(&self) {
        let _turn = self.turns.acquire().await;
        self.turns.close();
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        self.turns.acquire().await.map_err(|_| Error::new(ErrorKind::Closed, "the engine was closed"))
    }

    /// Folds until the manifest holds everything that was applied here when this was called, whatever the memtable's size.
    /// One fold may lose to another process's manifest, which need not hold as much.
    pub(crate) async fn fold(&self) -> Result<()> {
        let _turn = self.turn().await?;
        let target = self.shared.progress().last_record;
        while self.shared.view().manifest.watermark().number() < target {
            let Some(frozen) = self.freeze().await? else { return Ok(()) };
            Fold { shared: &self.shared, frozen: &frozen }.run().await?;
        }
        Ok(())
    }

    /// Merges segments until no size class has too many of them.
    pub(crate) async fn merge(&self) -> Result<()> {
        let _turn = self.turn().await?;
        while merge::step(&self.shared).await? {}
        Ok(())
    }

    async fn freeze(&self) -> Result<Option<Frozen>> {
        let closed =
            || self.shared.check().err().unwrap_or_else(|| Error::new(ErrorKind::Closed, "the engine was closed"));
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Freeze(reply)).await.map_err(|_| closed())?;
        let answered = tokio::time::timeout(self.shared.settings.write_timeout(), answer).await;
        answered
            .map_err(|_| Error::new(ErrorKind::Unavailable, "the store does not let the journal be read"))?
            .map_err(|_| closed())
    }
}

/// One fold under way.
struct Fold<'a> {
    shared: &'a Shared,
    frozen: &'a Frozen,
}

impl Fold<'_> {
    async fn run(self) -> Result<()> {
        let mut stored = Stored::default();
        let publication = self.prepare(&mut stored).await;
        let published = match publication {
            Ok(publication) => publication.publish(self.shared, stored).await?,
            Err(error) => {
                stored.discard(self.shared).await;
                return Err(error);
            }
        };
        if published {
            self.remove_superseded().await;
            self.trim().await?;
        }
        Ok(())
    }

    /// Stores the new segment and the new deletes of older ones.
    async fn prepare(&self, stored: &mut Stored) -> Result<Publication> {
        let input = Arc::clone(&self.frozen.input);
        let mut built = store_segment(self.shared, stored, {
            let input = Arc::clone(&input);
            move |sink| Ok(build_segment(&input.memtable, &input.memtable_deletes, sink)?)
        })
        .await?;
        let mut segments = self.frozen.manifest.manifest.segments.clone();
        for (entry, deletes) in segments.iter_mut().zip(&input.segment_deletes) {
            if let Some(deletes) = deletes {
                let deletes = self.shared.objects.store_deletes(deletes, &SealOptions::default()).await?;
                stored.add(&self.shared.objects.layout.metadata, deletes.keys()?);
                entry.deletes = Some(deletes);
            }
        }
        let segment = built.segment.take().map(|(segment, entry)| {
            segments.push(entry);
            segment
        });
        let document_map = built.document_maps.pop().unwrap_or_default();
        let watermark = Watermark::At(input.watermark.number());
        let origin = Origin::Memtable { input, document_map };
        Ok(Publication { current: Arc::clone(&self.frozen.manifest), watermark, segments, segment, origin })
    }

    /// Removes the deletes objects that the new manifest replaced, unless a snapshot still names them.
    async fn remove_superseded(&self) {
        let replaced = self.frozen.manifest.manifest.segments.iter().zip(&self.frozen.input.segment_deletes);
        let old = |(entry, new): (&SegmentEntry, &Option<_>)| new.as_ref().and(entry.deletes.clone());
        let old: Vec<_> = replaced.filter_map(old).collect();
        if old.is_empty() {
            return;
        }
        match snapshots::named_deletes(&self.shared.objects).await {
            Ok(named) => {
                let unnamed = old.into_iter().filter(|entry| !named.contains(&entry.secret));
                let keys: Vec<Key> = unnamed.filter_map(|entry| entry.keys().ok()).flatten().collect();
                self.shared.objects.discard(&self.shared.objects.layout.metadata, &keys).await;
            }
            Err(error) => tracing::warn!(%error, "superseded deletes stay in the store: the snapshots cannot be read"),
        }
    }

    /// Removes the journal up to the watermark of the manifest *before* this fold's: a replica has one whole fold's time
    /// to read a record before it goes.
    async fn trim(&self) -> Result<()> {
        let objects = &self.shared.objects;
        let layout = &objects.layout;
        let watermark = self.frozen.manifest.watermark();
        let mut journal = objects.backend.scan(&layout.catalog, &layout.journal, Revision::ZERO);
        let (mut records, mut chunks) = (Vec::new(), Vec::new());
        while let Some(entry) = journal.next().await {
            let entry = entry?;
            if entry.entry.revision > watermark {
                break;
            }
            records.push(entry.key.clone());
            match catalog::open_record(objects, entry) {
                // Nothing needs it any more, but for the names of its chunks, which stay behind then.
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    tracing::warn!(%error, "a journal record that is folded already was damaged");
                }
                record => chunks.extend(catalog::chunk_keys(&record?.body)?),
            }
        }
        objects.discard(&layout.metadata, &chunks).await;
        objects.discard(&layout.catalog, &records).await;
        Ok(())
    }
}
