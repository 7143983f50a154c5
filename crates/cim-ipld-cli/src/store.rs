//! STORE: where an index is, and how it is opened.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use cim_ipld::backend::{self, Backend, ErrorKind as StoreErrorKind};
use cim_ipld::embedded::{EmbeddedBackend, EmbeddedSettings};
use cim_ipld::envelope::KeySource;
use cim_ipld::index::Analyzer;
use cim_ipld::nats::{NatsBackend, NatsSettings, ServerList};
use cim_ipld::persistence::{Engine, EngineBuilder, Error, ErrorKind, FilePin, IndexName, Protection};

use crate::args::{InitArguments, NatsArguments, StoreArguments};
use crate::context::Context;
use crate::failure::{Failure, NO_INDEX, Result};
use crate::keys::KeyFile;
use crate::nats;
use crate::path;
use crate::pins;
use crate::status::Status;

/// STORE as it was typed. It may hold a password, so that neither an error nor `Debug` shows it.
#[derive(Clone)]
pub(crate) struct StoreName(String);

/// What STORE means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Folder(PathBuf),
    Nats { servers: ServerList, index: IndexName },
}

/// What to do where `cim verify` could not open the index either.
const BEYOND_VERIFY: &str = "check that its disk or server is the right one and whole; else restore a backup of the store, or index the documents into a new one";

const EXPECTED: &str = "give file:FOLDER or nats://HOST:PORT[/INDEX]";

impl FromStr for StoreName {
    type Err = Infallible;

    /// Takes anything: what clap refuses it prints, password and all.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl StoreName {
    pub(crate) fn place(&self, arguments: &NatsArguments) -> Result<Place> {
        if let Some(folder) = self.0.strip_prefix("file:") {
            return path::folder(folder, std::env::var_os("HOME")).map(Place::Folder);
        }
        if !["nats://", "tls://"].iter().any(|scheme| self.0.starts_with(scheme)) {
            return Err(Failure::usage("STORE is of no kind that is known", EXPECTED));
        }
        let (servers, index) = match self.0.strip_prefix("nats:///") {
            Some(index) => (nats::servers(arguments)?, index),
            None => ServerList::with_path(&self.0).map_err(|error| Failure::from(error).at("STORE").hint(EXPECTED))?,
        };
        let index = match index {
            "" => IndexName::default(),
            name => IndexName::new(name).map_err(|error| Failure::usage(error.to_string(), EXPECTED))?,
        };
        Ok(Place::Nats { servers, index })
    }
}

impl fmt::Debug for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreName(..)")
    }
}

impl Place {
    /// Makes an index here and opens it. Its pin begins anew.
    pub(crate) async fn create(
        &self,
        protection: Protection,
        analyzer: Analyzer,
        arguments: &InitArguments,
        context: &Context,
    ) -> Result<Engine> {
        let pin = context.pins.of(self);
        pin.as_ref().map(pins::prepare).transpose().map_err(|failure| failure.at(self))?;
        let backend: Arc<dyn Backend> = match self {
            Self::Folder(folder) => {
                let opened = EmbeddedBackend::open_with(folder, embedded(context)).await;
                Arc::new(opened.map_err(|error| self.unopened(error))?)
            }
            Self::Nats { servers, .. } => {
                self.connect(servers, &arguments.at.nats, nats::new_buckets(&arguments.buckets)).await?
            }
        };
        self.engine(backend, pin).analyzer(analyzer).create(protection).await.map_err(|error| self.failed(error))
    }

    /// Returns a builder for the index that is here.
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

    fn index(&self) -> IndexName {
        match self {
            Self::Folder(_) => IndexName::default(),
            Self::Nats { index, .. } => index.clone(),
        }
    }

    /// The failure of a folder that could not be opened at all.
    fn unopened(&self, error: backend::Error) -> Failure {
        let kind = error.kind();
        let failure = self.failed(error);
        match kind {
            StoreErrorKind::BucketMissing => failure.status(Status::NoIndex).hint(NO_INDEX),
            StoreErrorKind::Corrupt => failure.hint(BEYOND_VERIFY),
            _ => failure,
        }
    }

    /// The failure of an index that could not be opened: nothing that opens it first can help.
    pub(crate) fn unopenable(&self, error: Error) -> Failure {
        let is_damage = matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Lost) && error.own_hint().is_none();
        let failure = self.failed(error);
        if is_damage { failure.hint(BEYOND_VERIFY) } else { failure }
    }

    pub(crate) fn failed(&self, error: impl Into<Failure>) -> Failure {
        error.into().at(self)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "file:{}", folder.display()),
            Self::Nats { servers, index } => {
                write!(f, "{servers}")?;
                index.as_str().map_or(Ok(()), |index| write!(f, "/{index}"))
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_read_and_shown_without_credentials() {
        for (text, expected) in [
            ("file:notes", Some("file:notes")),
            ("file:/var/lib/cim", Some("file:/var/lib/cim")),
            ("nats://localhost:4222", Some("nats://localhost:4222")),
            ("nats://localhost", Some("nats://localhost")),
            ("nats://localhost:4222/", Some("nats://localhost:4222")),
            ("nats://localhost:4222/notes", Some("nats://localhost:4222/notes")),
            ("tls://ann:s3cret@example.org:4222/notes", Some("tls://example.org:4222/notes")),
            ("nats://t0ken@example.org:4222", Some("nats://example.org:4222")),
            ("nats://ann:a@b@example.org:4222", Some("nats://example.org:4222")),
            ("nats://[::1]:4222", Some("nats://[::1]:4222")),
            ("file:", None),
            ("notes", None),
            ("", None),
            ("http://localhost:4222", None),
            ("nats://", None),
            ("nats://:4222", None),
            ("nats://localhost:4222/a/b", None),
            ("nats://a:1,ann:s3cret@b:2/notes", Some("nats://a:1,nats://b:2/notes")),
            ("nats:///notes", None),
            ("nats://localhost:99999", None),
            ("nats://localhost:4222/a b", None),
            ("nats://localhost:4222?x=1", None),
        ] {
            let store: StoreName = text.parse().expect("anything is taken");
            let place = store.place(&NatsArguments::default());
            assert_eq!(place.as_ref().ok().map(ToString::to_string).as_deref(), expected, "{text:?}");
            let shown = format!("{store:?} {place:?}");
            assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
        }
    }
}
