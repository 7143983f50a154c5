use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "nats")]
use async_nats::jetstream;
#[cfg(feature = "embedded")]
use cim_ipld_embedded::{EmbeddedBackend, EmbeddedSettings};
#[cfg(feature = "nats")]
use cim_ipld_nats::NatsBackend;
use cim_ipld_persistence::backend::{self, Backend};
use cim_ipld_persistence::envelope::{EncryptionAlgorithm, EncryptionKey, KeySource, Passphrase};
use cim_ipld_persistence::index::Analyzer;
use cim_ipld_persistence::{
    Engine, EngineBuilder, Environment, Error, ErrorKind, FilePin, ImportOptions, IndexName, PinStore, Protection,
    Result, Settings,
};

use crate::index_persistence::IndexPersistence;

/// A builder that opens or creates an index.
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
    /// Opens the default index in `jetstream`, or creates it if it does not exist.
    ///
    /// With a key, everything is encrypted in this process before it is sent; without one, the
    /// index is stored in plaintext. An existing index keeps its protection: giving a key for a
    /// plaintext index, or none for an encrypted one, is an error.
    ///
    /// `server_encryption` states that the server is expected to encrypt its files as well. A
    /// client cannot verify that, because JetStream decrypts the data before it responds; opening
    /// the index only checks that JetStream responds; whether the server encrypts is up to its
    /// operator. [`NatsEncryption`](crate::NatsEncryption) configures the server.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cim_ipld::nats::async_nats;
    /// use cim_ipld::{ContentEncryption, EncryptionAlgorithm, IndexPersistence};
    ///
    /// let client = async_nats::connect("nats://127.0.0.1:4222").await?;
    /// let jetstream = async_nats::jetstream::new(client);
    /// let key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
    /// let persistence = IndexPersistence::new(jetstream, Some(key), false).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`IndexPersistenceBuilder::open_or_create`], and, if
    /// `server_encryption` is set, those of the check that JetStream responds.
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

    /// Stores the index in a folder, which only one process can open at a time.
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

    /// Sets whether the server of [`jetstream`](Self::jetstream) is expected to encrypt its files,
    /// as described at [`IndexPersistence::new`]. Ignored by other stores.
    #[cfg(feature = "nats")]
    pub fn server_encryption(mut self, expected: bool) -> Self {
        self.server_encryption = expected;
        self
    }

    /// Selects one of several indexes in the store by name. By default, the builder opens the
    /// default index, which has no name.
    pub fn name(mut self, name: IndexName) -> Self {
        self.name = name;
        self
    }

    /// Sets the key of the index.
    pub fn encryption_key(self, key: EncryptionKey) -> Self {
        self.key_source(key)
    }

    /// Sets the passphrase of the index.
    pub fn passphrase(self, passphrase: Passphrase) -> Self {
        self.key_source(passphrase)
    }

    /// Sets the key source of the index: a key, a passphrase with its cost parameters, or a
    /// provider such as a hardware module or a key service.
    pub fn key_source(mut self, key: impl Into<KeySource>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the algorithm that encrypts a new index. The default is the algorithm of the key, or
    /// AES-256-GCM for other key sources.
    pub fn algorithm(mut self, algorithm: EncryptionAlgorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Sets the tuning parameters of the engine. A folder opened by this builder keeps to its share
    /// of the memory budget.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the analyzer that splits texts and queries into words. A new index stores the
    /// description of its analyzer permanently. An existing index is opened with the analyzer that
    /// it describes, so this is needed only for a custom
    /// [`Analyze`](cim_ipld_persistence::index::Analyze) implementation.
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

    /// Records the newest state of the index in the file at `path`, which should be outside the
    /// store. A store with an older state is then refused with [`Rollback`](ErrorKind::Rollback),
    /// and a store with another history with [`Forked`](ErrorKind::Forked).
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

    /// Records the newest state of the index in `pin`, as [`pin`](Self::pin) does in a file.
    pub fn pin_store(mut self, pin: Arc<dyn PinStore>) -> Self {
        self.pin = Some(pin);
        self
    }

    /// Accepts the current state of the store regardless of the pin, and records it in the pin. An
    /// encrypted index also gets a new data key, so that writes that are missing from the store now
    /// cannot be accepted if they reappear later.
    pub fn accept_store(mut self) -> Self {
        self.accepts_store = true;
        self
    }

    /// Sets the source of time and randomness.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Opens an existing index.
    ///
    /// # Errors
    /// [`NoIndex`](ErrorKind::NoIndex) if there is none, and otherwise the same as for
    /// [`open_or_create`](Self::open_or_create).
    pub async fn open(mut self) -> Result<IndexPersistence> {
        let key = self.key.take();
        Ok(self.engine(Missing::Fail).await?.open(key).await?.into())
    }

    /// Creates a new index.
    ///
    /// # Errors
    /// [`IndexExists`](ErrorKind::IndexExists) if there is one,
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an algorithm without a key, and otherwise the
    /// same as for [`open_or_create`](Self::open_or_create).
    pub async fn create(mut self) -> Result<IndexPersistence> {
        let protection = Protection::of(self.key.take(), self.algorithm)?;
        Ok(self.engine(Missing::Create).await?.create(protection).await?.into())
    }

    /// Opens the index, or creates it if it does not exist.
    ///
    /// # Errors
    /// * [`InvalidInput`](ErrorKind::InvalidInput) if no store was set.
    /// * [`Locked`](ErrorKind::Locked) if another process has the folder open.
    /// * The errors of [`EngineBuilder::open`] and [`EngineBuilder::create`].
    pub async fn open_or_create(mut self) -> Result<IndexPersistence> {
        let (key, algorithm) = (self.key.take(), self.algorithm);
        Ok(self.engine(Missing::Create).await?.open_or_create(key, algorithm).await?.into())
    }

    /// Creates an index in an empty store from an archive that
    /// [`backup_to`](crate::ContentIndex::backup_to) or an export wrote, and opens it. Continues if
    /// an earlier call was interrupted.
    ///
    /// # Errors
    /// [`IndexExists`](ErrorKind::IndexExists) if the store is not empty,
    /// [`Damaged`](ErrorKind::Damaged) if the archive is incomplete or was altered, and otherwise
    /// the same as for [`EngineBuilder::import`].
    pub async fn restore_from(mut self, path: impl AsRef<Path>) -> Result<IndexPersistence> {
        let key = self.key.take();
        let engine = self.engine(Missing::Create).await?;
        Ok(engine.import_file(path, key, ImportOptions::default()).await?.engine.into())
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

    #[cfg(feature = "embedded")]
    fn embedded(&self) -> EmbeddedSettings {
        EmbeddedSettings::within(self.settings.budget().store_bytes() as u64)
    }

    #[cfg_attr(not(feature = "embedded"), expect(unused_variables, reason = "only a folder can be missing"))]
    async fn connect(&self, missing: Missing) -> Result<Arc<dyn Backend>> {
        match &self.store {
            Some(Store::Backend(backend)) => Ok(Arc::clone(backend)),
            #[cfg(feature = "embedded")]
            Some(Store::Folder(folder)) => Ok(Arc::new(match missing {
                Missing::Create => EmbeddedBackend::open_with(folder, self.embedded()).await?,
                Missing::Fail => {
                    EmbeddedBackend::open_existing_with(folder, self.embedded()).await.map_err(unopened)?
                }
            })),
            #[cfg(feature = "nats")]
            Some(Store::JetStream(context)) => {
                let backend = NatsBackend::new(context.clone());
                if self.server_encryption {
                    backend.expect_server_encryption().await?;
                }
                Ok(Arc::new(backend))
            }
            None => Err(Error::new(
                ErrorKind::InvalidInput,
                "no store was set for the index: call backend, folder or jetstream",
            )),
        }
    }
}

/// Converts an error of opening a folder. A folder without a store contains no index.
#[cfg(feature = "embedded")]
fn unopened(error: backend::Error) -> Error {
    match error.kind() {
        backend::ErrorKind::BucketMissing => Error::new(ErrorKind::NoIndex, error.to_string()).with_source(error),
        _ => error.into(),
    }
}

/// What to do if the store does not exist.
#[derive(Clone, Copy)]
enum Missing {
    Create,
    Fail,
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
