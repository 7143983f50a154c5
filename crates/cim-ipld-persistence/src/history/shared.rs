//! What the tasks of one engine share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use cim_ipld_envelope::{Compression, SealOptions};
use cim_ipld_index::Analyzer;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::journal::Journal;
use super::manifest::{ManifestVersion, is_no_manifest, read_manifest};
use super::order::{Ignored, Order};
use super::progress::{Progress, SETTLING, Watched};
use super::records;
use super::state::{Replacement, View};
use super::turn::Turn;
use crate::format::digest::{Digest, ShortDigest};
use crate::objects::Objects;
use crate::objects::page_cache::PageCache;
use crate::{Error, ErrorKind, Result, Settings};

/// Records of a tail that a process which ends leaves to every opener.
pub(crate) const SHORT_TAIL_RECORDS: u64 = 512;

/// What follower, writer, folds and readers of one engine have in common.
pub(crate) struct Shared {
    pub(crate) objects: Arc<Objects>,
    pub(crate) settings: Settings,
    /// What cuts texts and queries into words, as the manifest says.
    pub(crate) analyzer: Analyzer,
    pub(crate) cache: PageCache,
    view: ArcSwap<View>,
    pub(crate) progress: Watched<Progress>,
    /// Records that are no longer where they were accepted.
    pub(crate) displaced: Displaced,
    /// Wakes the background task: there may be something to fold.
    pub(crate) folds: Notify,
    /// Who folds.
    pub(crate) turn: Turn<u64>,
    /// Whether this process folds a tail of no more than a budget before it ends.
    pub(crate) folds_on_closing: AtomicBool,
    /// Who merges a size class that is full.
    pub(crate) merge_turn: Turn<[u8; 16]>,
    /// The segments that this process is about to publish, until its manifest comes round in the
    /// catalog.
    replacement: Mutex<Option<Arc<Replacement>>>,
    /// The record that this process has in flight, and one before it whose outcome is in doubt.
    in_flight: Mutex<Vec<InFlight>>,
    /// The entries of the journal that this process saw.
    journal: Mutex<Journal>,
    /// The manifest that this process published last.
    published: Mutex<Option<Digest>>,
}

/// The highest position of a record that no manifest holds and that is no longer where it was
/// accepted.
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

    /// Waits for a further one.
    pub(crate) async fn noted(&self) {
        self.noted.notified().await;
    }

    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }
}

/// A record that waits to be judged by its own process.
struct InFlight {
    writer: u64,
    sequence: u64,
    digest: ShortDigest,
    sealed: Bytes,
    verdict: oneshot::Sender<OwnVerdict>,
}

/// What became of an own record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnVerdict {
    /// It is at this position of the order, and searchable.
    Accepted(u64),
    Ignored(Ignored),
}

impl Shared {
    pub(crate) fn new(objects: Arc<Objects>, settings: Settings, view: View, progress: Progress) -> Self {
        let analyzer = view.snapshot.analyzer().clone();
        let cache = PageCache::new(settings.cache_budget_bytes, settings.parallel_transfers);
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
            replacement: Mutex::default(),
            in_flight: Mutex::default(),
            journal: Mutex::default(),
            published: Mutex::default(),
        }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// How many accepted records are behind the manifest.
    pub(crate) fn tail_records(&self) -> u64 {
        let position = self.progress.read(|progress| progress.seen.position);
        position.saturating_sub(self.view().manifest.position())
    }

    /// Lets readers see `view`, then answers whoever waits for what it holds.
    pub(crate) fn publish(&self, view: View, progress: Progress, order: &Order) {
        self.view.store(Arc::new(view));
        self.progress.modify(|present| {
            let fatal = present.fatal.take();
            // A publisher may have found the place disturbed before the follower came to that.
            let unsettled_until = present.unsettled_until.max(progress.unsettled_until);
            *present = Progress { fatal, unsettled_until, ..progress };
        });
        self.settle(order);
    }

    /// Answers the writer when a record of its own is part of the order, or never will be.
    fn settle(&self, order: &Order) {
        self.answer(|own| {
            let writer = order.writer(own.writer)?;
            if writer.sequence == Some(own.sequence) && writer.record == own.digest {
                return Some(OwnVerdict::Accepted(writer.position));
            }
            // Another copy of this process writes under the same identity, or somebody closed it.
            match writer.sequence.is_some_and(|highest| highest >= own.sequence) {
                true => Some(OwnVerdict::Ignored(Ignored::Duplicate)),
                false => writer.is_closed.then_some(OwnVerdict::Ignored(Ignored::Closed)),
            }
        });
    }

    /// Tells the writer that its record was not accepted.
    pub(crate) fn ignored(&self, writer: u64, sequence: u64, digest: ShortDigest, reason: Ignored) {
        self.answer(|own| {
            let is_own = (own.writer, own.sequence, own.digest) == (writer, sequence, digest);
            is_own.then_some(OwnVerdict::Ignored(reason))
        });
    }

