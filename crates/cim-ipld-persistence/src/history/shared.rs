//! The state shared by the tasks of one engine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use cim_ipld_backend::KeyedEntry;
use cim_ipld_envelope::{Compression, SealOptions};
use cim_ipld_index::Analyzer;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::journal::Journal;
use super::manifest::{ManifestVersion, is_missing_or_invalid, read_manifest};
use super::order::{Ignored, Order};
use super::progress::{Progress, RESTORE_GRACE_PERIOD, Seen, Watched};
use super::records::SealedRecord;
use super::state::{Replacement, View};
use super::turn::Turn;
use crate::format::digest::{Digest, ShortDigest};
use crate::format::writer_id::WriterId;
use crate::objects::Objects;
use crate::objects::page_cache::PageCache;
use crate::{Error, ErrorKind, Result, Settings};

/// The number of unfolded records that a closing process may leave for every opener to replay.
pub(crate) const SHORT_TAIL_RECORDS: u64 = 512;

/// The state shared by the follower, the writer, the maintenance tasks and the readers of an
/// engine.
pub(crate) struct Shared {
    pub(crate) objects: Arc<Objects>,
    pub(crate) settings: Settings,
    /// The analyzer of texts and queries, as described by the manifest.
    pub(crate) analyzer: Analyzer,
    pub(crate) cache: PageCache,
    view: ArcSwap<View>,
    pub(crate) progress: Watched<Progress>,
    /// Accepted records that are no longer at their original revision.
    pub(crate) displaced: Displaced,
    /// Wakes the background task when there may be something to fold.
    pub(crate) folds: Notify,
    /// Decides which process folds.
    pub(crate) turn: Turn<u64>,
    /// Whether this process folds before it closes, even if the tail is within the budget.
    pub(crate) folds_on_closing: AtomicBool,
    /// Decides which process merges a full size class.
    pub(crate) merge_turn: Turn<[u8; 16]>,
    /// Whether folds, and therefore writes, wait for a merge.
    pub(crate) is_merging_first: AtomicBool,
    /// The segment of the manifest that this process is publishing. It is cleared once the follower
    /// has read that manifest from the catalog.
    replacement: Mutex<Option<Arc<Replacement>>>,
    /// The records that this process has sent and still tracks: the one in flight, accepted ones
    /// whose view is not published yet, and possibly an earlier one with an unknown outcome.
    in_flight: Mutex<Vec<InFlight>>,
    /// The history up to the last accepted record of this process. The next record attests it if
    /// the published view does not contain that record yet.
    accepted: Mutex<Option<Seen>>,
    /// The journal entries that this process has seen.
    journal: Mutex<Journal>,
    /// The last manifest published by this process.
    published: Mutex<Option<Digest>>,
}

/// The highest position of a record that is not covered by a manifest and no longer at the revision
/// at which it was accepted.
#[derive(Debug, Default)]
pub(crate) struct Displaced {
    position: AtomicU64,
    noted: Notify,
}

impl Displaced {
    pub(crate) fn note(&self, position: u64) {
        self.position.fetch_max(position, Ordering::AcqRel);
        self.noted.notify_one();
    }

    /// Waits until another displaced record is noted.
    pub(crate) async fn noted(&self) {
        self.noted.notified().await;
    }

    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }
}

/// A record that this process has sent. It is kept until its verdict is known and, if it was
/// accepted, until the view that contains it is published.
struct InFlight {
    writer: WriterId,
    sequence: u64,
    record: SealedRecord,
    /// `None` once the writer knows that the record was accepted.
    verdict: Option<oneshot::Sender<OwnVerdict>>,
}

impl InFlight {
    fn is(&self, (writer, sequence, digest): (WriterId, u64, ShortDigest)) -> bool {
        (self.writer, self.sequence, self.record.digest) == (writer, sequence, digest)
    }

    /// Answers the writer. If it has given up, it has reported the outcome as unknown.
    fn answer(&mut self, verdict: OwnVerdict) -> bool {
        self.verdict.take().is_some_and(|sender| sender.send(verdict).is_ok())
    }
}

/// The verdict on a record of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnVerdict {
    /// The record is at this position of the order.
    Accepted(u64),
    Ignored(Ignored),
}

