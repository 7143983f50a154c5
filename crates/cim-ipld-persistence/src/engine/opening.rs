//! The builder that creates and opens indexes.

use std::fmt;
use std::sync::Arc;

use cim_ipld_backend::{Backend, ErrorKind as StoreErrorKind};
use cim_ipld_envelope::{EncryptionAlgorithm, Envelope, KeySource};
use cim_ipld_index::Analyzer;

use super::Engine;
use super::creation::{self, StoreContents};
use super::open_checks::open_under_root;
use super::protection::Protection;
use crate::environment::Environment;
use crate::history::pin::{self, PinInfo, PinStore};
use crate::objects::layout::{IndexName, Layout};
use crate::objects::{Objects, Root};
use crate::rules::Rules;
use crate::{ErrorKind, Result, Settings};

/// Creates or opens an index in a backend.
///
/// ```
/// use std::sync::Arc;
///
/// use cim_ipld_backend::MemoryBackend;
/// use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey};
/// use cim_ipld_persistence::{Engine, FilePin, IndexName};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let key = EncryptionKey::generate(EncryptionAlgorithm::AES256GCM);
/// let engine = Engine::builder(Arc::new(MemoryBackend::new()))
///     .name(IndexName::new("photos")?)
///     .pin(Arc::new(FilePin::new(folder.path().join("photos.pin"))))
///     .open_or_create(Some(key.into()), None)
///     .await?;
/// engine.close().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it opens or creates an index"]
pub struct EngineBuilder {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) name: IndexName,
    pub(super) settings: Settings,
    pub(super) analyzer: Option<Analyzer>,
    pub(super) pin: Option<Arc<dyn PinStore>>,
    pub(super) accepts_older: bool,
    pub(super) environment: Environment,
    pub(super) rules: Rules,
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl EngineBuilder {
    /// Selects one of several indexes in the backend by name. Without this call, the default index
    /// is used.
    pub fn name(mut self, name: IndexName) -> Self {
        self.name = name;
        self
    }

    /// Sets the tuning parameters of the engine.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the analyzer that splits texts and queries into words.
    ///
    /// A new index stores the description of its analyzer permanently; without this call, that is
    /// [`Analyzer::default`]. An existing index is opened with the analyzer with which it was
    /// created. That analyzer has to be given here only if it is the application's own
    /// implementation of [`Analyze`](cim_ipld_index::Analyze).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, Protection};
    /// use cim_ipld_persistence::index::{Analyzer, AnalyzerSpec};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let languages: AnalyzerSpec = "en,de".parse()?;
    /// let builder = Engine::builder(Arc::new(MemoryBackend::new())).analyzer(Analyzer::from_spec(&languages)?);
    /// let engine = builder.create(Protection::Plaintext).await?;
    /// assert_eq!(engine.analyzer().spec(), languages);
    /// # Ok(())
    /// # }
    /// ```
    pub fn analyzer(mut self, analyzer: Analyzer) -> Self {
        self.analyzer = Some(analyzer);
        self
    }

    /// Records the newest state of the index in `pin`, outside the store. A store that holds an
    /// older state is then refused with [`Rollback`](ErrorKind::Rollback), and one with a different
    /// history with [`Forked`](ErrorKind::Forked).
    pub fn pin(mut self, pin: Arc<dyn PinStore>) -> Self {
        self.pin = Some(pin);
        self
    }

    /// Accepts the state that the store holds now, whatever the pin records, and pins that state.
    /// An encrypted index starts a new epoch with a new data key, so that lost records cannot be
    /// accepted if they reappear.
    pub fn accept_store(mut self) -> Self {
        self.accepts_older = true;
        self
    }

    /// Sets the source of time and randomness.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Sets the protocol rules in force, so that a simulation can remove some of them.
    #[cfg(feature = "simulation")]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Creates a new index and opens it. A creation that a crash interrupted is completed.
    ///
    /// # Errors
    /// * [`IndexExists`](ErrorKind::IndexExists) if there is an index of this name.
    /// * [`InvalidInput`](ErrorKind::InvalidInput) if the analyzer cannot be stored.
    /// * [`Lost`](ErrorKind::Lost) if the store holds objects of an index whose root or manifest is
    ///   missing.
    /// * [`Incompatible`](ErrorKind::Incompatible) if the store cannot hold the largest page.
    /// * [`WrongKey`](ErrorKind::WrongKey), [`KeyRequired`](ErrorKind::KeyRequired) or
    ///   [`NotEncrypted`](ErrorKind::NotEncrypted) if a creation was started here with another key.
    /// * [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied) or
    ///   [`Full`](ErrorKind::Full) as reported by the store.
    pub async fn create(self, protection: Protection) -> Result<Engine> {
        let layout = Layout::new(&self.name)?;
        let analyzer = creation::describe(self.analyzer.as_ref())?;
        creation::check_limits(&*self.backend)?;
        creation::refuse_existing(&*self.backend, &layout).await?;
        // Read before anything is created, since the pin may be unusable. Whatever it records is
        // not this new index.
        let pinned = self.pinned().await?;
        for bucket in layout.buckets() {
            self.backend.create(bucket).await?;
        }
        let environment = self.environment.clone();
        let backend = Arc::clone(&self.backend);
        let objects =
            creation::create(backend, layout, protection, analyzer, &self.settings, environment, self.rules).await?;
        self.start(objects, None, pinned).await
    }

    /// Opens an existing index. It is searchable once the tail of the journal has been read.
    ///
    /// # Errors
    /// A failed opening changes nothing in the index, except that it may restore an overwritten
    /// root or manifest entry, and that with [`accept_store`](Self::accept_store) a new epoch may
    /// have begun.
    ///
    /// * [`NoIndex`](ErrorKind::NoIndex) if there is no index of this name.
    /// * [`KeyRequired`](ErrorKind::KeyRequired), [`WrongKey`](ErrorKind::WrongKey) or
    ///   [`NotEncrypted`](ErrorKind::NotEncrypted) if the key does not fit the index.
    /// * [`UnsupportedVersion`](ErrorKind::UnsupportedVersion) if the index was written by a newer
    ///   version of the software.
    /// * [`Damaged`](ErrorKind::Damaged) or [`Lost`](ErrorKind::Lost) if an object of the index
    ///   cannot be decrypted or is missing.
    /// * [`Rollback`](ErrorKind::Rollback) or [`Forked`](ErrorKind::Forked) if the store holds an
    ///   older state than the pin or a different history, and
    ///   [`PinUnavailable`](ErrorKind::PinUnavailable) if the pin cannot be read or written.
    /// * [`Incompatible`](ErrorKind::Incompatible) if the given [`analyzer`](Self::analyzer)
    ///   differs from that of the index.
    /// * [`Unavailable`](ErrorKind::Unavailable) or [`Denied`](ErrorKind::Denied) as reported by
    ///   the store.
    pub async fn open(self, key: Option<KeySource>) -> Result<Engine> {
        match self.clone_parts().open_once(key.as_ref()).await {
            // Another process that shares the pin may have advanced it between the two reads.
            Err(error) if self.pin.is_some() && matches!(error.kind(), ErrorKind::Rollback | ErrorKind::Forked) => {
                self.open_once(key.as_ref()).await
            }
            opened => opened,
        }
    }

    async fn open_once(self, key: Option<&KeySource>) -> Result<Engine> {
        // The pin is read before the store, so that an honest store cannot look older than the pin.
        let pinned = self.pinned().await?;
        let layout = Layout::new(&self.name)?;
        creation::check_limits(&*self.backend)?;
        // Concurrently: the manifest is needed as soon as the root is opened.
        let (root, manifest) = futures::future::join(
            self.backend.get(&layout.catalog, &layout.root),
            self.backend.get(&layout.catalog, &layout.manifest),
        )
        .await;
        let root = match root {
            Err(error) if error.kind() == StoreErrorKind::BucketMissing => None,
            root => root?,
        };
        let Some(root) = root else { return Err(creation::no_root(&*self.backend, &layout).await?) };
        let manifest = manifest?;
        let envelope = Envelope::open_root(&root.value, key).await?;
        let root = Root { envelope, record: root.value, revision: root.revision };
        let backend = Arc::clone(&self.backend);
        let environment = self.environment.clone();
        let objects = Objects::new(backend, layout, root, &self.settings, environment, self.rules);
        let manifest = match manifest {
            Some(entry) => open_under_root(&objects, &entry, key).await?,
            None => return Err(creation::no_manifest(&objects).await?),
        };
        self.start(objects, Some(manifest), pinned).await
    }

    /// Opens the index, or creates it if it does not exist.
    ///
    /// # Errors
    /// The same as for [`open`](Self::open) and [`create`](Self::create).
    pub async fn open_or_create(
        self,
        key: Option<KeySource>,
        algorithm: Option<EncryptionAlgorithm>,
    ) -> Result<Engine> {
        let layout = Layout::new(&self.name)?;
        let duplicate = || key.as_ref().map(KeySource::duplicate);
        if creation::contents(&*self.backend, &layout).await? == StoreContents::Index {
            return self.open(key).await;
        }
        let protection = Protection::of(duplicate(), algorithm)?;
        match self.clone_parts().create(protection).await {
            // Another process created it concurrently.
            Err(error) if error.kind() == ErrorKind::IndexExists => self.open(key).await,
            created => created,
        }
    }

    /// Returns the state recorded in the pin, or `None` without a pin. The index is not opened and
    /// the store is not compared with the pin, so the pin can be examined even if opening the index
    /// fails because of it.
    ///
    /// # Errors
    /// * [`PinUnavailable`](ErrorKind::PinUnavailable) if the pin cannot be read.
    /// * [`Rollback`](ErrorKind::Rollback) if the keys in the store cannot decrypt the pin.
    /// * The errors of [`open`](Self::open) that concern the root record.
    pub async fn read_pin(self, key: Option<KeySource>) -> Result<Option<PinInfo>> {
        let Some(store) = &self.pin else { return Ok(None) };
        let layout = Layout::new(&self.name)?;
        let root = match self.backend.get(&layout.catalog, &layout.root).await {
            Err(error) if error.kind() == StoreErrorKind::BucketMissing => None,
            root => root?,
        };
        let Some(root) = root else { return Err(creation::no_root(&*self.backend, &layout).await?) };
        let envelope = Envelope::open_root(&root.value, key.as_ref()).await?;
        let sealed = pin::read(store, &self.environment).await?;
        let record = sealed.map(|sealed| pin::open(&envelope, &sealed)).transpose()?;
        Ok(record.as_ref().map(PinInfo::from))
    }

    pub(super) async fn pinned(&self) -> Result<Option<Vec<u8>>> {
        match &self.pin {
            Some(store) => pin::read(store, &self.environment).await,
            None => Ok(None),
        }
    }

    fn clone_parts(&self) -> Self {
        Self {
            backend: Arc::clone(&self.backend),
            name: self.name.clone(),
            settings: self.settings.clone(),
            analyzer: self.analyzer.clone(),
            pin: self.pin.clone(),
            accepts_older: self.accepts_older,
            environment: self.environment.clone(),
            rules: self.rules,
        }
    }
}

