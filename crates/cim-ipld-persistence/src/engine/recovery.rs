//! Opening an index that has lost objects: the root and the manifest are sufficient.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cim_ipld_backend::{Backend, Entry, ErrorKind as StoreErrorKind, Key, Precondition, Revision};
use cim_ipld_envelope::{Envelope, KeySource};
use cim_ipld_index::Analyzer;
use futures::StreamExt;

use super::creation;
use super::open_checks::{check_floor, open_under_root};
use super::opening::EngineBuilder;
use crate::error::StoredObject;
use crate::history::manifest::{
    ManifestVersion, is_missing_or_invalid, manifest_address, open_manifest, read_manifest,
};
use crate::history::pin::{self, check_manifest, check_root};
use crate::history::records;
use crate::maintenance::repair::{Overlay, Repair, RepairOptions, RepairReport, RepairSource};
use crate::maintenance::snapshots::{self, SnapshotInfo};
use crate::maintenance::verify::{Verifier, VerifyReport};
use crate::objects::layout::Layout;
use crate::objects::{Objects, Root, root_digest};
use crate::{Error, ErrorKind, Result, Settings};

/// An index opened without reading more than its root and its manifest, so that it can be examined
/// and restored even if other objects are missing or damaged.
///
/// It cannot be searched or written to, and does not follow what other processes write.
///
/// ```
/// use std::sync::Arc;
///
/// use cim_ipld_backend::{Backend, Bucket, KeyPrefix, MemoryBackend, Revision};
/// use cim_ipld_index::Document;
/// use cim_ipld_persistence::{Condition, Engine, Protection, content_cid};
/// use futures::TryStreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let backend = Arc::new(MemoryBackend::new());
/// let engine = Engine::builder(backend.clone()).create(Protection::Plaintext).await?;
/// engine.create_snapshot("empty").await?;
/// engine.index(&[Document::new(content_cid(b"1"))]).await?;
/// engine.fold().await?;
/// engine.close().await;
///
/// let metadata = Bucket::objects("metadata_cache_v1")?;
/// let entries = backend.scan(&metadata, &KeyPrefix::all(), Revision::ZERO);
/// let keys: Vec<_> = entries.map_ok(|entry| entry.key).try_collect().await?;
/// backend.delete(&metadata, &keys).await?;
/// assert!(Engine::builder(backend.clone()).open(None).await.is_err());
///
/// let recovery = Engine::builder(backend.clone()).open_for_recovery(None).await?;
/// assert_eq!(recovery.verify().await?.condition(), Condition::DataLost);
/// recovery.restore_snapshot("empty").await?;
/// let engine = Engine::builder(backend).open(None).await?;
/// assert_eq!(engine.stats().await?.index.documents, 0);
/// # Ok(())
/// # }
/// ```
pub struct Recovery {
    objects: Arc<Objects>,
    analyzer: Analyzer,
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery").finish_non_exhaustive()
    }
}

/// The snapshots that a damaged index still has.
///
/// ```
/// use cim_ipld_persistence::SnapshotList;
///
/// assert_eq!(SnapshotList::default().unreadable, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotList {
    /// Those whose records can be read, oldest first.
    pub snapshots: Vec<SnapshotInfo>,
    /// The number of those whose records, and therefore names, cannot be read.
    pub unreadable: u64,
}

impl Recovery {
    /// Lists the snapshots. That a record can be read does not mean that its documents can:
    /// [`verify`](Self::verify) names the snapshots that a problem affects.
    ///
    /// # Errors
    /// [`Damaged`](ErrorKind::Damaged) or [`Lost`](ErrorKind::Lost) if the manifest can no longer
    /// be read, and otherwise as reported by the store.
    pub async fn snapshots(&self) -> Result<SnapshotList> {
        let (records, unreadable) = snapshots::readable(&self.objects, read_manifest(&self.objects).await?).await?;
        Ok(SnapshotList { snapshots: records.iter().map(SnapshotInfo::from).collect(), unreadable })
    }

