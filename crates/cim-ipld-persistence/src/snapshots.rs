//! Named backups: a sealed copy of the manifest. Pages are never copied; a snapshot keeps them from being removed.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use cim_ipld_backend::{Key, KeyedEntry, Precondition};
use cim_ipld_envelope::{ObjectKind, ObjectNames, SealOptions};
use futures::StreamExt;

use crate::engine::Engine;
use crate::format::manifest::{Manifest, SegmentEntry, Watermark};
use crate::format::snapshot::SnapshotRecord;
use crate::layout::Layout;
use crate::objects::{Address, Objects};
use crate::publish::swap_manifest;
use crate::segments::SegmentHandle;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result, catalog};

/// The longest snapshot name, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// A named backup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotInfo {
    /// Its name.
    pub name: String,
    /// When it was made, in Unix milliseconds of the clock of the process that made it.
    pub created_at_ms: i64,
    /// Live documents in it.
    pub documents: u64,
    /// Bytes of the pages that it names.
    pub bytes: u64,
}

impl From<&SnapshotRecord> for SnapshotInfo {
    fn from(record: &SnapshotRecord) -> Self {
        Self {
            name: record.name.clone(),
            created_at_ms: record.created_at_ms,
            documents: record.documents,
            bytes: record.manifest.segments.iter().map(|segment| segment.bytes).sum(),
        }
    }
}

impl Engine {
    /// Makes a snapshot of everything acknowledged so far under `name`. Copies no data.
    ///
    /// # Errors
    /// `SnapshotExists`, `InvalidInput` for a name that is empty or over 256 bytes, and what the store answers.
    pub async fn create_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        check_name(name)?;
        loop {
            self.fold_all().await?;
            let view = self.shared.view();
            let key = self.snapshot_key(name)?;
            let record = SnapshotRecord {
                name: name.to_owned(),
                created_at_ms: now_ms(),
                documents: live_documents(&view.manifest.manifest),
                manifest: view.manifest.manifest.clone(),
            };
            let sealed = self.shared.objects.seal(&self.address(&key), &record.to_bytes(), &SealOptions::default())?;
            let catalog = &self.shared.objects.layout.catalog;
            let revision = match self.shared.objects.write(catalog, &key, sealed, Precondition::Absent).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    let message = format!("there is a snapshot {name:?} already");
                    return Err(Error::new(ErrorKind::SnapshotExists, message));
                }
                other => other?,
            };
            // A manifest that came first may have let go of what this snapshot names: then it is made again.
            let newest = catalog::read_manifest(&self.shared.objects).await?;
            if newest.revision == view.manifest.revision || newest.revision > revision {
                return Ok(SnapshotInfo::from(&record));
            }
            self.shared.objects.backend.delete(catalog, &[key]).await?;
        }
    }

    /// Lists the snapshots, oldest first.
    ///
    /// # Errors
    /// `Damaged` when one cannot be read, and what the store answers.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        self.shared.check()?;
        let records = read_all(&self.shared.objects).await?;
        Ok(records.iter().map(SnapshotInfo::from).collect())
    }

    /// Makes the index what it was when the snapshot was made. Everything written since, by any process, is gone.
    ///
    /// # Errors
    /// `SnapshotMissing`, `Conflict` when another process changed the manifest at the same moment, and what the store
    /// answers.
    pub async fn restore_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        check_name(name)?;
        self.shared.check()?;
        let objects = &self.shared.objects;
        // The manifest before the snapshot: whoever deletes that in between changes the manifest, and this swap fails.
        let current = catalog::read_manifest(objects).await?;
        let record = self.read_snapshot(name).await?;
        let manifest = current.successor(Watermark::Own, record.manifest.segments.clone());
        let revision = swap_manifest(&self.shared, &current, catalog::seal_manifest(objects, &manifest)?).await?;
        self.shared.wait_published(revision).await?;
        remove_unnamed(&self.shared, &current.manifest.segments).await?;
        Ok(SnapshotInfo::from(&record))
    }

    /// Deletes a snapshot, and the pages that nothing else names.
    ///
    /// # Errors
    /// `SnapshotMissing`, and what the store answers.
    pub async fn delete_snapshot(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.shared.check()?;
        let record = self.read_snapshot(name).await?;
        let objects = &self.shared.objects;
        objects.backend.delete(&objects.layout.catalog, &[self.snapshot_key(name)?]).await?;
        self.outdate_manifest().await?;
        remove_unnamed(&self.shared, &record.manifest.segments).await
    }

    /// Publishes the manifest again as it is, so that no process that read the one before, and a snapshot that is gone since,
    /// can still publish what that snapshot named.
    async fn outdate_manifest(&self) -> Result<()> {
        loop {
            let objects = &self.shared.objects;
            let current = catalog::read_manifest(objects).await?;
            let watermark = Watermark::At(current.watermark().number());
            let next = current.successor(watermark, current.manifest.segments.clone());
            match swap_manifest(&self.shared, &current, catalog::seal_manifest(objects, &next)?).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                swapped => return self.shared.wait_published(swapped?).await,
            }
        }
    }

    /// Folds until the manifest holds everything that was applied here. One fold may lose to another process's, which
    /// need not reach as far.
    async fn fold_all(&self) -> Result<()> {
        let target = self.shared.progress().last_record;
        while self.shared.view().manifest.watermark().number() < target {
            self.fold().await?;
        }
        Ok(())
    }

    async fn read_snapshot(&self, name: &str) -> Result<SnapshotRecord> {
        let key = self.snapshot_key(name)?;
        let entry = self
            .shared
            .objects
            .read(&self.address(&key))
            .await?
            .ok_or_else(|| Error::new(ErrorKind::SnapshotMissing, format!("there is no snapshot {name:?}")))?;
        open(&self.shared.objects, KeyedEntry { key, entry })
    }

    /// The store sees only a keyed hash of a snapshot's name.
    fn snapshot_key(&self, name: &str) -> Result<Key> {
        let secret = self.shared.view().manifest.manifest.names_secret;
        Layout::snapshot(&ObjectNames::from_secret(secret).name_of(name))
    }

    fn address<'a>(&'a self, key: &'a Key) -> Address<'a> {
        address(&self.shared.objects, key)
    }
}

