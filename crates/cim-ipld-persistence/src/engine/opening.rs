//! Making an index, and opening one: decided here and nowhere else.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim_ipld_backend::{Backend, ErrorKind as StoreErrorKind};
use cim_ipld_envelope::{EncryptionAlgorithm, Envelope, KeySource};
use tokio::sync::{OnceCell, mpsc};

use super::creation::{self, Remains};
use super::first_look::{check_floor, open_under_root};
use super::{Engine, Tasks};
use crate::environment::Environment;
use crate::history::follower::Follower;
use crate::history::manifest::{ManifestVersion, manifest_address, read_manifest};
use crate::history::pin::{self, Pin, PinInfo, PinStore, check_manifest, check_root};
use crate::history::progress::{IgnoredEntries, Progress, Seen};
use crate::history::shared::Shared;
use crate::history::state::View;
use crate::history::writer::Writer;
use crate::maintenance::Maintenance;
use crate::objects::layout::{IndexName, Layout};
use crate::objects::{Objects, Root};
use crate::rules::{Rule, Rules};
use crate::{Error, ErrorKind, Result, Settings};

/// How a new index is to be protected.
#[non_exhaustive]
pub enum Protection {
    /// Everything is sealed under data keys of `algorithm`, which `key` opens.
    Encrypted {
        /// What seals the objects.
        algorithm: EncryptionAlgorithm,
        /// What opens the data keys.
        key: KeySource,
    },
    /// Nothing is encrypted; objects are still checked for damage and for standing in the right place.
    Plaintext,
}

impl Protection {
    /// Returns the protection that `key` gives: sealed by `algorithm`, or by the key's own where none is chosen, or by
    /// AES-256-GCM where the key has none; plaintext without a key.
    ///
    /// # Errors
    /// `InvalidInput` for an algorithm without a key.
    pub fn of(key: Option<KeySource>, algorithm: Option<EncryptionAlgorithm>) -> Result<Self> {
        let Some(key) = key else {
            let message = "an algorithm was chosen for the index, and no key was given";
            return match algorithm {
                Some(_) => Err(Error::new(ErrorKind::InvalidInput, message)),
                None => Ok(Self::Plaintext),
            };
        };
        let own = match &key {
            KeySource::Key(key) => key.algorithm(),
            _ => EncryptionAlgorithm::AES256GCM,
        };
        Ok(Self::Encrypted { algorithm: algorithm.unwrap_or(own), key })
    }
}

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
    backend: Arc<dyn Backend>,
    name: IndexName,
    settings: Settings,
    pin: Option<Arc<dyn PinStore>>,
    accepts_older: bool,
    environment: Environment,
    rules: Rules,
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

    /// Remembers the newest state of the index in `pin`, outside the store: a store that went back, or that shows another
    /// history, is refused with `Rollback` or `Forked`.
    pub fn pin(mut self, pin: Arc<dyn PinStore>) -> Self {
        self.pin = Some(pin);
        self
    }

    /// Accepts the state that the store shows now, whatever the pin remembers, and pins that. An encrypted index begins a new
    /// epoch by it, so that what was lost cannot come back later.
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
    /// `IndexExists`, `InvalidInput`, `Lost` where anything of an index is left without its root, and what the store answers
    /// (`Unavailable`, `Denied`, `Full`, …); as for [`open`](Self::open) when a creation was begun here with another key.
    pub async fn create(self, protection: Protection) -> Result<Engine> {
        let layout = Layout::new(&self.name)?;
        creation::check_limits(&*self.backend)?;
        creation::refuse_remains(&*self.backend, &layout).await?;
        for bucket in layout.buckets() {
            self.backend.create(bucket).await?;
        }
        let environment = self.environment.clone();
        let backend = Arc::clone(&self.backend);
        let objects = creation::create(backend, layout, protection, &self.settings, environment, self.rules).await?;
        // What a pin of this place remembers is of an index that is no more.
        self.start(objects, None).await
    }

    /// Opens the index that is there: searchable as soon as the journal's tail has been read.
    ///
    /// # Errors
    /// `NoIndex`, `KeyRequired`, `WrongKey`, `NotEncrypted`, `UnsupportedVersion`, `Damaged`, `Lost`, `Rollback`, `Forked`,
    /// `PinUnavailable`, and what the store answers. Nothing in the store is changed by a failed opening.
    pub async fn open(self, key: Option<KeySource>) -> Result<Engine> {
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
        let envelope = Envelope::open_root(&root.value, key.as_ref()).await?;
        let root = Root { envelope, record: root.value, revision: root.revision };
        let backend = Arc::clone(&self.backend);
        let environment = self.environment.clone();
        let objects = Objects::new(backend, layout, root, &self.settings, environment, self.rules);
        let manifest = match manifest {
            Some(entry) => open_under_root(&objects, &entry, key.as_ref()).await?,
            None => return Err(creation::no_manifest(&objects).await?),
        };
        self.start(objects, Some(manifest)).await
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

    /// Returns what the pin remembers of the index, or `None` without a pin. The index is not opened and its store not held
    /// against the pin: this is how to look at a pin that refuses the store.
    ///
    /// # Errors
    /// `PinUnavailable`; `Rollback` for a pin that the keys in the store do not open; and as for [`open`](Self::open), as far
    /// as it concerns the root record.
    pub async fn read_pin(self, key: Option<KeySource>) -> Result<Option<PinInfo>> {
        let Some(store) = &self.pin else { return Ok(None) };
        let layout = Layout::new(&self.name)?;
        let root = match self.backend.get(&layout.catalog, &layout.root).await {
            Err(error) if error.kind() == StoreErrorKind::BucketMissing => None,
            root => root?,
        };
        let Some(root) = root else { return Err(creation::no_root(&*self.backend, &layout).await?) };
        let envelope = Envelope::open_root(&root.value, key.as_ref()).await?;
        let record = pin::load(store, &self.environment, &envelope).await?;
        Ok(record.as_ref().map(PinInfo::from))
    }

    fn clone_parts(&self) -> Self {
        Self {
            backend: Arc::clone(&self.backend),
            name: self.name.clone(),
            settings: self.settings.clone(),
            pin: self.pin.clone(),
            accepts_older: self.accepts_older,
            environment: self.environment.clone(),
            rules: self.rules,
        }
    }

    /// Starts an engine on an index that was just made, or on what `manifest` says of one that was there.
    async fn start(self, objects: Objects, manifest: Option<ManifestVersion>) -> Result<Engine> {
        let is_new = manifest.is_none();
        let manifest = match manifest {
            Some(manifest) => manifest,
            None => read_manifest(&objects).await?,
        };
        check_floor(&objects, &manifest)?;
        let (pin, pinned) = self.open_pin(&objects, &manifest, is_new).await?;
        let objects = Arc::new(objects);
        let progress = first_progress(&manifest);
        let view = View::empty(manifest.clone())?;
        let shared = Arc::new(Shared::new(objects, self.settings.clone(), view, progress));
        let (commands, obeyed) = mpsc::channel(8);
        let follower = Follower::start(&shared, manifest, obeyed, pinned).await?;
        let closes = match &pin {
            Some(pin) if shared.objects.rules.hold(Rule::Close) => pin.unclosed(),
            _ => Vec::new(),
        };
        let (writer, submit) = Writer::new(Arc::clone(&shared), pin.clone(), closes);
        let maintenance = Arc::new(Maintenance::new(Arc::clone(&shared), submit.clone(), commands));
        let mut background = Vec::new();
        if shared.settings.background {
            background.push(tokio::spawn(Arc::clone(&maintenance).run()));
        }
        if let Some(pin) = &pin {
            pin.save(&shared).await?;
            background.push(tokio::spawn(keep_pin(Arc::clone(pin), Arc::clone(&shared))));
        }
        let tasks = Tasks { follower: tokio::spawn(follower.run()), writer: tokio::spawn(writer.run()), background };
        let complete = Arc::new(OnceCell::new_with(is_new.then_some(())));
        let engine = Engine { shared, maintenance, submit, pin, tasks: Arc::new(Mutex::new(Some(tasks))), complete };
        if self.accepts_older && engine.algorithm().is_some() {
            engine.maintenance.begin_epoch().await?;
        }
        Ok(engine)
    }

    /// Holds the store against the pin. Returns the position that the journal must reach.
    async fn open_pin(
        &self,
        objects: &Objects,
        manifest: &ManifestVersion,
        is_new: bool,
    ) -> Result<(Option<Arc<Pin>>, Option<(u64, crate::format::digest::ShortDigest)>)> {
        let Some(store) = &self.pin else { return Ok((None, None)) };
        let ignored = is_new || self.accepts_older || !objects.rules.hold(Rule::Pin);
        let root = objects.root();
        let record = match pin::load(store, &self.environment, &root.envelope).await {
            Err(error) if ignored && error.kind() == ErrorKind::Rollback => None,
            record => record?,
        };
        let mut pinned = None;
        match &record {
            Some(record) if !ignored => {
                check_root(record, &root)?;
                pinned = check_manifest(objects, record, manifest).await?;
            }
            _ => {}
        }
        let pin = Pin::new(Arc::clone(store), record, ignored);
        Ok((Some(Arc::new(pin)), pinned))
    }
}

