//! Maintenance of an index: fold, merge, trim, snapshots, key rotation and verification.

mod collector;
mod export_names;
pub(crate) mod export_pin;
mod fold;
pub(crate) mod garbage;
mod merge;
pub(crate) mod repair;
pub(crate) mod rotation;
pub(crate) mod snapshots;
mod trim;
pub(crate) mod verify;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use crate::history::follower::{Command, Frozen};
use crate::history::manifest::{ManifestVersion, read_manifest};
use crate::history::order::Order;
use crate::history::shared::{SHORT_TAIL_RECORDS, Shared};
use crate::history::submit::Submit;
use crate::objects::Backoff;
use crate::{Error, ErrorKind, Result};
use garbage::{Collection, GarbageOptions, GarbageReport};
use merge::Due;

/// Performs the maintenance of one engine.
pub(crate) struct Maintenance {
    shared: Arc<Shared>,
    submit: Submit,
    commands: mpsc::Sender<Command>,
    /// One permit, held by a fold, and by a merge while it is published. Closed with the engine.
    turns: Semaphore,
    /// One permit, held by a merge beside writes. Taken before a turn; closed with the engine.
    merges: Semaphore,
    /// Wakes the task that merges when there may be something to merge.
    merges_due: Notify,
    merge_inputs: merge::Inputs,
    /// Notified after automatic folds and merges.
    worked: Notify,
}

impl Maintenance {
    pub(crate) fn new(shared: Arc<Shared>, submit: Submit, commands: mpsc::Sender<Command>) -> Self {
        let (turns, merges) = (Semaphore::new(1), Semaphore::new(1));
        let (merges_due, merge_inputs, worked) = (Notify::new(), merge::Inputs::default(), Notify::new());
        Self { shared, submit, commands, turns, merges, merges_due, merge_inputs, worked }
    }

