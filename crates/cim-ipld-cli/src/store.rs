//! Creates and opens the index at a place.

use std::sync::Arc;

use cim_ipld::backend::{self, Backend, ErrorKind as StoreErrorKind};
use cim_ipld::embedded::{EmbeddedBackend, EmbeddedSettings};
use cim_ipld::envelope::KeySource;
use cim_ipld::index::Analyzer;
use cim_ipld::nats::{NatsBackend, NatsSettings, ServerList};
use cim_ipld::persistence::{
    ArchiveSource, Engine, EngineBuilder, Error, ErrorKind, FilePin, Protection, Recovery, RepairSource, StoreSource,
};

use crate::args::{BucketArguments, InitArguments, NatsArguments, StoreArguments};
use crate::context::Context;
use crate::failure::{Failure, NO_INDEX, Result};
use crate::keys::KeyFile;
use crate::nats;
use crate::pins;
use crate::place::Place;
use crate::status::Status;
use crate::store_name::StoreName;

/// The hint for an index that `cim verify` cannot open either.
const BEYOND_VERIFY: &str = "check that STORE is on the right disk or server, and that this disk or server works; if so, restore a backup of the store, or put back what is missing from a copy with `cim repair --from`";

/// The hint for a damaged index that does not open, but that can be examined.
const EXAMINABLE: &str = "run `cim verify` to see what is affected; then repair the index with `cim repair`, or restore an intact snapshot with `cim snapshot restore`";

impl Place {
    /// Creates an index here and opens it, with a new pin.
    pub(crate) async fn create(
        &self,
        protection: Protection,
        analyzer: Analyzer,
        arguments: &InitArguments,
        context: &Context,
    ) -> Result<Engine> {
        let builder = self.new_index(&arguments.at.nats, &arguments.buckets, context).await?;
        builder.analyzer(analyzer).create(protection).await.map_err(|error| self.failed(error))
    }

    /// Returns a builder for an index that is about to be created here, with a new pin.
    pub(crate) async fn new_index(
        &self,
        arguments: &NatsArguments,
        buckets: &BucketArguments,
        context: &Context,
    ) -> Result<EngineBuilder> {
        let pin = context.pins.of(self);
        pin.as_ref().map(pins::prepare).transpose().map_err(|failure| failure.at(self))?;
        let backend: Arc<dyn Backend> = match self {
            Self::Folder(folder) => {
                let opened = EmbeddedBackend::open_with(folder, embedded(context)).await;
                Arc::new(opened.map_err(|error| self.unopened(error))?)
            }
            Self::Nats { servers, .. } => Arc::new(self.connect(servers, arguments, nats::new_buckets(buckets)).await?),
        };
        Ok(self.engine(backend, pin, context))
    }

    /// Returns a builder for the existing index.
    pub(crate) async fn existing(
        &self,
        pin: Option<FilePin>,
        nats: &NatsArguments,
        context: &Context,
    ) -> Result<EngineBuilder> {
        Ok(self.engine(self.backend(nats, context).await?, pin, context))
    }

    /// Opens the existing store.
    pub(crate) async fn backend(&self, nats: &NatsArguments, context: &Context) -> Result<Arc<dyn Backend>> {
        Ok(match self {
            Self::Folder(folder) => {
                let opened = EmbeddedBackend::open_existing_with(folder, embedded(context)).await;
                Arc::new(opened.map_err(|error| self.unopened(error))?)
            }
            Self::Nats { servers, .. } => Arc::new(self.connect(servers, nats, nats::existing_buckets()).await?),
        })
    }

    pub(crate) fn engine(&self, backend: Arc<dyn Backend>, pin: Option<FilePin>, context: &Context) -> EngineBuilder {
        let engine = Engine::builder(backend).name(self.index()).settings(context.settings.clone());
        match pin {
            Some(pin) => engine.pin(Arc::new(pin)),
            None => engine,
        }
    }

    /// Returns the names of all buckets in the existing store.
    pub(crate) async fn bucket_names(&self, nats: &NatsArguments, context: &Context) -> Result<Vec<String>> {
        match self {
            Self::Folder(folder) => {
                let opened = EmbeddedBackend::open_existing_with(folder, embedded(context)).await;
                let backend = opened.map_err(|error| self.unopened(error))?;
                let names = backend.bucket_names();
                backend.close().await;
                Ok(names)
            }
            Self::Nats { servers, .. } => {
                let backend = self.connect(servers, nats, nats::existing_buckets()).await?;
                backend.bucket_names().await.map_err(|error| self.failed(error))
            }
        }
    }