impl Shared {
    pub(crate) fn new(objects: Arc<Objects>, settings: Settings, view: View, progress: Progress) -> Self {
        let analyzer = view.read_view.analyzer().clone();
        let cache = PageCache::new(&settings.budget());
        Self {
            objects,
            settings,
            analyzer,
            cache,
            view: ArcSwap::from_pointee(view),
            progress: Watched::new(progress),
            displaced: Displaced::default(),
            folds: Notify::new(),
            turn: Turn::default(),
            folds_on_closing: AtomicBool::new(false),
            merge_turn: Turn::default(),
            is_merging_first: AtomicBool::new(false),
            replacement: Mutex::default(),
            in_flight: Mutex::default(),
            accepted: Mutex::default(),
            journal: Mutex::default(),
            published: Mutex::default(),
        }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Returns the number of accepted records that the manifest does not cover.
    pub(crate) fn tail_records(&self) -> u64 {
        let position = self.progress.read(|progress| progress.seen.position);
        position.saturating_sub(self.view().manifest.position())
    }

    /// Publishes `view` to readers, then answers the callers that wait for its records.
    pub(crate) fn publish(&self, view: View, progress: Progress, order: &Order) {
        self.view.store(Arc::new(view));
        self.progress.modify(|present| {
            let fatal = present.fatal.take();
            // A publisher may have started the grace period before the follower did.
            let grace_until = present.grace_until.max(progress.grace_until);
            *present = Progress { fatal, grace_until, ..progress };
        });
        self.resolve_in_flight(order);
    }

    /// Answers the writer if its record is part of the order, or can no longer become part of it.
    fn resolve_in_flight(&self, order: &Order) {
        self.answer(|own| {
            let writer = order.writer(own.writer)?;
            if writer.sequence == Some(own.sequence) && writer.record == own.record.digest {
                return Some(OwnVerdict::Accepted(writer.position));
            }
            // Either a copy of this process writes under the same identity, or the writer was
            // closed.
            match writer.sequence.is_some_and(|highest| highest >= own.sequence) {
                true => Some(OwnVerdict::Ignored(Ignored::Duplicate)),
                false => writer.is_closed.then_some(OwnVerdict::Ignored(Ignored::Closed)),
            }
        });
    }

    /// Answers the writer that its record was ignored.
    pub(crate) fn ignored(&self, writer: WriterId, sequence: u64, digest: ShortDigest, reason: Ignored) {
        self.answer(|own| own.is((writer, sequence, digest)).then_some(OwnVerdict::Ignored(reason)));
    }

    /// Tells the writer that a record of this process was accepted, so that it can seal and send
    /// the next one before the documents of this one are searchable. Returns false if the record is
    /// not one that the writer waits for.
    pub(crate) fn accepted(&self, record: (WriterId, u64, ShortDigest), seen: Seen) -> bool {
        let mut in_flight = lock(&self.in_flight);
        let Some(own) = in_flight.iter_mut().find(|own| own.is(record)) else { return false };
        *lock(&self.accepted) = Some(seen);
        own.answer(OwnVerdict::Accepted(seen.position))
    }

    /// Returns the history that the next record of this process attests.
    pub(crate) fn history(&self) -> Seen {
        let published = self.progress.read(|progress| progress.seen);
        lock(&self.accepted).filter(|accepted| accepted.position > published.position).unwrap_or(published)
    }

    fn answer(&self, verdict: impl Fn(&InFlight) -> Option<OwnVerdict>) {
        let mut in_flight = lock(&self.in_flight);
        in_flight.retain_mut(|own| match verdict(own) {
            Some(verdict) => {
                own.answer(verdict);
                false
            }
            None => true,
        });
    }

    /// Registers the record that this process is about to put, and returns the receiver of its
    /// verdict.
    pub(crate) fn register_in_flight(
        &self,
        writer: WriterId,
        sequence: u64,
        record: SealedRecord,
    ) -> oneshot::Receiver<OwnVerdict> {
        let (verdict, receiver) = oneshot::channel();
        let mut in_flight = lock(&self.in_flight);
        in_flight.retain(|own| own.verdict.as_ref().is_none_or(|verdict| !verdict.is_closed()));
        in_flight.push(InFlight { writer, sequence, record, verdict: Some(verdict) });
        receiver
    }

    /// Returns the record in flight that is exactly this entry.
    pub(crate) fn own_record(&self, entry: &KeyedEntry) -> Option<SealedRecord> {
        lock(&self.in_flight).iter().map(|own| &own.record).find(|own| own.is(entry)).cloned()
    }

    /// Returns whether a record of `writer` is in flight in this process.
    pub(crate) fn is_own(&self, writer: WriterId) -> bool {
        lock(&self.in_flight).iter().any(|own| own.writer == writer)
    }

    /// Returns how long to wait for another process to fold, given that the previous fold took
    /// `took`. The jitter makes the time differ between processes, so that only one of them takes
    /// over.
    pub(crate) fn patience(&self, took: Duration) -> Duration {
        let least = self.settings.write_timeout / 6;
        let patience = (took * 3).clamp(least, least * 3);
        patience + self.jitter(least)
    }

    /// Returns a random duration below `limit`.
    pub(crate) fn jitter(&self, limit: Duration) -> Duration {
        Duration::from_millis(self.objects.environment.below(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the error that stopped the follower, if any.
    pub(crate) fn check(&self) -> Result<()> {
        self.progress.check()
    }

    /// Waits until this process follows a manifest of `generation` or later, for at most the write
    /// timeout.
    pub(crate) async fn wait_generation(&self, generation: u64) -> Result<()> {
        let reached = self.progress.wait_until(|progress| progress.seen.generation >= generation);
        tokio::time::timeout(self.settings.write_timeout, reached).await.unwrap_or_else(|_| {
            let message = "another process changed the manifest, but it could not be read from the store in time";
            Err(Error::new(ErrorKind::Unavailable, message))
        })
    }

    /// Reads the newest manifest: the one in the store, or the known manifest if the store holds an
    /// older one or none.
    pub(crate) async fn newest_manifest(&self) -> Result<ManifestVersion> {
        let there = match read_manifest(&self.objects).await {
            Err(error) if is_missing_or_invalid(&error) => None,
            there => Some(there?),
        };
        let known = &self.view().manifest;
        Ok(match there {
            Some(there) if there.generation() > known.generation() => there,
            _ => (**known).clone(),
        })
    }

    /// Returns whether the store holds the known manifest or a newer one. If not, the entry was
    /// deleted or overwritten, and another process may restore a manifest older than the known one.
    /// In that case, objects that only the older manifest names must not be removed.
    pub(crate) async fn holds_newest_manifest(&self) -> Result<bool> {
        let known = &self.view().manifest;
        match read_manifest(&self.objects).await {
            Ok(there) => Ok(there.generation() > known.generation() || there.digest == known.digest),
            Err(error) if is_missing_or_invalid(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Handles `error` for an object named by the manifest of generation `known`. If the object is
    /// missing or damaged and a newer manifest exists, which may no longer name it, this returns
    /// `Ok` once the process follows that manifest, and the caller retries. Otherwise it returns
    /// `error`.
    pub(crate) async fn wait_for_newer_manifest(&self, known: u64, error: Error) -> Result<()> {
        if !matches!(error.kind(), ErrorKind::Lost | ErrorKind::Damaged) {
            return Err(error);
        }
        let deadline = Instant::now() + RESTORE_GRACE_PERIOD;
        loop {
            let is_replaced = match read_manifest(&self.objects).await {
                Ok(there) if there.generation() > known => return self.wait_generation(there.generation()).await,
                Ok(there) => {
                    let view = self.view();
                    // If the known manifest is found under another revision, it was restored over
                    // some other entry.
                    let is_restored = there.digest == view.manifest.digest && there.revision != view.manifest.revision;
                    there.generation() < known || is_restored
                }
                Err(unreadable) if is_missing_or_invalid(&unreadable) => true,
                // The follower will adopt or reject the new root.
                Err(unreadable) if unreadable.kind() == ErrorKind::KeyRotated && Instant::now() < deadline => true,
                Err(unreadable) => return Err(unreadable),
            };
            let Progress { seen, following, grace_until: until, .. } = self.progress.get();
            if seen.generation > known {
                return Ok(());
            }
            self.check()?;
            if following > known {
                return self.wait_generation(following).await;
            }
            // A process that knows a newer manifest may be about to restore it. The follower may
            // not have seen yet that it was replaced.
            let until = if is_replaced { until.max(Some(deadline)) } else { until };
            if until.is_none_or(|until| until <= Instant::now()) {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn set_replacement(&self, replacement: Option<Arc<Replacement>>) {
        *lock(&self.replacement) = replacement;
    }

    pub(crate) fn replacement(&self) -> Option<Arc<Replacement>> {
        lock(&self.replacement).clone()
    }

    /// Notes that the followed manifest was published by this process.
    pub(crate) fn note_published(&self) {
        let manifest = &self.view().manifest;
        *lock(&self.published) = Some(manifest.digest);
        if self.progress.read(|progress| progress.memtable_bytes >= self.settings.budget().memtable_bytes()) {
            // The process that folded continues while the tail exceeds the budget.
            self.turn.claim(manifest.position());
        }
    }

    /// Returns whether the followed manifest is the last one published by this process.
    pub(crate) fn published_last(&self) -> bool {
        *lock(&self.published) == Some(self.view().manifest.digest)
    }

    /// Returns whether the keyset has a newer data key than the epoch of `manifest`, which means
    /// that the older data keys are not retired yet.
    pub(crate) fn is_rotation_unfinished(&self, manifest: &ManifestVersion) -> bool {
        manifest.manifest.epoch < self.objects.root().envelope.epoch()
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    /// Returns the seal options for objects that contain text.
    pub(crate) fn text_options(&self) -> SealOptions {
        let mut options = SealOptions::default();
        if let Some(level) = self.settings.compression_level {
            options = options.compressed(Compression { level, ..Compression::default() });
        }
        options
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