    /// Folds whenever it is woken, until the engine is closed.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        loop {
            let mut has_worked = false;
            self.wake().await;
            loop {
                match self.work().await {
                    Ok(true) => {
                        backoff = Backoff::new();
                        has_worked = true;
                    }
                    Ok(false) => break,
                    Err(error) if error.kind() == ErrorKind::Closed || self.shared.progress.is_closed() => return,
                    Err(error) => {
                        tracing::warn!(%error, "folding the journal failed; retrying");
                        backoff.wait().await;
                        if self.shared.check().is_err() {
                            break;
                        }
                    }
                }
            }
            if has_worked {
                self.worked.notify_one();
            }
        }
    }

    /// Folds records that were stored again or overwritten before a manifest covered them, because
    /// an opener would read them in a different order. A barrier record is written first.
    pub(crate) async fn keep_folding_displaced(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        loop {
            self.shared.displaced.noted().await;
            // The pause is random, so that usually only one of the processes folds.
            let pause = Duration::from_millis(self.shared.objects.environment.below(1000));
            tokio::time::sleep(pause).await;
            while self.shared.check().is_ok() && self.is_displaced() {
                match self.write_barrier_and_fold().await {
                    Ok(()) => backoff = Backoff::new(),
                    Err(error) if error.kind() == ErrorKind::Closed => return,
                    Err(error) => {
                        tracing::warn!(%error, "a displaced record could not be folded; retrying");
                        backoff.wait().await;
                    }
                }
            }
        }
    }

    /// Does immediately what [`keep_folding_displaced`](Self::keep_folding_displaced) does after a
    /// pause, because a closing engine may be the only one that knows the order.
    pub(crate) async fn fold_displaced(&self) {
        if self.shared.check().is_ok()
            && self.is_displaced()
            && let Err(error) = self.write_barrier_and_fold().await
        {
            tracing::warn!(%error, "a displaced record could not be folded");
        }
    }

    fn is_displaced(&self) -> bool {
        self.shared.displaced.position() > self.shared.view().manifest.position()
    }

    /// Waits until there may be something for this process to fold.
    async fn wake(&self) {
        let due = self.shared.turn.due().filter(|due| *due > Instant::now());
        tokio::select! {
            biased;
            () = self.shared.folds.notified() => {}
            () = async { tokio::time::sleep_until(due.expect("there is one")).await }, if due.is_some() => {}
        }
    }

    fn is_fold_due(&self) -> bool {
        let budget = self.shared.settings.budget().memtable_bytes();
        let (frozen, active) = self.shared.progress.read(|progress| (progress.frozen_bytes, progress.memtable_bytes));
        frozen > 0 || (active >= budget && self.shared.turn.is_due())
    }

    /// Performs a due fold and wakes the task that merges. If that task has fallen behind, it then
    /// performs a merge itself, and writes wait for it. Returns false if nothing was due.
    async fn work(&self) -> Result<bool> {
        let has_folded = self.is_fold_due() && self.fold().await?;
        self.merges_due.notify_one();
        Ok(self.merge_if_behind().await? || has_folded)
    }

    /// Finishes the work in progress, performs a fold and a merge if it is this process's turn to
    /// do so, and refuses further work. Without this, short-lived processes would leave all
    /// maintenance to each other.
    pub(crate) async fn end(&self) {
        if self.shared.settings.background
            && self.shared.check().is_ok()
            && let Err(error) = self.last_work().await
        {
            tracing::warn!(%error, "folding the journal failed; it is left to another process");
        }
        let _merging = self.merges.acquire().await;
        let _turn = self.turns.acquire().await;
        self.merges.close();
        self.turns.close();
    }

    async fn last_work(&self) -> Result<()> {
        let tail = self.shared.tail_records();
        if self.shared.folds_on_closing.load(Ordering::Relaxed) && tail >= SHORT_TAIL_RECORDS {
            self.fold().await?;
        }
        self.work().await?;
        self.merge_once(Due::Turn).await.map(drop)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        self.turns.acquire().await.map_err(|_| closed())
    }

    /// Folds until the manifest covers everything that was applied when this was called, regardless
    /// of the memtable size. A single fold may lose to a manifest of another process that covers
    /// less. Returns false if there was nothing to fold.
    pub(crate) async fn fold(&self) -> Result<bool> {
        let _turn = self.turn().await?;
        let target = self.shared.progress.read(|progress| progress.seen.position);
        let mut has_folded = false;
        while self.shared.view().manifest.position() < target {
            let Some(frozen) = self.freeze().await? else { break };
            fold::run(&self.shared, &frozen).await?;
            has_folded = true;
        }
        Ok(has_folded)
    }

    /// Removes unreachable objects, including those that dead exports kept.
    pub(crate) async fn collect_garbage(
        &self,
        options: &GarbageOptions,
        progress: &(dyn Fn(&GarbageReport) + Send + Sync),
    ) -> Result<GarbageReport> {
        if !options.dry_run {
            self.remove_expired_pins().await?;
        }
        let objects = self.shared.objects.with_final_root();
        Collection { maintenance: self, objects: &objects, options, progress }.run().await
    }

    /// Returns the manifest in the store, which must not be older than the one that this process
    /// has applied: what a newer manifest names is unknown otherwise.
    async fn manifest_in_store(&self) -> Result<ManifestVersion> {
        self.shared.check()?;
        // Read first, because a newer manifest may be applied while the store is read.
        let known = self.shared.view().manifest.generation();
        let manifest = read_manifest(&self.shared.objects).await?;
        let found = manifest.generation();
        if found < known {
            let message =
                format!("the manifest in the store has generation {found}, but generation {known} was published");
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        Ok(manifest)
    }

    /// Restores the root and the manifest in a store that lost them, then folds the lost records,
    /// which are in the memory of this process.
    pub(crate) async fn put_back(&self) -> Result<()> {
        self.ask(Command::PutBack).await??;
        let caught_up = self.shared.progress.read(|progress| progress.seen.position);
        tracing::warn!(position = caught_up, "the catalog of the index was restored");
        self.fold().await.map(drop)
    }

    async fn freeze(&self) -> Result<Option<Frozen>> {
        self.ask(Command::Freeze).await
    }

    async fn capture(&self) -> Result<(Order, Arc<ManifestVersion>)> {
        self.ask(Command::Capture).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let stopped = || self.shared.check().err().unwrap_or_else(closed);
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| stopped())?;
        let answered = tokio::time::timeout(self.shared.settings.write_timeout, answer).await;
        answered
            .map_err(|_| {
                let waiting = || Error::new(ErrorKind::Unavailable, "the journal could not be read in time");
                self.shared.check().err().unwrap_or_else(waiting)
            })?
            .map_err(|_| stopped())
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the engine was closed")
}