    fn answer(&self, verdict: impl Fn(&InFlight) -> Option<OwnVerdict>) {
        let mut in_flight = lock(&self.in_flight);
        for own in std::mem::take(&mut *in_flight) {
            match verdict(&own) {
                // A writer that has given up takes it for an outcome that is not known.
                Some(verdict) => drop(own.verdict.send(verdict)),
                None => in_flight.push(own),
            }
        }
    }

    /// Announces the record that this process is about to put; the receiver learns what became of
    /// it.
    pub(crate) fn send(
        &self,
        writer: u64,
        sequence: u64,
        digest: ShortDigest,
        sealed: Bytes,
    ) -> oneshot::Receiver<OwnVerdict> {
        let (verdict, receiver) = oneshot::channel();
        let mut in_flight = lock(&self.in_flight);
        in_flight.retain(|own| !own.verdict.is_closed());
        in_flight.push(InFlight { writer, sequence, digest, sealed, verdict });
        receiver
    }

    /// Returns the digest of a sealed record: the one that was computed when it was sent, if these
    /// are the same bytes.
    pub(crate) fn digest_of(&self, sealed: &Bytes) -> ShortDigest {
        let known = lock(&self.in_flight).iter().find(|own| own.sealed == sealed).map(|own| own.digest);
        known.unwrap_or_else(|| records::sealed_digest(sealed))
    }

    /// Tells whether `writer` is the one whose record this process has in flight.
    pub(crate) fn is_own(&self, writer: u64) -> bool {
        lock(&self.in_flight).iter().any(|own| own.writer == writer)
    }

    /// How long another process has to fold, if the fold before took `took`. It differs by process,
    /// so that the next one is one.
    pub(crate) fn patience(&self, took: Duration) -> Duration {
        let least = self.settings.write_timeout / 6;
        let patience = (took * 3).clamp(least, least * 3);
        patience + self.random_part(least)
    }

    pub(crate) fn random_part(&self, of: Duration) -> Duration {
        Duration::from_millis(self.objects.environment.below(u64::try_from(of.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The error that stopped the follower, if one did.
    pub(crate) fn check(&self) -> Result<()> {
        self.progress.check()
    }

    /// Waits until this process follows a manifest of `generation` or a later one, as long as a
    /// write is pursued.
    pub(crate) async fn wait_generation(&self, generation: u64) -> Result<()> {
        let reached = self.progress.wait_until(|progress| progress.seen.generation >= generation);
        tokio::time::timeout(self.settings.write_timeout, reached).await.unwrap_or_else(|_| {
            let message = "another process changed the manifest, but the store does not let it be read back";
            Err(Error::new(ErrorKind::Unavailable, message))
        })
    }

    /// Reads the newest manifest: the one in the store, or the known one where the store has an
    /// older one or none.
    pub(crate) async fn newest_manifest(&self) -> Result<ManifestVersion> {
        let there = match read_manifest(&self.objects).await {
            Err(error) if is_no_manifest(&error) => None,
            there => Some(there?),
        };
        let known = &self.view().manifest;
        Ok(match there {
            Some(there) if there.generation() > known.generation() => there,
            _ => (**known).clone(),
        })
    }

    /// The one answer to something that is gone or is not what was stored: returns when this
    /// process follows a newer manifest than that of `known`, which may have let go of it; else
    /// `error`, which says what it is, is final. Any other error is.
    pub(crate) async fn move_on(&self, known: u64, error: Error) -> Result<()> {
        if !matches!(error.kind(), ErrorKind::Lost | ErrorKind::Damaged) {
            return Err(error);
        }
        let deadline = Instant::now() + SETTLING;
        loop {
            match read_manifest(&self.objects).await {
                Ok(newest) if newest.generation() > known => return self.wait_generation(newest.generation()).await,
                // The follower comes to a new root, or finds that it is none.
                Err(unreadable) if unreadable.kind() == ErrorKind::KeyRotated && Instant::now() < deadline => {
                    self.check()?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
                Err(unreadable) if !is_no_manifest(&unreadable) => return Err(unreadable),
                _ => {}
            }
            let (generation, until) =
                self.progress.read(|progress| (progress.seen.generation, progress.unsettled_until));
            if generation > known {
                return Ok(());
            }
            // Somebody disturbed the manifest: whoever knows a newer one is about to put it back.
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

    /// Notes that the manifest which this process follows is its own.
    pub(crate) fn note_published(&self) {
        let manifest = &self.view().manifest;
        *lock(&self.published) = Some(manifest.digest);
        if self.progress.read(|progress| progress.memtable_bytes >= self.settings.memtable_budget_bytes.max(1)) {
            // Whoever folded goes on while there is something to fold.
            self.turn.claim(manifest.position());
        }
    }

    /// Tells whether nobody has published a manifest since this process did.
    pub(crate) fn published_last(&self) -> bool {
        *lock(&self.published) == Some(self.view().manifest.digest)
    }

    /// Tells whether the keyset has a newer data key than the one under which `manifest` retired
    /// the others.
    pub(crate) fn is_rotation_unfinished(&self, manifest: &ManifestVersion) -> bool {
        manifest.manifest.epoch < self.objects.root().envelope.epoch()
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
