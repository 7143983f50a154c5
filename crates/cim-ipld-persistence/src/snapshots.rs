//! Named backups: a sealed list of segments that the manifest names. Pages are never copied; a snapshot keeps them from
//! being removed. Making, restoring and deleting one each swap the manifest, so that they have one order among themselves and
//! with folds and merges.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cim_ipld_backend::{Key, Precondition};
use cim_ipld_envelope::{ObjectKind, ObjectNames, SealOptions, random};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::engine::Engine;
use crate::format::manifest::{Manifest, SegmentEntry, SnapshotEntry, Watermark};
use crate::format::snapshot::SnapshotRecord;
use crate::layout::Layout;
use crate::objects::{Address, Objects};
use crate::publish::swap_manifest;
use crate::segments::SegmentHandle;
use crate::shared::Shared;
use crate::state::ManifestVersion;
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
            bytes: record.segments.iter().map(|segment| segment.bytes).sum(),
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
            self.fold().await?;
            let current = Arc::clone(&self.shared.view().manifest);
            let entry = SnapshotEntry { hidden_name: hidden_name(&current.manifest, name), id: random() };
            if named(&current.manifest, &entry.hidden_name).is_some() {
                let message = format!("there is a snapshot {name:?} already");
                return Err(Error::new(ErrorKind::SnapshotExists, message));
            }
            let record = SnapshotRecord {
                name: name.to_owned(),
                created_at_ms: now_ms(),
                documents: live_documents(&current.manifest),
                segments: current.manifest.segments.clone(),
            };
            if self.publish_snapshot(&current, entry, &record).await? {
                return Ok(SnapshotInfo::from(&record));
            }
        }
    }

    /// Stores the record, then names it in the manifest. Returns false when another manifest came first.
    async fn publish_snapshot(
        &self,
        current: &ManifestVersion,
        entry: SnapshotEntry,
        record: &SnapshotRecord,
    ) -> Result<bool> {
        let objects = &self.shared.objects;
        let key = Layout::snapshot(&entry)?;
        let sealed = objects.seal(&address(objects, &key), &record.to_bytes(), &SealOptions::default())?;
        objects.write(&objects.layout.catalog, &key, sealed, Precondition::Absent).await?;
        let mut manifest = current.again();
        manifest.snapshots.push(entry);
        match swap_manifest(&self.shared, current, &manifest).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                objects.discard(&objects.layout.catalog, &[key]).await;
                self.shared.wait_generation(manifest.generation).await.map(|()| false)
            }
            // After an unknown outcome the manifest may name the record.
            swapped => self.shared.wait_published(swapped?).await.map(|()| true),
        }
    }

    /// Lists the snapshots, oldest first.
    ///
    /// # Errors
    /// `Damaged` or `Lost` when one cannot be read, and what the store answers.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        self.shared.check()?;
        let (_, records) = read_newest(&self.shared.objects).await?;
        Ok(records.iter().map(SnapshotInfo::from).collect())
    }

    /// Makes the index what it was when the snapshot was made. Everything written since, by any process, is gone.
    ///
    /// # Errors
    /// `SnapshotMissing`, `Damaged` or `Lost` when it cannot be read, and what the store answers.
    pub async fn restore_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        check_name(name)?;
        self.shared.check()?;
        let objects = &self.shared.objects;
        loop {
            // Whoever deletes the snapshot changes the manifest first, and this swap fails.
            let current = catalog::read_manifest(objects).await?;
            let record = read(objects, find(&current.manifest, name)?).await?;
            let manifest = current.successor(Watermark::Own, record.segments.clone());
            match swap_manifest(&self.shared, &current, &manifest).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                swapped => {
                    self.shared.wait_published(swapped?).await?;
                    remove_unnamed(&self.shared, &current.manifest.segments).await?;
                    return Ok(SnapshotInfo::from(&record));
                }
            }
        }
    }

    /// Deletes a snapshot, and the pages that nothing else names. One whose record cannot be read goes too; what it named
    /// alone stays behind then.
    ///
    /// # Errors
    /// `SnapshotMissing`, and what the store answers.
    pub async fn delete_snapshot(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.shared.check()?;
        let objects = &self.shared.objects;
        loop {
            let current = catalog::read_manifest(objects).await?;
            let entry = find(&current.manifest, name)?;
            let record = match read(objects, entry).await {
                Err(error) if matches!(error.kind(), ErrorKind::Lost | ErrorKind::Damaged) => None,
                record => Some(record?),
            };
            let mut manifest = current.again();
            manifest.snapshots.retain(|other| other != entry);
            match swap_manifest(&self.shared, &current, &manifest).await {
                Err(error) if error.kind() == ErrorKind::Conflict => continue,
                swapped => self.shared.wait_published(swapped?).await?,
            }
            objects.discard(&objects.layout.catalog, &[Layout::snapshot(entry)?]).await;
            return match record {
                Some(record) => remove_unnamed(&self.shared, &record.segments).await,
                None => Ok(()),
            };
        }
    }
}

/// Removes those of `candidates` that neither the manifest nor any snapshot names.
pub(crate) async fn remove_unnamed(shared: &Shared, candidates: &[SegmentEntry]) -> Result<()> {
    let objects = &shared.objects;
    let (manifest, records) = read_newest(objects).await?;
    let named = records.iter().map(|record| &record.segments).chain([&manifest.manifest.segments]).flatten();
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

/// Reads the record that `entry` names.
pub(crate) async fn read(objects: &Objects, entry: &SnapshotEntry) -> Result<SnapshotRecord> {
    let key = Layout::snapshot(entry)?;
    SnapshotRecord::from_bytes(&objects.fetch(&address(objects, &key)).await?)
}

/// Reads the newest manifest and all of its snapshots.
async fn read_newest(objects: &Objects) -> Result<(ManifestVersion, Vec<SnapshotRecord>)> {
    loop {
        let manifest = catalog::read_manifest(objects).await?;
        let records = stream::iter(manifest.manifest.snapshots.clone())
            .map(|entry| async move { read(objects, &entry).await })
            .buffered(8);
        match records.try_collect().await {
            // One that was deleted meanwhile is not lost.
            Err(error) if error.kind() == ErrorKind::Lost => {
                if catalog::read_manifest(objects).await?.revision == manifest.revision {
                    return Err(error);
                }
            }
            records => return records.map(|records| (manifest, records)),
        }
    }
}

/// The secrets of all deletes objects that a snapshot names.
pub(crate) async fn named_deletes(objects: &Objects) -> Result<HashSet<[u8; 32]>> {
    let (_, records) = read_newest(objects).await?;
    let segments = records.iter().flat_map(|record| &record.segments);
    Ok(segments.filter_map(|segment| segment.deletes.as_ref()).map(|deletes| deletes.secret).collect())
}

/// The store sees only a keyed hash of a snapshot's name.
fn hidden_name(manifest: &Manifest, name: &str) -> String {
    ObjectNames::from_secret(manifest.names_secret).name_of(name)
}

fn named<'a>(manifest: &'a Manifest, hidden_name: &str) -> Option<&'a SnapshotEntry> {
    manifest.snapshots.iter().find(|entry| entry.hidden_name == hidden_name)
}

fn find<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a SnapshotEntry> {
    named(manifest, &hidden_name(manifest, name))
        .ok_or_else(|| Error::new(ErrorKind::SnapshotMissing, format!("there is no snapshot {name:?}")))
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