    /// Restores the index to the state of a snapshot. All later writes are discarded, with the
    /// damaged objects that only they need. Afterwards the index opens, if the snapshot is intact.
    ///
    /// # Errors
    /// * [`SnapshotMissing`](ErrorKind::SnapshotMissing) if there is no snapshot of this name.
    /// * [`Damaged`](ErrorKind::Damaged) or [`Lost`](ErrorKind::Lost) if its record cannot be read.
    /// * [`Conflict`](ErrorKind::Conflict) if another process keeps changing the index.
    pub async fn restore_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        snapshots::restore_unfollowed(&self.objects, name).await
    }

    /// Reads and checks every object of the index, like [`Engine::verify`](crate::Engine::verify).
    ///
    /// # Errors
    /// Any error that prevents the check, such as [`Unavailable`](ErrorKind::Unavailable), and
    /// [`KeyRotated`](ErrorKind::KeyRotated) if the keyset was changed since it was opened.
    pub async fn verify(&self) -> Result<VerifyReport> {
        loop {
            let manifest = read_manifest(&self.objects).await?;
            let digest = manifest.digest;
            let mut report = VerifyReport::default();
            let verifier = Verifier { objects: &self.objects, analyzer: &self.analyzer, seen: None };
            verifier.verify_as_of(manifest, &mut report).await?;
            if report.is_sound() {
                return Ok(report);
            }
            self.check_root().await?;
            // What a newer manifest no longer names is not lost.
            if read_manifest(&self.objects).await?.digest == digest {
                return Ok(report);
            }
        }
    }
}

impl Recovery {
    /// Fails if the key has been changed since the root was opened. In that case, an object that
    /// the old keys cannot open is not necessarily damaged.
    async fn check_root(&self) -> Result<()> {
        let layout = &self.objects.layout;
        let there = get(&*self.objects.backend, layout, &layout.root).await?;
        match there.is_none_or(|entry| entry.value == self.objects.root().record) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::KeyRotated, "the keyset was changed since it was opened")),
        }
    }
}

impl EngineBuilder {
    /// Opens an index of which only the root and the manifest have to be intact.
    ///
    /// # Errors
    /// The same as for [`open`](Self::open), except that other objects may be missing or damaged.
    pub async fn open_for_recovery(self, key: Option<KeySource>) -> Result<Recovery> {
        let (objects, manifest) = self.open_objects(key.as_ref(), &[]).await?;
        let analyzer = creation::analyzer_of(&manifest.manifest.analyzer()?, self.analyzer.as_ref())?;
        Ok(Recovery { objects: Arc::new(objects.with_final_root()), analyzer })
    }

    /// Repairs an index that has lost objects, so that it opens again:
    ///
    /// * Missing and damaged objects are put back from `sources`, which are tried in order.
    /// * A segment that still has missing or damaged objects after that, other than its deletes, is
    ///   rebuilt from its stored documents. Text, tags and types are derived from those.
    /// * A document that no segment has any more is put back from a source or a snapshot that has
    ///   it by its CID, in the newest version that these have, unless the index has a newer one or
    ///   has deleted it. If the CIDs of lost documents are lost, too, every document of the sources
    ///   that the index does not have is put back. Deleted ones may be among them, and are counted.
    /// * Journal records that follow lost ones are applied again.
    /// * What cannot be recovered is given up; the report names it, or counts it if its name is
    ///   lost too.
    ///
    /// Other processes must not have the index open. Objects that the repair replaced remain in the
    /// store until [`Engine::collect_garbage`](crate::Engine::collect_garbage).
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use cim_ipld_backend::{Backend, Bucket, Key, MemoryBackend};
    /// use cim_ipld_persistence::{Engine, Protection, RepairOptions, StoreSource};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let backend = MemoryBackend::new();
    /// Engine::builder(Arc::new(backend.clone())).create(Protection::Plaintext).await?.close().await;
    /// let copy = StoreSource::new(Arc::new(backend.fork()));
    /// backend.delete(&Bucket::log("catalog_v1")?, &[Key::new("manifest")?]).await?;
    ///
    /// let builder = Engine::builder(Arc::new(backend));
    /// let report = builder.repair(None, &[Arc::new(copy)], RepairOptions::default()).await?;
    /// assert_eq!(report.restored_objects, 1);
    /// assert!(report.is_complete());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`Lost`](ErrorKind::Lost) or [`Damaged`](ErrorKind::Damaged) if neither the store nor a
    ///   source has the root and the manifest.
    /// * [`Rollback`](ErrorKind::Rollback) or [`Forked`](ErrorKind::Forked) if the manifest is
    ///   older than the pin or of another history, unless [`accept_store`](Self::accept_store) was
    ///   called.
    /// * [`InvalidInput`](ErrorKind::InvalidInput) if a source is the archive of another index.
    /// * [`Conflict`](ErrorKind::Conflict) if another process changed the index meanwhile.
    /// * The errors of [`open`](Self::open) that concern the key and the store.
    pub async fn repair(
        mut self,
        key: Option<KeySource>,
        sources: &[Arc<dyn RepairSource>],
        options: RepairOptions,
    ) -> Result<RepairReport> {
        if options.dry_run {
            self.backend = Arc::new(Overlay::new(Arc::clone(&self.backend)));
        }
        let settings: Settings = self.settings.clone();
        let before = self.present_entries().await?;
        let (objects, manifest) = self.open_objects(key.as_ref(), sources).await?;
        let analyzer = creation::analyzer_of(&manifest.manifest.analyzer()?, self.analyzer.as_ref())?;
        let objects = Arc::new(objects.with_final_root());
        let mut report = Repair::new(&objects, &analyzer, &settings, sources, key.as_ref()).run(manifest).await?;
        let after = self.present_entries().await?;
        report.restored_objects += u64::from(before.0 != after.0 && before.0 != Some(objects.root().record.clone()));
        report.restored_objects += u64::from(before.1.is_none() && after.1.is_some());
        Ok(report)
    }

