//! The location of an index.

use std::fmt;
use std::path::PathBuf;

use cim_ipld::nats::ServerList;
use cim_ipld::persistence::IndexName;

use crate::args::NatsArguments;
use crate::failure::{Failure, Result};
use crate::nats;
use crate::path;
use crate::store_name::StoreName;

/// The location that STORE denotes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Folder(PathBuf),
    Nats { servers: ServerList, index: IndexName },
}

const EXPECTED: &str = "give file:FOLDER or nats://HOST:PORT[/INDEX]";

const NOT_A_NAME: &str = "the text after the server in STORE is not the name of an index";
const HIDE_SECRETS: &str = "give a password or token that contains signs with --password-file or --token-file";

impl StoreName {
    pub(crate) fn place(&self, arguments: &NatsArguments) -> Result<Place> {
        let text = self.as_typed();
        if let Some(folder) = text.strip_prefix("file:") {
            return path::folder(folder, std::env::var_os("HOME")).map(Place::Folder);
        }
        if !["nats://", "tls://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(Failure::usage("STORE is neither a folder nor a NATS URL", EXPECTED));
        }
        let (servers, index) = match text.strip_prefix("nats:///") {
            Some(index) => (nats::servers(arguments)?, index),
            None => ServerList::with_path(text).map_err(|error| Failure::from(error).at("STORE").hint(EXPECTED))?,
        };
        let index = match index {
            "" => IndexName::default(),
            // It may be the end of a password that contains a `/`, or of a query with a token.
            name if name.contains(['@', '?', '=', '%']) => return Err(Failure::usage(NOT_A_NAME, HIDE_SECRETS)),
            name => IndexName::new(name).map_err(|error| Failure::usage(error.to_string(), EXPECTED))?,
        };
        Ok(Place::Nats { servers, index })
    }
}

impl Place {
    pub(crate) fn index(&self) -> IndexName {
        match self {
            Self::Folder(_) => IndexName::default(),
            Self::Nats { index, .. } => index.clone(),
        }
    }

    /// Returns the place of another index in the same store, or `None` if STORE cannot denote it: a
    /// folder holds one index, unless a program other than this one has created more.
    pub(crate) fn with_index(&self, index: &IndexName) -> Option<Self> {
        match self {
            Self::Folder(folder) => (*index == IndexName::default()).then(|| Self::Folder(folder.clone())),
            Self::Nats { servers, .. } => Some(Self::Nats { servers: servers.clone(), index: index.clone() }),
        }
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
            ("nats://s3cret/t0ken@localhost:4222", None),
            ("nats://localhost:4222/notes?token=s3cret", None),
        ] {
            let store: StoreName = text.parse().expect("anything is taken");
            let place = store.place(&NatsArguments::default());
            assert_eq!(place.as_ref().ok().map(ToString::to_string).as_deref(), expected, "{text:?}");
            let shown = format!("{store:?} {place:?}");
            assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
        }
    }
}