impl Engine {
    /// Returns a builder for an index in `backend`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, IndexName, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = Engine::builder(Arc::new(MemoryBackend::new())).name(IndexName::new("photos")?);
    /// let engine = builder.create(Protection::Plaintext).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(backend: Arc<dyn Backend>) -> EngineBuilder {
        EngineBuilder {
            backend,
            name: IndexName::default(),
            settings: Settings::default(),
            analyzer: None,
            pin: None,
            accepts_older: false,
            environment: Environment::default(),
            rules: Rules::default(),
        }
    }

    /// Creates a new index in `backend` and opens it without a pin.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, IndexName, Protection, Settings};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (backend, name) = (Arc::new(MemoryBackend::new()), IndexName::default());
    /// let engine = Engine::create(backend, &name, Protection::Plaintext, Settings::default()).await?;
    /// assert_eq!(engine.stats().await?.index.documents, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`EngineBuilder::create`].
    pub async fn create(
        backend: Arc<dyn Backend>,
        name: &IndexName,
        protection: Protection,
        settings: Settings,
    ) -> Result<Self> {
        Self::builder(backend).name(name.clone()).settings(settings).create(protection).await
    }

    /// Opens an existing index in `backend` without a pin.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, ErrorKind, IndexName, Settings};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (backend, name) = (Arc::new(MemoryBackend::new()), IndexName::default());
    /// let error = Engine::open(backend, &name, None, Settings::default()).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NoIndex);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as for [`EngineBuilder::open`].
    pub async fn open(
        backend: Arc<dyn Backend>,
        name: &IndexName,
        key: Option<KeySource>,
        settings: Settings,
    ) -> Result<Self> {
        Self::builder(backend).name(name.clone()).settings(settings).open(key).await
    }

    /// Returns whether `backend` holds an index of this name.
    ///
    /// ```
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, IndexName};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let backend = MemoryBackend::new();
    /// assert!(!Engine::exists(&backend, &IndexName::default()).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Lost`](ErrorKind::Lost) if the store holds objects of an index whose root or manifest is
    /// missing, and [`Unavailable`](ErrorKind::Unavailable) or [`Denied`](ErrorKind::Denied) as
    /// reported by the store.
    pub async fn exists(backend: &dyn Backend, name: &IndexName) -> Result<bool> {
        let layout = Layout::new(name)?;
        Ok(creation::contents(backend, &layout).await? == StoreContents::Index)
    }
}