    /// Returns the root and the manifest in the store as they are.
    async fn present_entries(&self) -> Result<(Option<Bytes>, Option<Bytes>)> {
        let layout = Layout::new(&self.name)?;
        let root = get(&*self.backend, &layout, &layout.root).await?;
        let manifest = get(&*self.backend, &layout, &layout.manifest).await?;
        Ok((root.map(|entry| entry.value), manifest.map(|entry| entry.value)))
    }

    /// Opens the root and the manifest, or the copies of them in `sources`, which are put back.
    async fn open_objects(
        &self,
        key: Option<&KeySource>,
        sources: &[Arc<dyn RepairSource>],
    ) -> Result<(Objects, ManifestVersion)> {
        let pinned = match &self.pin {
            Some(store) => pin::read(store, &self.environment).await?,
            None => None,
        };
        creation::check_limits(&*self.backend)?;
        let objects = self.open_root(key, sources).await?;
        for source in sources {
            source.unlock(key, &objects.root().envelope).await?;
        }
        let manifest = restore_manifest(&objects, key, sources).await?;
        check_floor(&objects, &manifest)?;
        if let Some(sealed) = pinned.filter(|_| !self.accepts_older) {
            let record = pin::open(&objects.root().envelope, &sealed)?;
            check_root(&record, &objects.root())?;
            match check_manifest(&objects, &record, &manifest).await {
                // A lost node of the ancestry is what a repair is for.
                Err(error) if is_missing_or_invalid(&error) => {}
                checked => drop(checked?),
            }
        }
        Ok((objects, manifest))
    }

