//! Key rotation: a new keyset and data key; objects sealed under older data keys stay readable.

use cim_ipld_backend::Precondition;
use cim_ipld_envelope::{
    DataKeyId, DataKeyInfo, EncryptionAlgorithm, Envelope, KeySlotInfo, KeySource, Keyset, MAX_DATA_KEYS,
};

use super::Maintenance;
use crate::format::announcement::Announcement;
use crate::history::repair;
use crate::objects::{Root, root_digest};
use crate::{Error, ErrorKind, Result};

/// The keys of an index, without any key material.
///
/// ```
/// use std::sync::Arc;
///
/// use cim_ipld_backend::MemoryBackend;
/// use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey};
/// use cim_ipld_persistence::{Engine, Protection};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM);
/// let builder = Engine::builder(Arc::new(MemoryBackend::new()));
/// let engine = builder.create(Protection::of(Some(key.into()), None)?).await?;
/// let keys = engine.keys()?;
/// assert_eq!(keys.data_keys[0].algorithm, EncryptionAlgorithm::AES256GCM);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyReport {
    /// The keys and passphrases that open the index.
    pub slots: Vec<KeySlotInfo>,
    /// The data keys that seal its objects.
    pub data_keys: Vec<DataKeyInfo>,
}

/// The number of newest data keys that are kept even if nothing in the store is sealed under them:
/// processes that have not followed yet, archives and pins may need them.
const KEPT_DATA_KEYS: usize = 256;
/// The room that is kept in a keyset for imports of its archives, each of which adds a data key.
const SPARE_DATA_KEYS: usize = 24;

impl Maintenance {
    pub(crate) async fn rotate_key(&self, key: &KeySource, algorithm: EncryptionAlgorithm) -> Result<()> {
        let current = self.keyset()?;
        let next = self.with_room(&current).await?;
        let next = next.with_slots_replaced(std::slice::from_ref(key)).await?.with_new_data_key(algorithm)?;
        self.publish_keyset(&current, next).await
    }

    /// Starts a new epoch: adds a data key for later writes, opened by the same keys.
    pub(crate) async fn begin_epoch(&self) -> Result<()> {
        let current = self.keyset()?;
        let next = self.with_room(&current).await?.with_new_data_key(current.algorithm())?;
        self.publish_keyset(&current, next).await
    }

    /// Returns the keyset with room for a new data key. If it is almost full, the data keys under
    /// which nothing is sealed any more are removed, except for the [`KEPT_DATA_KEYS`] newest ones.
    /// Every object is opened to find them, but only once in hundreds of rotations.
    ///
    /// # Errors
    /// `Damaged` or `Lost` if the keyset is full and an object cannot be opened, because its data
    /// key is then unknown.
    async fn with_room(&self, current: &Keyset) -> Result<Keyset> {
        let keys = current.keys();
        if keys.len() < MAX_DATA_KEYS - SPARE_DATA_KEYS {
            return Ok(current.clone());
        }
        let (report, used) = self.verify_with_keys().await?;
        match report.problems.first() {
            Some(problem) if keys.len() == MAX_DATA_KEYS => {
                let message = format!(
                    "the keyset is full, and the data keys that are no longer needed cannot be determined, because {}: \
                     repair the index, then rotate the key",
                    problem.message
                );
                return Err(Error::new(problem.kind, message));
            }
            Some(_) => return Ok(current.clone()),
            None => {}
        }
        let old = &keys[..keys.len() - KEPT_DATA_KEYS];
        let unused: Vec<DataKeyId> = old.iter().map(|key| key.id).filter(|id| !used.contains(id)).collect();
        tracing::info!(removed = unused.len(), "removing data keys under which nothing is sealed");
        Ok(current.with_data_keys_removed(&unused)?)
    }

    /// Replaces the root, then retires the older data keys: a record under the new data key marks
    /// the position from which the older ones authenticate nothing, and a manifest covers
    /// everything up to that position.
    async fn publish_keyset(&self, current: &Keyset, next: Keyset) -> Result<()> {
        let objects = &self.shared.objects;
        let (catalog, root_key) = (&objects.layout.catalog, &objects.layout.root);
        // Sealed under the old key, so that a process that cannot decrypt the new root knows that
        // the root is genuine.
        let announcement = Announcement { root: root_digest(next.record()), data_key: *next.active_key().as_bytes() };
        self.submit.announce(announcement).await?;
        let changed =
            || Error::new(ErrorKind::KeyRotated, "another process has changed the keyset since this one read it");
        let known = objects.root();
        if known.record != *current.record() {
            return Err(changed());
        }
        let next = Root::new(Envelope::encrypted(next), known.revision);
        let precondition = Precondition::Unchanged(known.revision);
        objects.set_next_root(Some(next.clone()));
        let mut written = objects.write(catalog, root_key, next.record.clone(), precondition).await;
        if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict) {
            // A cluster may refuse a write because of a concurrent one, and the same record may
            // have been stored again under a new revision.
            if let Some(there) = objects.backend.get(catalog, root_key).await?
                && there.value == known.record
            {
                let precondition = Precondition::Unchanged(there.revision);
                written = objects.write(catalog, root_key, next.record.clone(), precondition).await;
            }
        }
        match written {
            Ok(revision) => objects.replace_root(Root { revision, ..next }),
            Err(error) => {
                // After an unknown outcome, the follower may still find the new root.
                if error.kind() != ErrorKind::OutcomeUnknown {
                    objects.set_next_root(None);
                }
                if error.kind() != ErrorKind::Conflict {
                    return Err(error);
                }
                repair::check_and_repair(&self.shared).await?;
                return Err(Error::new(ErrorKind::Conflict, "another process changed the keyset concurrently"));
            }
        }
        objects.set_next_root(None);
        self.write_barrier_and_fold().await
    }

    /// Writes an empty record, the barrier, and folds. This completes an interrupted rotation,
    /// because it moves the order to the epoch of the newest data key.
    pub(crate) async fn write_barrier_and_fold(&self) -> Result<()> {
        self.submit.operations(Vec::new()).await?;
        self.fold().await.map(drop)
    }

    pub(crate) fn keys(&self) -> Result<KeyReport> {
        let keyset = self.keyset()?;
        Ok(KeyReport { slots: keyset.slots(), data_keys: keyset.keys() })
    }

    fn keyset(&self) -> Result<Keyset> {
        let root = self.shared.objects.root();
        root.envelope
            .keyset()
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::NotEncrypted, "the index is not encrypted and has no keys"))
    }
}
