//! Changing keys without losing what older ones sealed.

use cim_ipld_backend::Precondition;
use cim_ipld_envelope::{DataKeyInfo, EncryptionAlgorithm, Envelope, KeySlotInfo, KeySource, Keyset};

use crate::engine::Engine;
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

impl Engine {
    /// Makes `key` the one that opens this index, and lets a new data key of `algorithm` seal what is written from now on.
    /// What older data keys sealed stays readable; the old key opens nothing any more.
    ///
    /// The new keyset is durable before anything is sealed under it. Other processes go on until they meet an object under
    /// the new data key, and then ask to be opened again with `key`.
    ///
    /// # Errors
    /// `NotEncrypted` for a plaintext index, `Conflict` when another process changed the keyset at the same moment,
    /// `KeyRotated` when it had been changed before, and what the store answers.
    pub async fn rotate_key(&self, key: &KeySource, algorithm: EncryptionAlgorithm) -> Result<()> {
        let current = self.keyset()?;
        let next = current.with_slots_replaced(std::slice::from_ref(key)).await?.with_new_data_key(algorithm)?;
        let objects = &self.shared.objects;
        let (catalog_bucket, root) = (&objects.layout.catalog, &objects.layout.root);
        let stored = objects
            .backend
            .get(catalog_bucket, root)
            .await?
            .ok_or_else(|| Error::new(ErrorKind::Lost, "the keyset is gone from the store"))?;
        if stored.value != current.record() {
            let message = "another process changed the keyset since this one read it";
            return Err(Error::new(ErrorKind::KeyRotated, message));
        }
        let record = next.record().clone();
        objects.write(catalog_bucket, root, record, Precondition::Unchanged(stored.revision)).await?;
        objects.replace_envelope(Envelope::encrypted(next));
        Ok(())
    }

    /// Lists the keys of this index.
    ///
    /// # Errors
    /// `NotEncrypted` for a plaintext index.
    pub fn keys(&self) -> Result<KeyReport> {
        let keyset = self.keyset()?;
        Ok(KeyReport { slots: keyset.slots(), data_keys: keyset.keys() })
    }

    fn keyset(&self) -> Result<Keyset> {
        self.shared.check()?;
        let envelope = self.shared.objects.envelope();
        envelope
            .keyset()
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::NotEncrypted, "this index is not encrypted: it has no keys"))
    }
}
