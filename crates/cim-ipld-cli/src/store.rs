//! Creates and opens the index at a place.

use std::sync::Arc;

use cim_ipld::backend::{self, Backend, ErrorKind as StoreErrorKind};
use cim_ipld::embedded::{EmbeddedBackend, EmbeddedSettings};
use cim_ipld::envelope::KeySource;
use cim_ipld::index::Analyzer;
use cim_ipld::nats::{NatsBackend, NatsSettings, ServerList};
use cim_ipld::persistence::{Engine, EngineBuilder, Error, ErrorKind, FilePin, Protection};

use crate::args::{BucketArguments, InitArguments, NatsArguments, StoreArguments};
use crate::context::Context;
use crate::failure::{Failure, NO_INDEX, Result};
use crate::keys::KeyFile;
use crate::nats;
use crate::pins;
use crate::place::Place;
use crate::status::Status;

/// The hint for an index that `cim verify` cannot open either.
const BEYOND_VERIFY: &str = "check that STORE is on the right disk or server, and that this disk or server works; if so, restore a backup of the store, or index the documents into a new one";

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
            Self::Nats { servers, .. } => self.connect(servers, arguments, nats::new_buckets(buckets)).await?,
        };
        Ok(self.engine(backend, pin))
    }

    /// Returns a builder for the existing index.
    pub(crate) async fn existing(
        &self,
        pin: Option<FilePin>,
        nats: &NatsArguments,
        context: &Context,
    ) -> Result<EngineBuilder> {
        let backend: Arc<dyn Backend> = match self {
            Self::Folder(folder) => {
                let opened = EmbeddedBackend::open_existing_with(folder, embedded(context)).await;
                Arc::new(opened.map_err(|error| self.unopened(error))?)
            }
            Self::Nats { servers, .. } => self.connect(servers, nats, nats::existing_buckets()).await?,
        };
        Ok(self.engine(backend, pin))
    }

    fn engine(&self, backend: Arc<dyn Backend>, pin: Option<FilePin>) -> EngineBuilder {
        let engine = Engine::builder(backend).name(self.index());
        match pin {
            Some(pin) => engine.pin(Arc::new(pin)),
            None => engine,
        }
    }

    async fn connect(
        &self,
        servers: &ServerList,
        arguments: &NatsArguments,
        settings: NatsSettings,
    ) -> Result<Arc<dyn Backend>> {
        let connection = nats::connection(servers, arguments)?;
        let backend = NatsBackend::connect_to(&connection, settings).await;
        Ok(Arc::new(backend.map_err(|error| self.failed(error))?))
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

    /// Returns the failure for an index that cannot be opened. Its hint must not suggest a command
    /// that opens the index.
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
        let place = self.place()?;
        let key = self.key(context)?;
        let engine = place.existing(context.pins.of(&place), &self.nats, context).await?;
        engine.open(key).await.map_err(|error| place.unopenable(error))
    }

    pub(crate) fn place(&self) -> Result<Place> {
        self.store.place(&self.nats)
    }

    /// Reads the key that the command line or the environment names.
    pub(crate) fn key(&self, context: &Context) -> Result<Option<KeySource>> {
        KeyFile::chosen(&self.key)?.map(|file| file.read(context.key_access)).transpose()
    }
}

fn embedded(context: &Context) -> EmbeddedSettings {
    let mut settings = EmbeddedSettings::default();
    settings.lock_patience = settings.lock_patience.max(context.wait);
    settings
}
