use std::fmt;
#[cfg(feature = "embedded")]
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "nats")]
use async_nats::jetstream;
#[cfg(feature = "embedded")]
use cim_ipld_embedded::EmbeddedBackend;
#[cfg(feature = "nats")]
use cim_ipld_nats::NatsBackend;
use cim_ipld_persistence::backend::Backend;
use cim_ipld_persistence::envelope::{EncryptionAlgorithm, EncryptionKey, KeySource, Passphrase};
use cim_ipld_persistence::{Engine, Error, ErrorKind, IndexName, Protection, Result, Settings};

use crate::IndexPersistence;

/// Says where an index is, what opens it and how much memory it may take.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld::Error> {
/// use std::sync::Arc;
///
/// use cim_ipld::backend::MemoryBackend;
/// use cim_ipld::{IndexName, IndexPersistence, Passphrase};
///
/// let passphrase = Passphrase::new(String::from("correct horse battery staple"))?;
/// let persistence = IndexPersistence::builder()
///     .backend(Arc::new(MemoryBackend::new()))
///     .name(IndexName::new("photos")?)
///     .passphrase(passphrase)
///     .create()
///     .await?;
/// assert_eq!(persistence.keys()?.slots.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use = "a builder does nothing until it opens or creates an index"]
pub struct IndexPersistenceBuilder {
    store: Option<Store>,
    name: IndexName,
    key: Option<KeySource>,
    algorithm: Option<EncryptionAlgorithm>,
    settings: Settings,
    #[cfg(feature = "nats")]
    server_encryption: bool,
}

enum Store {
    Backend(Arc<dyn Backend>),
    #[cfg(feature = "embedded")]
    Folder(PathBuf),
    #[cfg(feature = "nats")]
    JetStream(jetstream::Context),
}

impl IndexPersistenceBuilder {
    /// Stores the index in `backend`.
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.store = Some(Store::Backend(backend));
        self
    }

    /// Stores the index in a folder, for one process at a time.
    #[cfg(feature = "embedded")]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.store = Some(Store::Folder(folder.into()));
        self
    }

    /// Stores the index in Key-Value buckets of NATS JetStream.
    #[cfg(feature = "nats")]
    pub fn jetstream(mut self, context: jetstream::Context) -> Self {
        self.store = Some(Store::JetStream(context));
        self
    }

    /// Says whether the server of [`jetstream`](Self::jetstream) is expected to encrypt its files. Says nothing to other
    /// stores. [`IndexPersistence::new`] tells what of it can be checked.
    #[cfg(feature = "nats")]
    pub fn server_encryption(mut self, expected: bool) -> Self {
        self.server_encryption = expected;
        self
    }

    /// Names one of several indexes in the store; without a name it is the default one.
    pub fn name(mut self, name: IndexName) -> Self {
        self.name = name;
        self
    }

    /// Gives the key of the index.
    pub fn encryption_key(self, key: EncryptionKey) -> Self {
        self.key_source(key)
    }

    /// Gives the passphrase of the index.
    pub fn passphrase(self, passphrase: Passphrase) -> Self {
        self.key_source(passphrase)
    }

    /// Gives what opens the index: a key, a passphrase with its cost, a hardware module or key service.
    pub fn key_source(mut self, key: impl Into<KeySource>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Chooses what seals the objects of a new index. Without a choice it is the algorithm of the key, and AES-256-GCM for
    /// what is no key.
    pub fn algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Sets the numbers that the engine works with.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Opens the index that is there.
    ///
    /// # Errors
    /// `NoIndex`, and as for [`open_or_create`](Self::open_or_create).
    pub async fn open(self) -> Result<IndexPersistence> {
        let backend = self.connect(Missing::IsAnError).await?;
        Ok(Engine::open(backend, &self.name, self.key, self.settings).await?.into())
    }

    /// Makes a new index.
    ///
    /// # Errors
    /// `IndexExists`, `InvalidInput` for an algorithm without a key, and as for [`open_or_create`](Self::open_or_create).
    pub async fn create(self) -> Result<IndexPersistence> {
        let backend = self.connect(Missing::IsMade).await?;
        self.create_in(backend).await
    }

    /// Opens the index that is there, or makes it when there is none.
    ///
    /// # Errors
    /// `WrongKey`, `KeyRequired`, `NotEncrypted`, `UnsupportedVersion`, `Damaged`, `Lost`; `InvalidInput` when no store
    /// was named; `Locked` when another process holds the folder; what the store answers. A failed opening changes
    /// nothing in the store.
    pub async fn open_or_create(self) -> Result<IndexPersistence> {
        let backend = self.connect(Missing::IsMade).await?;
        if Engine::exists(&*backend, &self.name).await? {
            return Ok(Engine::open(backend, &self.name, self.key, self.settings).await?.into());
        }
        let (name, settings) = (self.name.clone(), self.settings.clone());
        let key = self.key.as_ref().map(KeySource::duplicate);
        match self.create_in(Arc::clone(&backend)).await {
            // Another process made it at this moment.
            Err(error) if error.kind() == ErrorKind::IndexExists => {
                Ok(Engine::open(backend, &name, key, settings).await?.into())
            }
            created => created,
        }
    }

    async fn create_in(self, backend: Arc<dyn Backend>) -> Result<IndexPersistence> {
        let protection = match self.key {
            Some(key) => {
                let own = match &key {
                    KeySource::Key(key) => key.algorithm(),
                    _ => EncryptionAlgorithm::AES256GCM,
                };
                Protection::Encrypted { algorithm: self.algorithm.unwrap_or(own), key }
            }
            None if self.algorithm.is_some() => {
                let message = "an algorithm was chosen for the index, and no key was given";
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
            None => Protection::Plaintext,
        };
        Ok(Engine::create(backend, &self.name, protection, self.settings).await?.into())
    }

    #[cfg_attr(not(feature = "embedded"), expect(unused_variables, reason = "only a folder can be missing"))]
    async fn connect(&self, missing: Missing) -> Result<Arc<dyn Backend>> {
        match &self.store {
            Some(Store::Backend(backend)) => Ok(Arc::clone(backend)),
            #[cfg(feature = "embedded")]
            Some(Store::Folder(folder)) => Ok(Arc::new(match missing {
                Missing::IsMade => EmbeddedBackend::open(folder).await?,
                Missing::IsAnError => EmbeddedBackend::open_existing(folder).await?,
            })),
            #[cfg(feature = "nats")]
            Some(Store::JetStream(context)) => {
                let backend = NatsBackend::new(context.clone());
                if self.server_encryption {
                    backend.expect_server_encryption().await?;
                }
                Ok(Arc::new(backend))
            }
            None => Err(Error::new(ErrorKind::InvalidInput, "no store was named for the index")),
        }
    }
}

/// What it means that the store is not there.
#[derive(Clone, Copy)]
enum Missing {
    IsMade,
    IsAnError,
}

impl fmt::Debug for IndexPersistenceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexPersistenceBuilder")
            .field("name", &self.name)
            .field("key", &self.key)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
