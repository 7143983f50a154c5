//! Follows the catalog: judges every record in order, adopts manifests, and publishes views to
//! readers.
//!
//! There are at most two states: the live one, which has been published, and one that is being
//! rebuilt from a newer manifest. Everything read from the store is checked against the live state.
//! The rebuilt state replaces the live state once it has reached the published position.

mod apply;
mod missing;
mod rebuild;

use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::{ErrorKind as StoreErrorKind, KeyPrefix, KeyedEntry, Revision, WatchEvent, WatchStream};
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::manifest::ManifestVersion;
use super::order::Order;
use super::progress::{IgnoredEntries, Progress};
use super::repair;
use super::shared::Shared;
use super::state::{FoldInput, State};
use crate::format::digest::{Digest, ShortDigest};
use crate::objects::Backoff;
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};
use apply::Step;
use missing::Missing;
use rebuild::{compare_manifest, open_newest};

/// A request to the follower, handled between two catalog entries.
pub(crate) enum Command {
    /// Freeze the memtable and return the input of a fold.
    Freeze(oneshot::Sender<Option<Frozen>>),
    /// Return the current order and manifest.
    Capture(oneshot::Sender<(Order, Arc<ManifestVersion>)>),
    /// Restore the root and the manifest in a store that lost them, and continue.
    PutBack(oneshot::Sender<Result<()>>),
}

/// The input of a fold, and the manifest of which the new one must be the direct successor.
pub(crate) struct Frozen {
    pub(crate) input: Arc<FoldInput>,
    pub(crate) manifest: Arc<ManifestVersion>,
}

pub(crate) struct Follower {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    live: State,
    /// The state being rebuilt from a newer manifest, or from the one that the index was opened
    /// with.
    rebuilding: Option<State>,
    catalog: WatchStream,
    /// Whether entries that existed when the watch began are still to come. Nothing is published
    /// before they have been processed.
    catching_up: bool,
    /// What was missing when the manifest was last reread, and since when.
    missing: Option<(Missing, Instant)>,
    /// Whether a view has been published.
    is_open: bool,
    /// The position recorded in the pin, which must be reached before anything is published.
    pinned: Option<(u64, ShortDigest)>,
    refused: Option<Digest>,
    grace_until: Option<Instant>,
    /// Until this time, a different manifest of the same generation is not overwritten again.
    rival_until: Option<Instant>,
    ignored: IgnoredEntries,
}

/// How long a running process waits for a missing object. Meanwhile, another process may restore a
/// newer manifest that no longer names the object.
const PATIENCE: Duration = Duration::from_secs(6);

