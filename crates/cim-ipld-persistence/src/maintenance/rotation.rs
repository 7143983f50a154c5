//! Changing keys without losing what older ones sealed.

use cim_ipld_backend::Precondition;
use cim_ipld_envelope::{DataKeyInfo, EncryptionAlgorithm, Envelope, KeySlotInfo, KeySource, Keyset};

use super::Maintenance;
use crate::format::announcement::Announcement;
use crate::history::remains;
use crate::objects::{Root, root_digest};
use crate::{Error, ErrorKind, Result};

/// The keys of an index: what they are, never what they hold.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyReport {
    /// Keys and passphrases that open the index.
    pub slots: Vec<KeySlotInfo>,
    /// Data keys that seal its objects.
    pub data_keys: Vec<DataKeyInfo>,
}

impl Maintenance {
    pub(crate) async fn rotate_key(&self, key: &KeySource, algorithm: EncryptionAlgorithm) -> Result<()> {
        let current = self.keyset()?;
        let next = current.with_slots_replaced(std::slice::from_ref(key)).await?.with_new_data_key(algorithm)?;
        self.publish_keyset(&current, next).await
    }

    /// Lets a new data key seal what is written from now on, under the same keys: a new epoch.
    pub(crate) async fn begin_epoch(&self) -> Result<()> {
        let current = self.keyset()?;
        let next = current.with_new_data_key(current.algorithm())?;
        self.publish_keyset(&current, next).await
    }

    /// Replaces the root, then retires the older data keys: a record under the new one gives the
    /// position from which they authenticate nothing, and a manifest holds everything up to it.
    async fn publish_keyset(&self, current: &Keyset, next: Keyset) -> Result<()> {
        let objects = &self.shared.objects;
        let (catalog, root_key) = (&objects.layout.catalog, &objects.layout.root);
        // Under the old key: whoever cannot open the new root knows by this that it is one.
        let announcement = Announcement { root: root_digest(next.record()), data_key: *next.active_key().as_bytes() };
        self.submit.announce(announcement).await?;
        let changed = || Error::new(ErrorKind::KeyRotated, "another process changed the keyset since this one read it");
        let known = objects.root();
        if known.record != *current.record() {
            return Err(changed());
        }
        let next = Root::new(Envelope::encrypted(next), known.revision);
        let precondition = Precondition::Unchanged(known.revision);
        objects.set_next_root(Some(next.clone()));
        let mut written = objects.write(catalog, root_key, next.record.clone(), precondition).await;
        if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict) {
            // A cluster may refuse a write beside another one, and somebody may have put the same
            // record again.
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
                // After an unknown outcome the follower may still come to it.
                if error.kind() != ErrorKind::OutcomeUnknown {
                    objects.set_next_root(None);
                }
                if error.kind() != ErrorKind::Conflict {
                    return Err(error);
                }
                remains::check(&self.shared).await?;
                return Err(Error::new(ErrorKind::Conflict, "another process changed the keyset at the same moment"));
            }
        }
        objects.set_next_root(None);
        self.finish_rotation().await
    }

    /// Puts a record that changes nothing, and folds: brings the order into the epoch of the newest
    /// data key, if a rotation was cut off before it did.
    pub(crate) async fn finish_rotation(&self) -> Result<()> {
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
            .ok_or_else(|| Error::new(ErrorKind::NotEncrypted, "this index is not encrypted: it has no keys"))
    }
}
