//! STORE: where an index is, and how it is opened.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use cim_ipld::backend::Backend;
use cim_ipld::embedded::EmbeddedBackend;
use cim_ipld::envelope::KeySource;
use cim_ipld::index::Analyzer;
use cim_ipld::nats::NatsBackend;
use cim_ipld::persistence::{Engine, EngineBuilder, FilePin, IndexName, Protection};

use crate::args::StoreArguments;
use crate::failure::{Failure, Result};
use crate::keys::KeyFile;
use crate::pins::{self, Pins};

/// STORE as it was typed. It may hold a password, so that neither an error nor `Debug` shows it.
#[derive(Clone)]
pub(crate) struct StoreName(String);

/// What STORE means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Folder(PathBuf),
    Nats { url: ServerUrl, index: IndexName },
}

/// The URL of a NATS server with its scheme, and credentials if there are any.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(String);

const EXPECTED: &str = "give file:FOLDER or nats://HOST:PORT[/INDEX]";

impl FromStr for StoreName {
    type Err = Infallible;

    /// Takes anything: what clap refuses it prints, password and all.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl StoreName {
    pub(crate) fn place(&self) -> Result<Place> {
        if let Some(folder) = self.0.strip_prefix("file:") {
            if folder.is_empty() {
                return Err(Failure::usage("STORE names no folder", EXPECTED));
            }
            return Ok(Place::Folder(folder.into()));
        }
        let scheme = ["nats://", "tls://"].into_iter().find(|scheme| self.0.starts_with(scheme));
        let scheme = scheme.ok_or_else(|| Failure::usage("STORE is of no kind that is known", EXPECTED))?;
        let rest = &self.0[scheme.len()..];
        let (server, index) = rest.split_once('/').unwrap_or((rest, ""));
        let address = server.rsplit_once('@').map_or(server, |(_, address)| address);
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        if host.is_empty() || server.contains(|c: char| c.is_whitespace() || matches!(c, '?' | '#')) {
            return Err(Failure::usage("STORE names no NATS server", EXPECTED));
        }
        let index = match index {
            "" => IndexName::default(),
            name => IndexName::new(name).map_err(|error| Failure::usage(error.to_string(), EXPECTED))?,
        };
        Ok(Place::Nats { url: ServerUrl(format!("{scheme}{server}")), index })
    }
}

impl fmt::Debug for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreName(..)")
    }
}

impl Place {
    /// Makes an index here and opens it. Its pin begins anew.
    pub(crate) async fn create(&self, protection: Protection, analyzer: Analyzer, pins: &Pins) -> Result<Engine> {
        let pin = pins.of(self);
        pin.as_ref().map(pins::prepare).transpose().map_err(|failure| failure.at(self))?;
        let backend: Arc<dyn Backend> = match self {
            Self::Folder(folder) => Arc::new(EmbeddedBackend::open(folder).await.map_err(|error| self.failed(error))?),
            Self::Nats { url, .. } => self.connect(url).await?,
        };
        self.engine(backend, pin).analyzer(analyzer).create(protection).await.map_err(|error| self.failed(error))
    }

    /// Returns a builder for the index that is here.
    pub(crate) async fn existing(&self, pin: Option<FilePin>) -> Result<EngineBuilder> {
        let backend: Arc<dyn Backend> = match self {
            Self::Folder(folder) => {
                let opened = EmbeddedBackend::open_existing(folder).await;
                Arc::new(opened.map_err(|error| self.failed(error))?)
            }
            Self::Nats { url, .. } => self.connect(url).await?,
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

    async fn connect(&self, url: &ServerUrl) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(NatsBackend::connect(&url.0).await.map_err(|error| self.failed(error))?))
    }

    fn index(&self) -> IndexName {
        match self {
            Self::Folder(_) => IndexName::default(),
            Self::Nats { index, .. } => index.clone(),
        }
    }

    pub(crate) fn failed(&self, error: impl Into<Failure>) -> Failure {
        error.into().at(self)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "file:{}", folder.display()),
            Self::Nats { url, index } => match index.as_str() {
                Some(index) => write!(f, "{url}/{index}"),
                None => write!(f, "{url}"),
            },
        }
    }
}

impl ServerUrl {
    /// Returns the server's address, or those of a list, without scheme and credentials.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        let (_, servers) = self.0.split_once("://").unwrap_or(("", &self.0));
        servers.split(',').map(|server| server.rsplit_once('@').map_or(server, |(_, address)| address))
    }
}

/// Shows everything but the credentials.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("nats", &self.0));
        let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
        write!(f, "{scheme}://{address}")
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

impl StoreArguments {
    /// Opens the index that the command line names.
    pub(crate) async fn open(&self, pins: &Pins) -> Result<Engine> {
        let place = self.store.place()?;
        let key = self.key()?;
        let engine = place.existing(pins.of(&place)).await?;
        engine.open(key).await.map_err(|error| place.failed(error))
    }

    /// Reads the key that the command line or the environment names.
    pub(crate) fn key(&self) -> Result<Option<KeySource>> {
        KeyFile::chosen(&self.key)?.map(|file| file.read()).transpose()
    }
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
            ("nats://localhost:4222/a b", None),
            ("nats://localhost:4222?x=1", None),
        ] {
            let store: StoreName = text.parse().expect("anything is taken");
            let place = store.place();
            assert_eq!(place.as_ref().ok().map(ToString::to_string).as_deref(), expected, "{text:?}");
            let shown = format!("{store:?} {place:?}");
            assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
        }
    }
}
