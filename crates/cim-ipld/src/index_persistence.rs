use std::fmt;

use cim_ipld_persistence::envelope::{EncryptionKey, KeySource};
use cim_ipld_persistence::{Engine, KeyReport, Result};

/// The durable half of a [`ContentIndex`](crate::ContentIndex): an index in a store, sealed there
/// under your key.
///
/// [`new`](Self::new) takes NATS JetStream; [`builder`](Self::builder) takes any store, a name, a
/// passphrase or key provider, and settings. Clones are the same index.
#[derive(Clone)]
pub struct IndexPersistence {
    engine: Engine,
}

impl IndexPersistence {
    /// Makes `new_key` the one that opens this index, and lets a new data key of its algorithm seal
    /// what is written from now on. What was written before stays readable; the old key opens
    /// nothing any more.
    ///
    /// # Errors
    /// `NotEncrypted` for a plaintext index; `Conflict` and `KeyRotated` when another process
    /// changed the keys; what the store answers.
    pub async fn rotate_encryption_key(&self, new_key: EncryptionKey) -> Result<()> {
        let algorithm = new_key.algorithm();
        self.engine.rotate_key(&KeySource::Key(new_key), algorithm).await
    }

    /// Lists the keys of the index: what they are, never what they hold.
    ///
    /// # Errors
    /// `NotEncrypted` for a plaintext index.
    pub fn keys(&self) -> Result<KeyReport> {
        self.engine.keys()
    }

    /// Returns the engine underneath, which does all that this facade does not name.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl From<Engine> for IndexPersistence {
    fn from(engine: Engine) -> Self {
        Self { engine }
    }
}

impl fmt::Debug for IndexPersistence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IndexPersistence").field(&self.engine).finish()
    }
}