/// Removes those of `candidates` that neither the manifest nor any snapshot names.
pub(crate) async fn remove_unnamed(shared: &Shared, candidates: &[SegmentEntry]) -> Result<()> {
    let objects = &shared.objects;
    // Snapshots before the manifest: one made in between names segments of a manifest that is read after it.
    let records = read_all(objects).await?;
    let manifest = catalog::read_manifest(objects).await?.manifest;
    let named = records.iter().map(|record| &record.manifest).chain([&manifest]).flat_map(|of| &of.segments);
    let (mut segments, mut deletes) = (HashSet::new(), HashSet::new());
    for entry in named {
        segments.insert(entry.id);
        deletes.extend(entry.deletes.as_ref().map(|deletes| deletes.secret));
    }
    for entry in candidates {
        if !segments.contains(&entry.id) {
            SegmentHandle::new(entry.clone()).remove(shared).await?;
        } else if let Some(unnamed) = entry.deletes.as_ref().filter(|entry| !deletes.contains(&entry.secret)) {
            objects.discard(&objects.layout.metadata, &unnamed.keys()?).await;
        }
    }
    Ok(())
}

fn address<'a>(objects: &'a Objects, key: &'a Key) -> Address<'a> {
    Address { bucket: &objects.layout.catalog, kind: ObjectKind::SNAPSHOT, name: key.as_str(), generation: 0 }
}

fn open(objects: &Objects, entry: KeyedEntry) -> Result<SnapshotRecord> {
    let KeyedEntry { key, entry } = entry;
    SnapshotRecord::from_bytes(&objects.open(&address(objects, &key), entry.value)?)
}

/// Every snapshot, oldest first.
pub(crate) async fn read_all(objects: &Objects) -> Result<Vec<SnapshotRecord>> {
    let layout = &objects.layout;
    let mut entries = objects.backend.scan(&layout.catalog, &layout.snapshots, cim_ipld_backend::Revision::ZERO);
    let mut records = Vec::new();
    while let Some(entry) = entries.next().await {
        records.push(open(objects, entry?)?);
    }
    Ok(records)
}

/// The secrets of all deletes objects that a snapshot names.
pub(crate) async fn named_deletes(objects: &Objects) -> Result<HashSet<[u8; 32]>> {
    let records = read_all(objects).await?;
    let segments = records.iter().flat_map(|record| &record.manifest.segments);
    Ok(segments.filter_map(|segment| segment.deletes.as_ref()).map(|deletes| deletes.secret).collect())
}

fn live_documents(manifest: &Manifest) -> u64 {
    let live = |segment: &SegmentEntry| {
        let deleted = segment.deletes.as_ref().map_or(0, |deletes| deletes.documents);
        u64::from(segment.documents.saturating_sub(deleted))
    };
    manifest.segments.iter().map(live).sum()
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        let message = format!("a snapshot's name has 1 to {MAX_NAME_BYTES} bytes, this one has {}", name.len());
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
