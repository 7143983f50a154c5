use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "nats")]
use async_nats::jetstream;
#[cfg(feature = "embedded")]
use cim_ipld_embedded::EmbeddedBackend;
#[cfg(feature = "nats")]
use cim_ipld_nats::NatsBackend;
use cim_ipld_persistence::backend::{self, Backend};
use cim_ipld_persistence::envelope::{EncryptionAlgorithm, EncryptionKey, KeySource, Passphrase};
use cim_ipld_persistence::index::Analyzer;
use cim_ipld_persistence::{
    Engine, EngineBuilder, Environment, Error, ErrorKind, FilePin, IndexName, PinStore, Protection, Result, Settings,
};

use crate::index_persistence::IndexPersistence;

/// Opens or creates an index: where it is, what opens it, what remembers its newest state.
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
    analyzer: Option<Analyzer>,
    pin: Option<Arc<dyn PinStore>>,
    accepts_store: bool,
    environment: Environment,
    #[cfg(feature = "nats")]
    server_encryption: bool,
}

impl IndexPersistence {
    /// Opens the default index in `jetstream`, or makes it when there is none.
    ///
    /// With a key, everything is sealed in this process before it is sent; without one, the index
    /// is stored in plaintext. An index that exists keeps its protection: a key for a plaintext
    /// index and no key for an encrypted one are errors.
    ///
    /// `server_encryption` says that the server is expected to encrypt its files as well. A client
    /// cannot see whether it does, because JetStream decrypts what it answers: what can be learned
    /// is checked, and the rest is the operator's word. See
    /// [`NatsEncryption`](crate::NatsEncryption) for the server's half of that promise.
    ///
    /// # Errors
    /// `WrongKey`, `KeyRequired`, `NotEncrypted`, `UnsupportedVersion`, `Damaged`; `Incompatible`
    /// for buckets that cannot hold an index, and for a server that is known not to do what
    /// `server_encryption` expects; `Unavailable`, `Denied`. A failed opening changes nothing in
    /// the store.
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

    /// Expects the server of [`jetstream`](Self::jetstream) to encrypt its files. Ignored by other
    /// stores. [`IndexPersistence::new`] describes what of it can be checked.
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

    /// Gives what opens the index: a key, a passphrase with its cost, a hardware module or key
    /// service.
    pub fn key_source(mut self, key: impl Into<KeySource>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Chooses what seals the objects of a new index. Without a choice it is the algorithm of the
    /// key, and AES-256-GCM for what is no key.
    pub fn algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Sets the numbers that the engine works with.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Cuts texts and queries into words by `analyzer`. A new index keeps its description for good;
    /// one that is there has its own, and needs none here unless it is a tokenizer of the
    /// application ([`Analyze`](cim_ipld_persistence::index::Analyze)).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    ///
    /// use cim_ipld::backend::MemoryBackend;
    /// use cim_ipld::index::{Analyzer, Language, UnicodeWords};
    /// use cim_ipld::{ContentIndex, DocumentMetadata, IndexPersistence, SearchQuery, content_cid};
    ///
    /// let english = Analyzer::from(UnicodeWords::default().stem(Language::English));
    /// let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new())).analyzer(english);
    /// let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    ///
    /// let text = "Two whales were singing";
    /// index.index_document(content_cid(text.as_bytes()), &DocumentMetadata::default(), Some(text)).await?;
    /// assert_eq!(index.search(&SearchQuery::text("whale sings")).await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn analyzer(mut self, analyzer: Analyzer) -> Self {
        self.analyzer = Some(analyzer);
        self
    }

