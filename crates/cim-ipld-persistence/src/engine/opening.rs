//! Making an index, and opening one: decided here and nowhere else.

use std::fmt;
use std::sync::Arc;

use cim_ipld_backend::{Backend, ErrorKind as StoreErrorKind};
use cim_ipld_envelope::{EncryptionAlgorithm, Envelope, KeySource};
use cim_ipld_index::Analyzer;

use super::Engine;
use super::creation::{self, Remains};
use super::first_look::open_under_root;
use super::protection::Protection;
use crate::environment::Environment;
use crate::history::pin::{self, PinInfo, PinStore};
use crate::objects::layout::{IndexName, Layout};
use crate::objects::{Objects, Root};
use crate::rules::Rules;
use crate::{ErrorKind, Result, Settings};

/// Makes or opens an index in a backend.
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
    /// Names one of several indexes in the backend; without a name it is the default one.
    pub fn name(mut self, name: IndexName) -> Self {
        self.name = name;
        self
    }

    /// Sets the numbers that the engine works with.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Cuts texts and queries into words by `analyzer`. A new index keeps its description for good:
    /// without one it is that of [`Analyzer::default`]. An index that is there has its own; it
    /// needs one here only if that is an [`Analyze`](cim_ipld_index::Analyze) of the application.
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

    /// Remembers the newest state of the index in `pin`, outside the store: a store that went back,
    /// or that shows another history, is refused with `Rollback` or `Forked`.
    pub fn pin(mut self, pin: Arc<dyn PinStore>) -> Self {
        self.pin = Some(pin);
        self
    }

    /// Accepts the state that the store shows now, whatever the pin remembers, and pins that. An
    /// encrypted index begins a new epoch by it, so that what was lost cannot come back later.
    pub fn accept_store(mut self) -> Self {
        self.accepts_older = true;
        self
    }

    /// Takes time and randomness from `environment`.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Removes rules of the protocol, to see what goes wrong without them.
    #[cfg(feature = "simulation")]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Makes a new index and opens it. One whose creation was cut off by a crash is finished.
    ///
    /// # Errors
    /// `IndexExists`, `InvalidInput`, `Lost` where anything of an index is left without its root,
    /// and what the store answers (`Unavailable`, `Denied`, `Full`, …); as for [`open`](Self::open)
    /// when a creation was begun here with another key.
    pub async fn create(self, protection: Protection) -> Result<Engine> {
        let layout = Layout::new(&self.name)?;
        let analyzer = creation::describe(self.analyzer.as_ref())?;
        creation::check_limits(&*self.backend)?;
        creation::refuse_remains(&*self.backend, &layout).await?;
        for bucket in layout.buckets() {
            self.backend.create(bucket).await?;
        }
        let environment = self.environment.clone();
        let backend = Arc::clone(&self.backend);
        let objects =
            creation::create(backend, layout, protection, analyzer, &self.settings, environment, self.rules).await?;
        // What a pin of this place remembers is of an index that is no more.
        let pinned = self.pinned().await?;
        self.start(objects, None, pinned).await
    }

    /// Opens the index that is there: searchable as soon as the journal's tail has been read.
    ///
    /// # Errors
    /// `NoIndex`, `KeyRequired`, `WrongKey`, `NotEncrypted`, `UnsupportedVersion`, `Damaged`,
    /// `Lost`, `Rollback`, `Forked`, `PinUnavailable`, `Incompatible` for another
    /// [`analyzer`](Self::analyzer) than the index's, and what the store answers. Nothing in the
    /// store is changed by a failed opening.
    pub async fn open(self, key: Option<KeySource>) -> Result<Engine> {
        match self.clone_parts().open_once(key.as_ref()).await {
            // Another process of the pin's place may have gone on between two reads.
            Err(error) if self.pin.is_some() && matches!(error.kind(), ErrorKind::Rollback | ErrorKind::Forked) => {
                self.open_once(key.as_ref()).await
            }
            opened => opened,
        }
    }

    async fn open_once(self, key: Option<&KeySource>) -> Result<Engine> {
        // First: the store shows what the pin remembers, or something later.
        let pinned = self.pinned().await?;
        let layout = Layout::new(&self.name)?;
        creation::check_limits(&*self.backend)?;
        // Both at once: the manifest is needed as soon as the root is opened.
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

    /// Opens the index that is there, or makes it when there is none.
    ///
    /// # Errors
    /// As for [`open`](Self::open) and [`create`](Self::create).
    pub async fn open_or_create(
        self,
        key: Option<KeySource>,
        algorithm: Option<EncryptionAlgorithm>,
    ) -> Result<Engine> {
        let layout = Layout::new(&self.name)?;
        let duplicate = || key.as_ref().map(KeySource::duplicate);
        if creation::remains(&*self.backend, &layout).await? == Remains::Index {
            return self.open(key).await;
        }
        let protection = Protection::of(duplicate(), algorithm)?;
        match self.clone_parts().create(protection).await {
            // Another process made it at this moment.
            Err(error) if error.kind() == ErrorKind::IndexExists => self.open(key).await,
            created => created,
        }
    }

    /// Returns what the pin remembers of the index, or `None` without a pin. The index is not
    /// opened and its store not held against the pin: this is how to look at a pin that refuses the
    /// store.
    ///
    /// # Errors
    /// `PinUnavailable`; `Rollback` for a pin that the keys in the store do not open; and as for
    /// [`open`](Self::open), as far as it concerns the root record.
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

    async fn pinned(&self) -> Result<Option<Vec<u8>>> {
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

    /// Makes a new index in `backend` and opens it, without a pin.
    ///
    /// # Errors
    /// As for [`EngineBuilder::create`].
    pub async fn create(
        backend: Arc<dyn Backend>,
        name: &IndexName,
        protection: Protection,
        settings: Settings,
    ) -> Result<Self> {
        Self::builder(backend).name(name.clone()).settings(settings).create(protection).await
    }

    /// Opens the index that is in `backend`, without a pin.
    ///
    /// # Errors
    /// As for [`EngineBuilder::open`].
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
    /// # Errors
    /// `Lost` where anything of an index is left without its root or manifest, and what the store
    /// answers.
    pub async fn exists(backend: &dyn Backend, name: &IndexName) -> Result<bool> {
        let layout = Layout::new(name)?;
        Ok(creation::remains(backend, &layout).await? == Remains::Index)
    }
}