fn first_progress(manifest: &ManifestVersion) -> Progress {
    Progress {
        seen: Seen { position: 0, order: manifest.manifest.watermark.digest, generation: 0, manifest: manifest.digest },
        memtable_bytes: 0,
        frozen_bytes: 0,
        unsettled_until: None,
        refused: None,
        fatal: None,
        ignored: IgnoredEntries::default(),
    }
}

/// Stores the pin at most once a second while anything changes.
async fn keep_pin(pin: Arc<Pin>, shared: Arc<Shared>) {
    const INTERVAL: Duration = Duration::from_secs(1);
    let mut stored = shared.progress.read(|progress| progress.seen);
    loop {
        stored = shared
            .progress
            .wait_for(|progress| (progress.seen != stored && progress.fatal.is_none()).then_some(progress.seen))
            .await;
        if let Err(error) = pin.save(&shared).await {
            tracing::warn!(%error, "the pin was not stored; it will be tried again");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl Engine {
    /// Returns a builder for an index in `backend`.
    pub fn builder(backend: Arc<dyn Backend>) -> EngineBuilder {
        EngineBuilder {
            backend,
            name: IndexName::default(),
            settings: Settings::default(),
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
    /// `Lost` where anything of an index is left without its root or manifest, and what the store answers.
    pub async fn exists(backend: &dyn Backend, name: &IndexName) -> Result<bool> {
        let layout = Layout::new(name)?;
        Ok(creation::remains(backend, &layout).await? == Remains::Index)
    }
}

/// The manifest's address is where an opener looks first.
pub(super) fn lost_manifest(layout: &Layout) -> Error {
    manifest_address(layout).lost()
}