    /// Opens the root in the store. If it is missing, it is replaced by the first copy that opens.
    /// If it does not open, it is also replaced by that copy, but only if the manifest names the
    /// copy as its root and no record announces the root in the store.
    async fn open_root(&self, key: Option<&KeySource>, sources: &[Arc<dyn RepairSource>]) -> Result<Objects> {
        let layout = Layout::new(&self.name)?;
        let objects = |root| {
            let backend = Arc::clone(&self.backend);
            Objects::new(backend, layout.clone(), root, &self.settings, self.environment.clone(), self.rules)
        };
        let there = get(&*self.backend, &layout, &layout.root).await?;
        let error = match &there {
            Some(entry) => match Envelope::open_root(&entry.value, key).await {
                Ok(envelope) => {
                    return Ok(objects(Root { envelope, record: entry.value.clone(), revision: entry.revision }));
                }
                Err(error) => Error::from(error),
            },
            None => match creation::no_root(&*self.backend, &layout).await {
                Ok(error) if sources.is_empty() => return Err(error),
                Ok(error) | Err(error) => error,
            },
        };
        let location = stored(&layout, &layout.root);
        for source in sources {
            let Some(record) = source.object(&location).await? else { continue };
            let Ok(envelope) = Envelope::open_root(&record, key).await else { continue };
            let candidate = objects(Root { envelope, record: record.clone(), revision: Revision::ZERO });
            if let Some(there) = &there
                && !is_damaged_root(&candidate, there, error.kind()).await?
            {
                return Err(error);
            }
            candidate.backend.create(&layout.catalog).await?;
            let precondition =
                there.as_ref().map_or(Precondition::Absent, |entry| Precondition::Unchanged(entry.revision));
            let revision = candidate.write(&layout.catalog, &layout.root, record.clone(), precondition).await?;
            candidate.replace_root(Root { revision, ..(*candidate.root()).clone() });
            return Ok(candidate);
        }
        Err(error)
    }
}

/// Returns whether the root in the store counts as damaged. It does if the manifest names
/// `candidate` as its root, and no record announces the root in the store as the successor of
/// `candidate`. If the manifest is lost, too, it counts as damaged unless another key may open it:
/// `kind` is why it does not open with the given one.
async fn is_damaged_root(candidate: &Objects, there: &Entry, kind: ErrorKind) -> Result<bool> {
    let layout = &candidate.layout;
    let manifest = match read_manifest(candidate).await {
        Ok(manifest) => manifest,
        Err(error) if is_missing_or_invalid(&error) => return Ok(kind == ErrorKind::Damaged),
        Err(_) => return Ok(false),
    };
    let mut is_announced = false;
    let mut entries = candidate.backend.scan(&layout.catalog, &layout.journal, Revision::ZERO);
    while let Some(entry) = entries.next().await {
        if let Ok(opened) = records::open(candidate, &entry?) {
            is_announced |= opened.record.announces.is_some_and(|next| next.root == root_digest(&there.value));
        }
    }
    Ok(manifest.manifest.root_digest == candidate.root().digest() && !is_announced)
}

/// Opens the manifest in the store. If it is missing or damaged, the newest copy takes its place.
async fn restore_manifest(
    objects: &Objects,
    key: Option<&KeySource>,
    sources: &[Arc<dyn RepairSource>],
) -> Result<ManifestVersion> {
    let layout = &objects.layout;
    let there = get(&*objects.backend, layout, &layout.manifest).await?;
    let opened = match &there {
        Some(entry) => open_under_root(objects, entry, key).await,
        None => Err(match sources.is_empty() {
            true => creation::no_manifest(objects).await?,
            false => manifest_address(layout).lost(),
        }),
    };
    let error = match opened {
        Err(error) if is_missing_or_invalid(&error) || error.kind() == ErrorKind::Rollback => error,
        opened => return opened,
    };
    let mut newest: Option<ManifestVersion> = None;
    for source in sources {
        let Some(value) = source.object(&stored(layout, &layout.manifest)).await? else { continue };
        let Ok(copy) = open_manifest(objects, &Entry { value, revision: Revision::ZERO }) else { continue };
        if newest.as_ref().is_none_or(|newest| newest.generation() < copy.generation()) {
            newest = Some(copy);
        }
    }
    let Some(newest) = newest else { return Err(error) };
    let precondition = there.map_or(Precondition::Absent, |entry| Precondition::Unchanged(entry.revision));
    let revision = objects.write(&layout.catalog, &layout.manifest, newest.sealed.clone(), precondition).await?;
    Ok(ManifestVersion { revision, ..newest })
}

fn stored(layout: &Layout, key: &Key) -> StoredObject {
    StoredObject { bucket: layout.catalog.name().to_owned(), key: key.as_str().to_owned() }
}

async fn get(backend: &dyn Backend, layout: &Layout, key: &Key) -> Result<Option<Entry>> {
    match backend.get(&layout.catalog, key).await {
        Err(error) if error.kind() == StoreErrorKind::BucketMissing => Ok(None),
        read => Ok(read?),
    }
}