    /// Remembers the newest state of the index in the file at `path`, which belongs outside the
    /// store: an older state of the index is refused with `Rollback` then, and another history with
    /// `Forked`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    ///
    /// use cim_ipld::IndexPersistence;
    /// use cim_ipld::backend::MemoryBackend;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let pin = folder.path().join("photos.pin");
    /// let backend = Arc::new(MemoryBackend::new());
    /// let persistence = IndexPersistence::builder().backend(backend).pin(&pin).create().await?;
    /// assert!(pin.exists());
    /// # Ok(())
    /// # }
    /// ```
    pub fn pin(self, path: impl Into<PathBuf>) -> Self {
        self.pin_store(Arc::new(FilePin::new(path)))
    }

    /// Remembers the newest state of the index in a place of your own, as [`pin`](Self::pin) does
    /// in a file.
    pub fn pin_store(mut self, pin: Arc<dyn PinStore>) -> Self {
        self.pin = Some(pin);
        self
    }

    /// Accepts the state that the store shows now, whatever the pin remembers, and pins that. An
    /// encrypted index begins a new epoch by it, so that what was lost cannot come back later.
    pub fn accept_store(mut self) -> Self {
        self.accepts_store = true;
        self
    }

    /// Takes time and randomness from `environment`.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Opens the index that is there.
    ///
    /// # Errors
    /// `NoIndex`, and as for [`open_or_create`](Self::open_or_create).
    pub async fn open(mut self) -> Result<IndexPersistence> {
        let key = self.key.take();
        Ok(self.engine(Missing::IsAnError).await?.open(key).await?.into())
    }

    /// Makes a new index.
    ///
    /// # Errors
    /// `IndexExists`, `InvalidInput` for an algorithm without a key, and as for
    /// [`open_or_create`](Self::open_or_create).
    pub async fn create(mut self) -> Result<IndexPersistence> {
        let protection = Protection::of(self.key.take(), self.algorithm)?;
        Ok(self.engine(Missing::IsMade).await?.create(protection).await?.into())
    }

    /// Opens the index that is there, or makes it when there is none.
    ///
    /// # Errors
    /// `WrongKey`, `KeyRequired`, `NotEncrypted`, `UnsupportedVersion`, `Damaged`, `Lost`; with a
    /// pin `Rollback`, `Forked`, `PinUnavailable`; `Incompatible` for another analyzer than that of
    /// the index; `InvalidInput` when no store was named; `Locked` when another process holds the
    /// folder; what the store answers. A failed opening changes nothing in the store.
    pub async fn open_or_create(mut self) -> Result<IndexPersistence> {
        let (key, algorithm) = (self.key.take(), self.algorithm);
        Ok(self.engine(Missing::IsMade).await?.open_or_create(key, algorithm).await?.into())
    }

    async fn engine(self, missing: Missing) -> Result<EngineBuilder> {
        let backend = self.connect(missing).await?;
        let engine = Engine::builder(backend).name(self.name).settings(self.settings).environment(self.environment);
        let engine = match self.analyzer {
            Some(analyzer) => engine.analyzer(analyzer),
            None => engine,
        };
        let engine = match self.pin {
            Some(pin) => engine.pin(pin),
            None => engine,
        };
        Ok(if self.accepts_store { engine.accept_store() } else { engine })
    }

    #[cfg_attr(not(feature = "embedded"), expect(unused_variables, reason = "only a folder can be missing"))]
    async fn connect(&self, missing: Missing) -> Result<Arc<dyn Backend>> {
        match &self.store {
            Some(Store::Backend(backend)) => Ok(Arc::clone(backend)),
            #[cfg(feature = "embedded")]
            Some(Store::Folder(folder)) => Ok(Arc::new(match missing {
                Missing::IsMade => EmbeddedBackend::open(folder).await?,
                Missing::IsAnError => EmbeddedBackend::open_existing(folder).await.map_err(unopened)?,
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

/// A folder without a store holds no index either.
#[cfg(feature = "embedded")]
fn unopened(error: backend::Error) -> Error {
    match error.kind() {
        backend::ErrorKind::BucketMissing => Error::new(ErrorKind::NoIndex, error.to_string()).with_source(error),
        _ => error.into(),
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
