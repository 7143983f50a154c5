//! Puts one journal record, fenced on the root.

use cim_ipld_backend::{Backend, Bucket, ErrorKind as StoreErrorKind, Key, Precondition, Revision};
use tokio::time::Instant;

use super::repair;
use super::root;
use super::shared::Shared;
use crate::objects::Backoff;
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// How long a put with an unknown outcome is retried. This is shorter than the two minutes for
/// which a store without an exact check of absence remembers keys ([`Precondition::AbsentWhile`]),
/// so that a retry cannot replace the record.
const MAX_RETRIED_MS: i64 = 60_000;

/// The put of one record, retried until it succeeds or cannot succeed.
pub(crate) struct Put<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) key: Key,
    pub(crate) sealed: bytes::Bytes,
    /// Whether an earlier attempt may have reached the store.
    pub(crate) maybe_landed: bool,
    /// The revision that the root had before the spilled body of the record was stored, if there is
    /// one. A garbage collection stores the root again before it removes bodies.
    pub(crate) body_fence: Option<Revision>,
}

/// The response of the store to a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Landed,
    /// A different value is stored under the key of the record. No other process with the key of
    /// the index writes there, so the store is faulty or was tampered with, and the record may have
    /// been stored first.
    Occupied,
    /// A garbage collection may have removed the spilled body of the record, which is not in the
    /// store. An honest store will also refuse every earlier attempt.
    BodyAtRisk,
}

impl Put<'_> {
    /// Returns once the record is in the store, or once the store reports that its key is occupied.
    pub(crate) async fn run(&mut self, deadline: Instant) -> Result<Answer> {
        let objects = &self.shared.objects;
        let bucket = &objects.layout.catalog;
        let mut backoff = Backoff::new();
        let begun = objects.environment.now();
        loop {
            // If an attempt may have succeeded, read the record back first: storing it again much
            // later would move it behind the records that followed it.
            if self.maybe_landed
                && let Ok(Some(answer)) = self.read_back(&*objects.backend, bucket).await
            {
                return Ok(answer);
            }
            if self.maybe_landed && objects.environment.now().0 - begun.0 > MAX_RETRIED_MS {
                let message =
                    "the record may have been stored, and this process was suspended too long to retry safely";
                return Err(Error::new(ErrorKind::OutcomeUnknown, message));
            }
            let root = objects.root();
            if self.body_fence.is_some_and(|revision| revision != root.revision) {
                return Ok(Answer::BodyAtRisk);
            }
            let precondition = if objects.rules.enforces(Rule::Fence) {
                Precondition::AbsentWhile { key: objects.layout.root.clone(), revision: root.revision }
            } else {
                Precondition::Absent
            };
            let sealed = self.sealed.clone();
            // Set before the put, because this future may be dropped while the put is in progress.
            let before = std::mem::replace(&mut self.maybe_landed, true);
            let error = match objects.backend.put(bucket, &self.key, sealed, precondition).await {
                Ok(_) => return Ok(Answer::Landed),
                Err(error) => error,
            };
            if error.kind() != StoreErrorKind::OutcomeUnknown {
                self.maybe_landed = before;
            }
            match error.kind() {
                StoreErrorKind::OutcomeUnknown | StoreErrorKind::Unavailable => {}
                StoreErrorKind::Conflict => {
                    if let Some(answer) = self.read_back(&*objects.backend, bucket).await? {
                        return Ok(answer);
                    }
                    self.follow_root(&root.record).await?;
                }
                StoreErrorKind::BucketMissing | StoreErrorKind::Corrupt => {
                    repair::check_and_repair(self.shared).await?;
                }
                _ if self.maybe_landed => {}
                _ => return Err(error.into()),
            }
            if Instant::now() >= deadline {
                return Err(error.into());
            }
            backoff.wait().await;
        }
    }

    async fn read_back(&mut self, backend: &dyn Backend, bucket: &Bucket) -> Result<Option<Answer>> {
        let there = backend.get(bucket, &self.key).await?;
        self.maybe_landed |= there.is_some();
        Ok(there.map(|entry| {
            if entry.value == self.sealed {
                return Answer::Landed;
            }
            tracing::warn!("the key of the next record is occupied; writing under a new identity");
            Answer::Occupied
        }))
    }

    /// Handles a put that was refused because the root has changed. Restores a deleted root, and
    /// adopts the new revision if the same root was stored again.
    async fn follow_root(&self, known: &bytes::Bytes) -> Result<()> {
        let objects = &self.shared.objects;
        let there = objects.backend.get(&objects.layout.catalog, &objects.layout.root).await?;
        match there {
            None => repair::check_and_repair(self.shared).await,
            // The same record under another revision: a process restored it.
            Some(entry) if entry.value == *known => {
                root::seen_at(objects, &entry);
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }
}