impl Follower {
    /// Reads the journal after `manifest` up to its current end, and returns once the resulting
    /// state is published.
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        manifest: ManifestVersion,
        commands: mpsc::Receiver<Command>,
        pinned: Option<(u64, ShortDigest)>,
    ) -> Result<Self> {
        let (live, catalog) = open_newest(shared, manifest, None).await?;
        shared.journal().begin(live.order.clone(), live.last_seen);
        let mut follower = Self {
            shared: Arc::clone(shared),
            commands,
            rebuilding: Some(live.copy_without_journal()),
            live,
            catalog,
            catching_up: true,
            missing: None,
            is_open: false,
            pinned,
            refused: None,
            grace_until: None,
            rival_until: None,
            ignored: IgnoredEntries::default(),
        };
        let mut backoff = Backoff::new();
        let deadline = Instant::now() + shared.settings.write_timeout;
        while follower.rebuilding.is_some() || follower.catching_up {
            match follower.step().await {
                Err(error) if error.kind() == ErrorKind::Unavailable && Instant::now() < deadline => {
                    backoff.wait().await;
                    follower.rewatch();
                }
                stepped => stepped?,
            }
        }
        Ok(follower)
    }

    /// Follows the catalog until the engine is dropped or a permanent error occurs.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let stepped = tokio::select! {
                biased;
                command = self.commands.recv(), if !self.catching_up => match command {
                    Some(command) => self.handle_command(command).await,
                    None => return,
                },
                event = next(&self.shared, &mut self.catalog) => match event {
                    Ok(event) => self.handle_event(event).await,
                    Err(error) => Err(error),
                },
            };
            match stepped {
                Ok(()) => backoff = Backoff::new(),
                // A server that permits no more watches may do so later.
                Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Full) => {
                    tracing::warn!(%error, "the catalog is unavailable; retrying");
                    backoff.wait().await;
                    self.rewatch();
                }
                Err(error) => {
                    tracing::error!(%error, "the engine stopped following the catalog");
                    let is_lost = error.kind() == ErrorKind::Lost;
                    self.shared.progress.fail(error);
                    if !is_lost || !self.wait_for_put_back().await {
                        return;
                    }
                }
            }
        }
    }

    async fn step(&mut self) -> Result<()> {
        let event = next(&self.shared, &mut self.catalog).await?;
        self.handle_event(event).await
    }

    fn current(&mut self) -> &mut State {
        self.rebuilding.as_mut().unwrap_or(&mut self.live)
    }

    fn order(&self) -> &Order {
        &self.rebuilding.as_ref().unwrap_or(&self.live).order
    }

    /// Restarts the watch after the last processed entry. The published view remains in use until
    /// the watch has caught up.
    fn rewatch(&mut self) {
        let after = self.current().last_seen;
        self.catalog = watch(&self.shared, after);
        self.catching_up = true;
    }

    async fn handle_command(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Freeze(reply) => {
                let exact = self.shared.objects.rules.enforces(Rule::ExactWatermark);
                let input = self.live.freeze(exact);
                let frozen = input.map(|input| Frozen { input, manifest: Arc::clone(&self.live.manifest) });
                let _ = reply.send(frozen);
                // The content is unchanged, but it is divided among different memtables.
                self.publish()
            }
            Command::Capture(reply) => {
                let _ = reply.send((self.live.order.clone(), Arc::clone(&self.live.manifest)));
                Ok(())
            }
            Command::PutBack(reply) => {
                self.put_back(reply).await;
                Ok(())
            }
        }
    }

    async fn handle_event(&mut self, event: WatchEvent) -> Result<()> {
        match event {
            WatchEvent::Entry(entry) => {
                if self.has_gap_before(&entry) && compare_manifest(&self.shared, &self.live, false).await?.is_gt() {
                    return self.resync(None).await;
                }
                self.handle_entry(entry).await
            }
            WatchEvent::CaughtUp => self.caught_up().await,
            _ => Ok(()),
        }
    }

    async fn handle_entry(&mut self, entry: KeyedEntry) -> Result<()> {
        let revision = entry.entry.revision;
        match self.apply(entry).await? {
            Step::Applied => {
                self.current().last_seen = revision;
                if !self.catching_up { self.publish() } else { Ok(()) }
            }
            Step::Follow(manifest) => self.resync(Some(*manifest)).await,
            Step::Resync(missing) => self.resync_for_missing(missing).await,
        }
    }

    /// Returns whether an entry was removed or replaced between the last entry and this one. The
    /// process that removed it has published a newer manifest first.
    fn has_gap_before(&self, entry: &KeyedEntry) -> bool {
        // While a state is being rebuilt, the check on catching up is sufficient.
        self.rebuilding.is_none()
            && entry.entry.revision.number() > self.live.last_seen.number() + 1
            && self.shared.objects.rules.enforces(Rule::GapRead)
    }

    fn publish(&mut self) -> Result<()> {
        self.expect_fold(self.is_open);
        self.is_open = true;
        let (state, shared) = (&self.live, &self.shared);
        let progress = Progress {
            seen: state.seen(),
            following: state.manifest.generation(),
            memtable_bytes: state.memtable_bytes(),
            frozen_bytes: state.frozen_bytes(),
            grace_until: self.grace_until,
            refused: self.refused,
            fatal: None,
            ignored: self.ignored,
        };
        #[cfg(feature = "simulation")]
        shared.objects.environment.observe(|| crate::observer::Event::Published {
            position: progress.seen.position,
            order: progress.seen.order.0,
            generation: progress.seen.generation,
            manifest: progress.seen.manifest.0,
        });
        shared.publish(state.view()?, progress, &state.order);
        Ok(())
    }

    /// Waits for a request to restore an index that the store lost, keeping the state in memory.
    /// Returns false if the engine is dropped.
    async fn wait_for_put_back(&mut self) -> bool {
        self.rebuilding = None;
        while let Some(command) = self.commands.recv().await {
            let Command::PutBack(reply) = command else { continue };
            if self.put_back(reply).await {
                return true;
            }
        }
        false
    }

    /// Restores the root and the manifest, and follows the catalog from its beginning. Returns
    /// whether that succeeded.
    async fn put_back(&mut self, reply: oneshot::Sender<Result<()>>) -> bool {
        let revision = repair::put_back(&self.shared, &self.live.manifest).await;
        let is_back = revision.is_ok();
        if let Ok(revision) = revision {
            self.rebuilding = None;
            self.live.set_manifest_revision(revision);
            self.live.last_seen = Revision::ZERO;
            self.shared.progress.modify(|progress| progress.fatal = None);
            self.rewatch();
        }
        let _ = reply.send(revision.map(drop));
        is_back
    }
}

async fn next(shared: &Shared, catalog: &mut WatchStream) -> Result<WatchEvent> {
    let bucket = &shared.objects.layout.catalog;
    match catalog.next().await {
        Some(Ok(event)) => Ok(event),
        // The bucket was recreated, rolled back or deleted. The check determines whether the index
        // is lost.
        Some(Err(error)) if matches!(error.kind(), StoreErrorKind::Corrupt | StoreErrorKind::BucketMissing) => {
            repair::check_and_repair(shared).await?;
            Err(Error::new(
                ErrorKind::Unavailable,
                format!("the watch of bucket {bucket} was interrupted by a change of the bucket"),
            )
            .with_source(error))
        }
        Some(Err(error)) => Err(error.into()),
        None => Err(Error::new(ErrorKind::Unavailable, format!("the watch of bucket {bucket} ended"))),
    }
}

fn watch(shared: &Shared, after: Revision) -> WatchStream {
    shared.objects.backend.watch(&shared.objects.layout.catalog, &KeyPrefix::all(), after)
}
