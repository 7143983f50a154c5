//! The keys of an index.

use cim_ipld_envelope::{EncryptionAlgorithm, KeySource};

use super::Engine;
use crate::Result;
use crate::maintenance::rotation::KeyReport;

impl Engine {
    /// Replaces every key that opens this index with `key`, and encrypts later writes under a new
    /// data key of `algorithm`. Existing objects remain readable and are not rewritten. The old key
    /// can no longer open the index, and the old data keys no longer authenticate anything written
    /// after this returns.
    ///
    /// The new keyset is durable before anything is sealed under it. Other processes stop
    /// acknowledging writes and fail with [`KeyRotated`](crate::ErrorKind::KeyRotated) until they
    /// open the index again with `key`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, KeySource};
    /// # use cim_ipld_persistence::{Engine, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let key = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM);
    /// # let engine = builder.create(Protection::of(Some(key.into()), None)?).await?;
    /// let new_key = EncryptionKey::generate(EncryptionAlgorithm::ChaCha20Poly1305);
    /// engine.rotate_key(&KeySource::Key(new_key), EncryptionAlgorithm::ChaCha20Poly1305).await?;
    /// assert_eq!(engine.algorithm(), Some(EncryptionAlgorithm::ChaCha20Poly1305));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`NotEncrypted`](crate::ErrorKind::NotEncrypted) for a plaintext index.
    /// * [`Conflict`](crate::ErrorKind::Conflict) if another process changed the keyset
    ///   concurrently, and [`KeyRotated`](crate::ErrorKind::KeyRotated) if it had been changed
    ///   before.
    /// * [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied) or
    ///   [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) as reported by the store.
    ///   [`stats`](Engine::stats) shows whether the rotation was left unfinished.
    pub async fn rotate_key(&self, key: &KeySource, algorithm: EncryptionAlgorithm) -> Result<()> {
        self.shared.check()?;
        self.maintenance.rotate_key(key, algorithm).await
    }

    /// Completes a rotation that was interrupted after the new keyset was stored and before the old
    /// data keys were retired.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, KeySource};
    /// # use cim_ipld_persistence::{Engine, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let key = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM);
    /// # let engine = builder.create(Protection::of(Some(key.into()), None)?).await?;
    /// engine.finish_rotation().await?;
    /// assert!(!engine.stats().await?.rotation_unfinished);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`index`](Engine::index) and [`fold`](Engine::fold).
    pub async fn finish_rotation(&self) -> Result<()> {
        self.shared.check()?;
        self.maintenance.write_barrier_and_fold().await
    }

    /// Lists the keys of this index.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, KeySource};
    /// # use cim_ipld_persistence::{Engine, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let key = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM);
    /// # let engine = builder.create(Protection::of(Some(key.into()), None)?).await?;
    /// let keys = engine.keys()?;
    /// assert_eq!((keys.slots.len(), keys.data_keys.len()), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NotEncrypted`](crate::ErrorKind::NotEncrypted) for a plaintext index.
    pub fn keys(&self) -> Result<KeyReport> {
        self.shared.check()?;
        self.maintenance.keys()
    }
}
