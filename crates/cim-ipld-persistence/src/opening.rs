//! Making an index, and opening one.

use std::sync::{Arc, Mutex};

use cim_ipld_backend::{Backend, ErrorKind as StoreErrorKind};
use cim_ipld_envelope::{EncryptionAlgorithm, Envelope, KeySource};
use tokio::sync::mpsc;

use crate::engine::{Engine, Tasks};
use crate::fold::{Folder, Trigger};
use crate::follower::Follower;
use crate::layout::{IndexName, Layout};
use crate::objects::Objects;
use crate::shared::Shared;
use crate::state::View;
use crate::writer::Writer;
use crate::{Error, ErrorKind, Result, Settings, catalog, creation};

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

impl Engine {
    /// Makes a new index in `backend` and opens it. One whose creation was cut off by a crash is finished.
    ///
    /// # Errors
    /// `IndexExists`, `InvalidInput`, and what the store answers (`Unavailable`, `Denied`, `Full`, …); as for
    /// [`open`](Engine::open) when a creation was begun here with another key.
    pub async fn create(
        backend: Arc<dyn Backend>,
        name: &IndexName,
        protection: Protection,
        settings: Settings,
    ) -> Result<Self> {
        let layout = Layout::new(name)?;
        for bucket in layout.buckets() {
            backend.create(bucket).await?;
        }
        let objects = creation::create(backend, layout, protection, settings.write_timeout()).await?;
        Self::start(objects, settings).await
    }

    /// Opens the index that is in `backend`: searchable as soon as the journal's tail has been read.
    ///
    /// # Errors
    /// `NoIndex`, `KeyRequired`, `WrongKey`, `NotEncrypted`, `UnsupportedVersion`, `Damaged`, `Lost`, and what the store
    /// answers. Nothing in the store is changed by a failed opening.
    pub async fn open(
        backend: Arc<dyn Backend>,
        name: &IndexName,
        key: Option<KeySource>,
        settings: Settings,
    ) -> Result<Self> {
        let layout = Layout::new(name)?;
        let root = backend.get(&layout.catalog, &layout.root).await?;
        let root = root.ok_or_else(|| Error::new(ErrorKind::NoIndex, "there is no index at this place"))?;
        let envelope = Envelope::open_root(&root.value, key.as_ref()).await?;
        Self::start(Objects::new(backend, layout, envelope, settings.write_timeout()), settings).await
    }

    /// Tells whether `backend` holds an index of this name.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn exists(backend: &dyn Backend, name: &IndexName) -> Result<bool> {
        let layout = Layout::new(name)?;
        match backend.get(&layout.catalog, &layout.root).await {
            Ok(Some(_)) => Ok(!creation::is_unfinished(backend, &layout).await?),
            Ok(None) => Ok(false),
            Err(error) if error.kind() == StoreErrorKind::BucketMissing => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn start(objects: Objects, settings: Settings) -> Result<Self> {
        let manifest = match catalog::read_manifest(&objects).await {
            Err(error) if error.kind() == ErrorKind::Lost => {
                if !creation::is_unfinished(&*objects.backend, &objects.layout).await? {
                    return Err(error);
                }
                let message = "the creation of an index was begun at this place and is not finished";
                return Err(Error::new(ErrorKind::NoIndex, message));
            }
            other => other?,
        };
        let view = View::empty(manifest.clone())?;
        let shared = Arc::new(Shared::new(objects, settings, view));
        let (commands, obeyed) = mpsc::channel(8);
        let trigger = Trigger::default();
        let follower = Follower::start(&shared, manifest, obeyed, trigger.clone()).await?;
        let (writer, submit) = Writer::new(Arc::clone(&shared));
        let folder = Arc::new(Folder::new(Arc::clone(&shared), commands));
        let background = shared.settings.background.then(|| tokio::spawn(Arc::clone(&folder).run(trigger)));
        let tasks = Tasks { follower: tokio::spawn(follower.run()), writer: tokio::spawn(writer.run()), background };
        Ok(Self { shared, folder, submit, tasks: Arc::new(Mutex::new(Some(tasks))) })
    }
}