    /// Removes the buckets of the index. In a folder, these are the whole store.
    pub(crate) async fn remove(&self, buckets: &[String], nats: &NatsArguments, context: &Context) -> Result<()> {
        match self {
            Self::Folder(folder) => {
                let removed = EmbeddedBackend::remove(folder, embedded(context)).await;
                removed.map_err(|error| self.unopened(error))
            }
            Self::Nats { servers, .. } => {
                let backend = self.connect(servers, nats, nats::existing_buckets()).await?;
                // The catalog goes first, so that no process takes what is left for an index.
                for bucket in self.index().buckets().iter().rev() {
                    if buckets.iter().any(|name| name == bucket.name()) {
                        backend.remove_bucket(bucket).await.map_err(|error| self.failed(error))?;
                    }
                }
                Ok(())
            }
        }
    }

    async fn connect(
        &self,
        servers: &ServerList,
        arguments: &NatsArguments,
        settings: NatsSettings,
    ) -> Result<NatsBackend> {
        let connection = nats::connection(servers, arguments)?;
        let backend = NatsBackend::connect_to(&connection, settings).await;
        backend.map_err(|error| self.failed(error))
    }

    /// Returns the failure for a folder that cannot be opened.
    fn unopened(&self, error: backend::Error) -> Failure {
        let kind = error.kind();
        let failure = self.failed(error);
        match kind {
            StoreErrorKind::BucketMissing => failure.status(Status::NoIndex).hint(NO_INDEX),
            StoreErrorKind::Corrupt => failure.hint(BEYOND_VERIFY),
            _ => failure,
        }
    }

    /// Returns the failure for an index that cannot be opened, not even for recovery. Its hint must
    /// not suggest a command that opens the index.
    pub(crate) fn unopenable(&self, error: Error) -> Failure {
        let is_damage = matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Lost) && error.own_hint().is_none();
        let failure = self.failed(error);
        if is_damage { failure.hint(BEYOND_VERIFY) } else { failure }
    }

    pub(crate) fn failed(&self, error: impl Into<Failure>) -> Failure {
        error.into().at(self)
    }
}

impl StoreArguments {
    /// Opens the index that the command line names.
    pub(crate) async fn open(&self, context: &Context) -> Result<Engine> {
        match self.open_for_recovery(context).await? {
            Opened::Engine(engine) => Ok(engine),
            Opened::Recovery(_, error) => {
                let has_hint = error.own_hint().is_some();
                let failure = self.place()?.failed(error);
                Err(if has_hint { failure } else { failure.hint(EXAMINABLE) })
            }
        }
    }

    /// Opens the index, or as much of it as is needed to examine and restore it if objects other
    /// than its keyset and manifest are damaged or lost.
    pub(crate) async fn open_for_recovery(&self, context: &Context) -> Result<Opened> {
        let place = self.place()?;
        let key = self.key(context)?;
        let duplicate = key.as_ref().map(KeySource::duplicate);
        let backend = place.backend(&self.nats, context).await?;
        let engine = place.engine(Arc::clone(&backend), context.pins.of(&place), context);
        let error = match engine.open(key).await {
            Ok(engine) => return Ok(Opened::Engine(engine)),
            Err(error) => error,
        };
        if !matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Lost) {
            return Err(place.unopenable(error));
        }
        match place.engine(backend, context.pins.of(&place), context).open_for_recovery(duplicate).await {
            Ok(recovery) => Ok(Opened::Recovery(recovery, error)),
            Err(_) => Err(place.unopenable(error)),
        }
    }

    pub(crate) fn place(&self) -> Result<Place> {
        self.store.place(&self.nats)
    }

    /// Reads the key that the command line or the environment names.
    pub(crate) fn key(&self, context: &Context) -> Result<Option<KeySource>> {
        KeyFile::chosen(&self.key)?.map(|file| file.read(context.key_access)).transpose()
    }
}

/// An index that was opened, as far as it is intact.
pub(crate) enum Opened {
    Engine(Engine),
    /// Together with the error of opening all of it.
    Recovery(Recovery, Error),
}

impl StoreName {
    /// Opens a store or an archive as a source of lost objects and documents.
    pub(crate) async fn source(
        &self,
        index: &Place,
        nats: &NatsArguments,
        context: &Context,
    ) -> Result<Arc<dyn RepairSource>> {
        if let Some(file) = self.archive() {
            let opened = ArchiveSource::open(file).await;
            return Ok(Arc::new(opened.map_err(|error| Failure::from(error).at("--from"))?));
        }
        let place = self.place(nats)?;
        if place == *index {
            let hint = "name a copy of the store, which is somewhere else";
            return Err(Failure::usage("--from names the store under repair", hint));
        }
        if place.index() != index.index() {
            let hint = "name a store with an index of the same name; the name is part of what is sealed";
            return Err(Failure::usage("--from names an index of another name", hint));
        }
        Ok(Arc::new(StoreSource::new(place.backend(nats, context).await?)))
    }
}

fn embedded(context: &Context) -> EmbeddedSettings {
    let mut settings = EmbeddedSettings::within(context.settings.budget().store_bytes() as u64);
    settings.lock_patience = settings.lock_patience.max(context.wait);
    settings
}
