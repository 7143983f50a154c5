//! The put of one journal record, fenced on the root.

use cim_ipld_backend::{Backend, Bucket, ErrorKind as StoreErrorKind, Key, Precondition};
use tokio::time::Instant;

use super::remains;
use super::root;
use super::shared::Shared;
use crate::objects::Backoff;
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// How long a record that may have landed is put again. Stores remember for two minutes at least
/// which records landed.
const MAX_RETRIED_MS: i64 = 60_000;

/// The put of one record, tried until it landed or cannot.
pub(crate) struct Put<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) key: Key,
    pub(crate) sealed: bytes::Bytes,
    /// Set once an earlier try may have reached the store.
    pub(crate) maybe_landed: bool,
}

/// What the store says of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Landed,
    /// Something else is under the record's key. Nobody who shares the index puts anything there,
    /// so the store's word that the record never landed is worth nothing.
    Occupied,
}

impl Put<'_> {
    /// Returns when the record is in the store, or never will be, as far as the store's word goes.
    pub(crate) async fn run(&mut self, deadline: Instant) -> Result<Answer> {
        let objects = &self.shared.objects;
        let bucket = &objects.layout.catalog;
        let mut backoff = Backoff::new();
        let begun = objects.environment.now();
        loop {
            // A try that may have landed is looked for first: put again much later, the record
            // would come after those that followed it.
            if self.maybe_landed
                && let Ok(Some(answer)) = self.read_back(&*objects.backend, bucket).await
            {
                return Ok(answer);
            }
            if self.maybe_landed && objects.environment.now().0 - begun.0 > MAX_RETRIED_MS {
                let message = "the record was put, and this process was held up: it is not put again";
                return Err(Error::new(ErrorKind::OutcomeUnknown, message));
            }
            let root = objects.root();
            let precondition = if objects.rules.hold(Rule::Fence) {
                Precondition::AbsentWhile { key: objects.layout.root.clone(), revision: root.revision }
            } else {
                Precondition::Absent
            };
            let sealed = self.sealed.clone();
            // While it is under way, this put may be given up.
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
                    remains::check(self.shared).await?;
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
        let answer = |landed| if landed { Answer::Landed } else { Answer::Occupied };
        Ok(there.map(|entry| answer(entry.value == self.sealed)))
    }

    /// After the root was found changed: waits until the follower has come to that change, unless
    /// the root is gone.
    async fn follow_root(&self, known: &bytes::Bytes) -> Result<()> {
        let objects = &self.shared.objects;
        let there = objects.backend.get(&objects.layout.catalog, &objects.layout.root).await?;
        match there {
            None => remains::check(self.shared).await,
            // The same record under another revision: somebody put it back.
            Some(entry) if entry.value == *known => {
                root::seen_at(objects, &entry);
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }
}
