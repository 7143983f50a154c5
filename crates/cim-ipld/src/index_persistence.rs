use std::fmt;

use cim_ipld_persistence::envelope::{EncryptionKey, KeySource};
use cim_ipld_persistence::{Engine, KeyReport, Result};

/// The persistence of a [`ContentIndex`](crate::ContentIndex): an index in a store, encrypted if it
/// was created with a key.
///
/// [`new`](Self::new) opens an index in NATS JetStream. [`builder`](Self::builder) accepts any
/// store, a name, a passphrase or key provider, and settings. Clones share one index.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld::Error> {
/// use std::sync::Arc;
///
/// use cim_ipld::backend::MemoryBackend;
/// use cim_ipld::{ContentEncryption, EncryptionAlgorithm, IndexPersistence};
///
/// let generate = || ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
/// let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
/// let persistence = builder.encryption_key(generate()).create().await?;
/// persistence.rotate_encryption_key(generate()).await?;
/// assert_eq!(persistence.keys()?.data_keys.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct IndexPersistence {
    engine: Engine,
}

impl IndexPersistence {
    /// Replaces the key of this index with `new_key`. Later writes are encrypted under a new data
    /// key, with the algorithm of `new_key`. Existing objects remain readable; the old key no
    /// longer opens the index.
    ///
    /// # Errors
    /// The same as for [`Engine::rotate_key`].
    pub async fn rotate_encryption_key(&self, new_key: EncryptionKey) -> Result<()> {
        let algorithm = new_key.algorithm();
        self.engine.rotate_key(&KeySource::Key(new_key), algorithm).await
    }

    /// Lists the keys of the index, without any key material.
    ///
    /// # Errors
    /// [`NotEncrypted`](crate::ErrorKind::NotEncrypted) for a plaintext index.
    pub fn keys(&self) -> Result<KeyReport> {
        self.engine.keys()
    }

    /// Returns the underlying engine, which has further operations.
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
