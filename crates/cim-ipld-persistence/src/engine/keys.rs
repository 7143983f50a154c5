//! The keys of an index.

use cim_ipld_envelope::{EncryptionAlgorithm, KeySource};

use super::Engine;
use crate::Result;
use crate::maintenance::rotation::KeyReport;

impl Engine {
    /// Makes `key` the one that opens this index, and lets a new data key of `algorithm` seal what
    /// is written from now on. What older data keys sealed stays readable; the old key opens
    /// nothing any more, and the old data keys authenticate nothing that was written after this
    /// returned.
    ///
    /// The new keyset is durable before anything is sealed under it. Other processes stop writing
    /// before they acknowledge anything under the old key, and ask to be opened again with `key`.
    ///
    /// # Errors
    /// `NotEncrypted` for a plaintext index, `Conflict` when another process changed the keyset at
    /// the same moment, `KeyRotated` when it had been changed before, and what the store answers. A
    /// rotation that was cut off shows in [`stats`](Engine::stats).
    pub async fn rotate_key(&self, key: &KeySource, algorithm: EncryptionAlgorithm) -> Result<()> {
        self.shared.check()?;
        self.maintenance.rotate_key(key, algorithm).await
    }

    /// Brings a rotation to its end that was cut off between the new keyset and the retirement of
    /// the old data keys.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn finish_rotation(&self) -> Result<()> {
        self.shared.check()?;
        self.maintenance.finish_rotation().await
    }

    /// Lists the keys of this index.
    ///
    /// # Errors
    /// `NotEncrypted` for a plaintext index.
    pub fn keys(&self) -> Result<KeyReport> {
        self.shared.check()?;
        self.maintenance.keys()
    }
}
