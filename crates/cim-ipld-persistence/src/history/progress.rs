//! How far a follower is, for everybody who waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::order::Ignored;
use crate::format::digest::{Digest, ShortDigest};
use crate::{Error, ErrorKind, Result};

/// How long whoever knows a newer manifest has to put it back. A live process does so as soon as it
/// follows the catalog so far.
pub(crate) const SETTLING: Duration = Duration::from_secs(3);

/// How far the follower is, and what is known there.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// What a new record attests.
    pub(crate) seen: Seen,
    /// Bytes of the memtable that takes documents.
    pub(crate) memtable_bytes: usize,
    /// Bytes of the one that is being folded; 0 when none is.
    pub(crate) frozen_bytes: usize,
    /// Until then no manifest is published: something was put in the manifest's place that whoever
    /// published there did not put, and a process that knows a newer manifest than this one has to
    /// be given the time to put that back.
    pub(crate) unsettled_until: Option<Instant>,
    /// A manifest that this process published and that is not to be followed.
    pub(crate) refused: Option<Digest>,
    /// The follower has stopped, and why.
    pub(crate) fatal: Option<Error>,
    pub(crate) ignored: IgnoredEntries,
}

/// The past that a writer knows: the order's last position and digest, the newest manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) position: u64,
    pub(crate) order: ShortDigest,
    pub(crate) generation: u64,
    pub(crate) manifest: Digest,
}

/// How many entries of the catalog this process ignored, by reason. Each is an accident of the
/// store (a write that arrived twice or too late) or somebody's attempt to change the index without
/// a key; none of them changed anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IgnoredEntries {
    /// Entries that do not open, or cannot be read.
    pub junk: u64,
    /// Records and manifests sealed under a retired data key.
    pub retired: u64,
    /// Records that lag more than 4096 positions behind.
    pub stale: u64,
    /// Records that are part of the index already, or superseded by a later one of their writer.
    pub duplicate: u64,
    /// Records of writers that were closed.
    pub closed: u64,
    /// Older manifests and roots that were put in the place of newer ones.
    pub replayed: u64,
}

impl IgnoredEntries {
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

    /// Returns how many entries were ignored in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.junk + self.retired + self.stale + self.duplicate + self.closed + self.replayed
    }
}

/// A value that tasks wait for. They are woken in the order in which they began to wait, so that a
/// run can be repeated.
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

    /// Waits until `examine` returns something of the value.
    pub(crate) async fn wait_for<R>(&self, mut examine: impl FnMut(&T) -> Option<R>) -> R {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before the value is looked at: a change after that is not missed.
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
    /// Notes that something is in the manifest's place that its last publisher did not put there.
    pub(crate) fn disturb(&self) {
        self.modify(|progress| progress.unsettled_until = Some(Instant::now() + SETTLING));
    }

    pub(crate) fn fail(&self, error: Error) {
        self.modify(|progress| {
            progress.fatal.get_or_insert(error);
        });
    }

    /// The error that stopped the follower, if one did: an engine that cannot follow must not go on
    /// answering.
    pub(crate) fn check(&self) -> Result<()> {
        self.read(|progress| progress.fatal.clone().map_or(Ok(()), Err))
    }

    /// Waits until `reached` holds. What was reached before the follower stopped was reached.
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
