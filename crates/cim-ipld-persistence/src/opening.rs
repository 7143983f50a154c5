//! Making an index, and opening one.

use std::sync::Arc;

use bytes::Bytes;
use cim_ipld_backend::{Backend, ErrorKind as StoreErrorKind, KeyPrefix, Precondition, Revision};
use cim_ipld_envelope::{EncryptionAlgorithm, Envelope, IndexId, KeySource, Keyset, random};
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::catalog;
use crate::engine::{Engine, Tasks};
use crate::fold::{Folder, Trigger};
use crate::follower::Follower;
use crate::format::manifest::{Manifest, Watermark};
use crate::layout::{IndexName, Layout};
use crate::objects::Objects;
use crate::shared::Shared;
use crate::state::View;
use crate::writer::Writer;
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

impl Engine {
    /// Makes a new index in `backend` and opens it. One whose making was cut off before it was whole is finished.
    ///
    /// # Errors
    /// `IndexExists`, `InvalidInput`, `WrongKey`, `KeyRequired` and `NotEncrypted` when one that was cut off had other keys, and what the store answers (`Unavailable`, `Denied`, `Full`, …).
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
        if let Some(root) = unfinished(&*backend, &layout).await? {
            // What a creation that died left behind: nothing is sealed under its keys, but another process may be about to.
            let key = match &protection {
                Protection::Encrypted { key, .. } => Some(key),
                Protection::Plaintext => None,
            };
            let envelope = Envelope::open_root(&root, key).await?;
            return Self::begin(Objects::new(backend, layout, envelope, settings.write_timeout()), settings).await;
        }
        let envelope = match protection {
            Protection::Encrypted { algorithm, key } => {
                Envelope::encrypted(Keyset::create(IndexId::random(), algorithm, &key).await?)
            }
            Protection::Plaintext => Envelope::plaintext(IndexId::random()),
        };
        let root = envelope.root_record();
        let objects = Objects::new(backend, layout, envelope, settings.write_timeout());
        let layout = &objects.layout;
        objects.write(&layout.catalog, &layout.root, root, Precondition::Absent).await.map_err(|error| match error
            .kind()
        {
            ErrorKind::Conflict => Error::new(ErrorKind::IndexExists, "there is an index at this place already"),
            _ => error,
        })?;
        Self::begin(objects, settings).await
    }

    /// Writes the first manifest of an index whose root is there, and opens it.
    async fn begin(objects: Objects, settings: Settings) -> Result<Self> {
        let layout = &objects.layout;
        let first = Manifest {
            generation: 1,
            previous: [0; 32],
            watermark: Watermark::At(0),
            names_secret: random(),
            segments: Vec::new(),
        };
        let sealed = catalog::seal_manifest(&objects, &first)?;
        match objects.write(&layout.catalog, &layout.manifest, sealed, Precondition::Absent).await {
            // Another process finished this creation: its manifest is as good.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            other => drop(other?),
        }
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
            Ok(root) => Ok(root.is_some()),
            Err(error) if error.kind() == StoreErrorKind::BucketMissing => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn start(objects: Objects, settings: Settings) -> Result<Self> {
        let manifest = catalog::read_manifest(&objects).await?;
        let view = View::empty(manifest.clone())?;
        let shared = Arc::new(Shared::new(objects, settings, view));
        let (commands, obeyed) = mpsc::channel(8);
        let trigger = Trigger::default();
        let follower = Follower::start(&shared, manifest, obeyed, trigger.clone()).await?;
        let (writer, submit) = Writer::new(Arc::clone(&shared));
        let folder = Arc::new(Folder::new(Arc::clone(&shared), commands));
        let mut tasks = vec![tokio::spawn(follower.run()), tokio::spawn(writer.run())];
        if shared.settings.background {
            tasks.push(tokio::spawn(Arc::clone(&folder).run(trigger)));
        }
        Ok(Self { shared, folder, submit, tasks: Arc::new(Tasks(tasks)) })
    }
}

/// The root of an index whose making was cut off after it: it is all that the five buckets hold. A manifest that is missing
/// beside anything else was lost.
async fn unfinished(backend: &dyn Backend, layout: &Layout) -> Result<Option<Bytes>> {
    let mut root = None;
    for bucket in layout.buckets() {
        let mut entries = backend.scan(bucket, &KeyPrefix::all(), Revision::ZERO);
        while let Some(entry) = entries.next().await {
            let found = entry?;
            if *bucket != layout.catalog || found.key != layout.root {
                return Ok(None);
            }
            root = Some(found.entry.value);
        }
    }
    Ok(root)
}
