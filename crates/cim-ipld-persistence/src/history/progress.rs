//! The progress of the follower, and waiting for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::order::Ignored;
use crate::format::digest::{Digest, ShortDigest};
use crate::{Error, ErrorKind, Result};

/// The time for which publishing pauses after the manifest entry was overwritten. During this
/// pause, a process that knows a newer manifest can restore it; a running process does so as soon
/// as it reads the overwritten entry.
pub(crate) const RESTORE_GRACE_PERIOD: Duration = Duration::from_secs(3);

/// The progress of the follower.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The history that a new record attests.
    pub(crate) seen: Seen,
    /// The generation of the newest manifest that the follower has read since the last publication,
    /// even if it is still being checked or its state is being built; if there is none, the
    /// generation of the published manifest.
    pub(crate) following: u64,
    /// The size of the active memtable in bytes.
    pub(crate) memtable_bytes: usize,
    /// The size in bytes of the memtable being folded, or 0.
    pub(crate) frozen_bytes: usize,
    /// The end of the grace period, before which no manifest is published. It is set when the
    /// manifest entry was overwritten by something other than a published manifest.
    pub(crate) grace_until: Option<Instant>,
    /// The digest of a manifest that the follower has rejected.
    pub(crate) refused: Option<Digest>,
    /// The error that stopped the follower.
    pub(crate) fatal: Option<Error>,
    pub(crate) ignored: IgnoredEntries,
}

/// The history known to a writer: the last position and digest of the order, and the newest
/// manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) position: u64,
    pub(crate) order: ShortDigest,
    pub(crate) generation: u64,
    pub(crate) manifest: Digest,
}

/// The number of catalog entries that this process ignored, by reason. Each is either a write that
/// arrived twice or too late, or an attempt to change the index without the key. None of them
/// changed the index.
///
/// ```
/// use std::sync::Arc;
///
/// use cim_ipld_backend::MemoryBackend;
/// use cim_ipld_persistence::{Engine, Protection};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = Engine::builder(Arc::new(MemoryBackend::new()));
/// let engine = builder.create(Protection::Plaintext).await?;
/// assert_eq!(engine.stats().await?.ignored.total(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IgnoredEntries {
    /// Entries that cannot be decrypted or decoded.
    pub junk: u64,
    /// Records and manifests sealed under a retired data key.
    pub retired: u64,
    /// Records that lagged more than 4096 positions behind.
    pub stale: u64,
    /// Records that are already part of the index, or superseded by a later one of their writer.
    pub duplicate: u64,
    /// Records of writers that were closed.
    pub closed: u64,
    /// Older manifests and roots that were stored in place of newer ones.
    pub replayed: u64,
}

impl IgnoredEntries {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            junk: self.junk + other.junk,
            retired: self.retired + other.retired,
            stale: self.stale + other.stale,
            duplicate: self.duplicate + other.duplicate,
            closed: self.closed + other.closed,
            replayed: self.replayed + other.replayed,
        }
    }

    pub(crate) fn count(&mut self, reason: Ignored) {
        let counter = match reason {
            Ignored::Junk => &mut self.junk,
            Ignored::Retired => &mut self.retired,
            Ignored::Stale => &mut self.stale,
            Ignored::Duplicate => &mut self.duplicate,
            Ignored::Closed => &mut self.closed,
            Ignored::Replayed => &mut self.replayed,
        };
        *counter += 1;
    }

    /// Returns the total number of ignored entries.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.junk + self.retired + self.stale + self.duplicate + self.closed + self.replayed
    }
}

/// A value that tasks can wait on. Waiting tasks are woken in the order in which they started to
/// wait, so that a run is reproducible.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Clone> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    pub(crate) fn get(&self) -> T {
        self.lock().clone()
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    pub(crate) fn modify(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    /// Waits until `examine` returns `Some`.
    pub(crate) async fn wait_for<R>(&self, mut examine: impl FnMut(&T) -> Option<R>) -> R {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before the value is examined, so that no later change is missed.
            changed.as_mut().enable();
            if let Some(found) = examine(&self.lock()) {
                return found;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched<Progress> {
    /// Starts the grace period, because the manifest entry was overwritten by something other than
    /// a published manifest.
    pub(crate) fn begin_grace_period(&self) {
        self.modify(|progress| progress.grace_until = Some(Instant::now() + RESTORE_GRACE_PERIOD));
    }

    /// Notes that the follower has read a manifest of this generation. The next publication resets
    /// it.
    pub(crate) fn note_following(&self, generation: u64) {
        self.modify(|progress| progress.following = progress.following.max(generation));
    }

    pub(crate) fn fail(&self, error: Error) {
        self.modify(|progress| {
            progress.fatal.get_or_insert(error);
        });
    }

    /// Returns the error that stopped the follower, if any: an engine that cannot follow the
    /// catalog must not answer any more calls.
    pub(crate) fn check(&self) -> Result<()> {
        self.read(|progress| progress.fatal.clone().map_or(Ok(()), Err))
    }

    /// Waits until `reached` returns true. If the follower has stopped and `reached` returns false,
    /// this returns the error of the follower.
    pub(crate) async fn wait_until(&self, mut reached: impl FnMut(&Progress) -> bool) -> Result<()> {
        self.wait_for(|progress| {
            if reached(progress) {
                return Some(Ok(()));
            }
            progress.fatal.clone().map(Err)
        })
        .await
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.read(|progress| progress.fatal.as_ref().is_some_and(|error| error.kind() == ErrorKind::Closed))
    }
}
