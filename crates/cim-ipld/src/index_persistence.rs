use std::fmt;

#[cfg(feature = "nats")]
use async_nats::jetstream;
use cim_ipld_persistence::envelope::{EncryptionKey, KeySource};
use cim_ipld_persistence::{Engine, KeyReport, Result};

use crate::IndexPersistenceBuilder;

/// The durable half of a [`ContentIndex`](crate::ContentIndex): an index in a store, sealed there under your key.
///
/// [`new`](Self::new) takes NATS JetStream; [`builder`](Self::builder) takes any store, a name, a passphrase or key
/// provider, and settings. Clones are the same index.
#[derive(Clone)]
pub struct IndexPersistence {
    engine: Engine,
}

impl IndexPersistence {
    /// Opens the default index in `jetstream`, or makes it when there is none.
    ///
    /// With a key, everything is sealed in this process before it is sent; without one, the index is stored in plaintext.
    /// An index that exists keeps its protection: a key for a plaintext index and no key for an encrypted one are errors.
    ///
    /// `server_encryption` says that the server is expected to encrypt its files as well. A client cannot see whether it
    /// does, because JetStream decrypts what it answers: what can be learned is checked, and the rest is the
    /// operator's word. See [`NatsEncryption`](crate::NatsEncryption) for the server's half of that promise.
    ///
    /// # Errors
    /// `WrongKey`, `KeyRequired`, `NotEncrypted`, `UnsupportedVersion`, `Damaged`; `Incompatible` for buckets that
    /// cannot hold an index, and for a server that is known not to do what `server_encryption` expects; `Unavailable`,
    /// `Denied`. A failed opening changes nothing in the store.
    #[cfg(feature = "nats")]
    pub async fn new(
        jetstream: jetstream::Context,
        encryption_key: Option<EncryptionKey>,
        server_encryption: bool,
    ) -> Result<Self> {
        let builder = Self::builder().jetstream(jetstream).server_encryption(server_encryption);
        match encryption_key {
            Some(key) => builder.encryption_key(key).open_or_create().await,
            None => builder.open_or_create().await,
        }
    }

    /// Returns a builder for an index.
    pub fn builder() -> IndexPersistenceBuilder {
        IndexPersistenceBuilder::default()
    }

    /// Makes `new_key` the one that opens this index, and lets a new data key of its algorithm seal what is written from
    /// now on. What was written before stays readable; the old key opens nothing any more.
    ///
    /// # Errors
    /// `NotEncrypted` for a plaintext index; `Conflict` and `KeyRotated` when another process changed the keys; what the
    /// store answers.
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
