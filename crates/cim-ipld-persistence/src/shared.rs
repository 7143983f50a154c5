//! What the tasks of one engine share.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use cim_ipld_backend::Revision;
use cim_ipld_envelope::{Compression, SealOptions};
use tokio::sync::watch;

use crate::objects::Objects;
use crate::pages::PageCache;
use crate::state::{Replacement, View};
use crate::{Error, ErrorKind, Result, Settings};

/// What follower, writer, folds and readers of one engine have in common.
pub(crate) struct Shared {
    pub(crate) objects: Objects,
    pub(crate) settings: Settings,
    pub(crate) cache: PageCache,
    view: ArcSwap<View>,
    progress: watch::Sender<Progress>,
    /// What this process is about to change of the segments, until its manifest comes round in the catalog.
    expected: Mutex<Option<Arc<Replacement>>>,
}

/// How far the follower is, and what there is to know about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) applied: Revision,
    /// Revision of the newest journal record applied since the watermark; 0 for none.
    pub(crate) last_record: u64,
    pub(crate) generation: u64,
    /// Bytes of the memtable that takes documents.
    pub(crate) memtable_bytes: usize,
    /// Bytes of the one that is being folded; 0 when none is.
    pub(crate) frozen_bytes: usize,
    /// The follower has stopped for good, and why.
    pub(crate) fatal: Option<Error>,
}

impl Shared {
    pub(crate) fn new(objects: Objects, settings: Settings, view: View) -> Self {
        let cache = PageCache::new(settings.cache_budget_bytes, settings.parallel_transfers);
        Self {
            objects,
            settings,
            cache,
            view: ArcSwap::from_pointee(view),
            progress: watch::Sender::new(Progress::default()),
            expected: Mutex::new(None),
        }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub(crate) fn publish(&self, view: View, progress: Progress) {
        self.view.store(Arc::new(view));
        self.progress.send_replace(progress);
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    pub(crate) fn fail(&self, error: Error) {
        self.progress.send_modify(|progress| {
            progress.fatal.get_or_insert(error);
        });
    }

    /// The error that stopped the follower, if one did: an engine that cannot follow must not go on answering.
    pub(crate) fn check(&self) -> Result<()> {
        self.progress.borrow().fatal.clone().map_or(Ok(()), Err)
    }

    /// Waits until `reached` holds of the follower's progress.
    pub(crate) async fn wait_until(&self, mut reached: impl FnMut(&Progress) -> bool) -> Result<()> {
        let mut progress = self.progress.subscribe();
        // What was reached before the follower stopped was reached.
        let mut is_reached = false;
        let state = progress
            .wait_for(|progress| {
                is_reached = reached(progress);
                is_reached || progress.fatal.is_some()
            })
            .await
            .map_err(|_| Error::new(ErrorKind::Closed, "the engine was closed"))?;
        state.fatal.clone().filter(|_| !is_reached).map_or(Ok(()), Err)
    }

    pub(crate) async fn wait_applied(&self, revision: Revision) -> Result<()> {
        self.wait_until(|progress| progress.applied >= revision).await
    }

    /// Waits until something that this process wrote is visible to it, as long as a write is pursued.
    pub(crate) async fn wait_published(&self, revision: Revision) -> Result<()> {
        let waited = tokio::time::timeout(self.settings.write_timeout(), self.wait_applied(revision)).await;
        waited.unwrap_or_else(|_| {
            let message =
                format!("what was written at {revision} is durable, but the store does not let it be read back");
            Err(Error::new(ErrorKind::OutcomeUnknown, message))
        })
    }

    /// Waits until this process follows a manifest of `generation` or a later one, as long as a write is pursued.
    pub(crate) async fn wait_generation(&self, generation: u64) -> Result<()> {
        let reached = self.wait_until(|progress| progress.generation >= generation);
        tokio::time::timeout(self.settings.write_timeout(), reached).await.unwrap_or_else(|_| {
            let message = "another process changed the manifest, but the store does not let it be read back";
            Err(Error::new(ErrorKind::Unavailable, message))
        })
    }

    pub(crate) fn expect(&self, replacement: Option<Arc<Replacement>>) {
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = replacement;
    }

    pub(crate) fn expected(&self) -> Option<Arc<Replacement>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How objects made of text are sealed.
    pub(crate) fn text_options(&self) -> SealOptions {
        let mut options = SealOptions::default();
        if let Some(level) = self.settings.compression_level {
            options = options.compressed(Compression { level, ..Compression::default() });
        }
        options
    }
}
