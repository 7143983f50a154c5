//! Reachability: the objects that the manifest and its snapshots name. Segments and deletes that a
//! manifest or snapshot has named are removed only after a check here.

use std::collections::HashSet;

use cim_ipld_envelope::ObjectKind;
use futures::stream::{self, StreamExt};

use super::manifest::ManifestVersion;
use super::shared::Shared;
use crate::format::manifest::{SegmentEntry, SnapshotEntry};
use crate::format::snapshot::{SnapshotRecord, snapshot_digest};
use crate::objects::layout::Layout;
use crate::objects::segments::SegmentHandle;
use crate::objects::{Address, Objects};
use crate::{Error, ErrorKind, Result};

/// A manifest and the records of its snapshots, as far as they can be read.
pub(crate) struct References {
    pub(crate) manifest: ManifestVersion,
    pub(crate) snapshots: Vec<(SnapshotEntry, Result<SnapshotRecord>)>,
}

impl References {
    /// Reads the newest manifest and its snapshots.
    ///
    /// # Errors
    /// Those of reading the manifest. The error of a snapshot is kept in `snapshots`.
    pub(crate) async fn newest(shared: &Shared) -> Result<Self> {
        let objects = &shared.objects;
        loop {
            let references = Self::of(objects, shared.newest_manifest().await?).await;
            // If a snapshot cannot be read, it may have been deleted in the meantime; a newer
            // manifest then no longer names it.
            let is_current = references.snapshots.iter().all(|(_, read)| read.is_ok())
                || shared.newest_manifest().await?.digest == references.manifest.digest;
            if is_current {
                return Ok(references);
            }
        }
    }

    pub(crate) async fn of(objects: &Objects, manifest: ManifestVersion) -> Self {
        let snapshots = stream::iter(manifest.manifest.snapshots.clone())
            .map(|entry| async move {
                let read = read_snapshot(objects, &entry).await;
                (entry, read)
            })
            .buffered(8)
            .collect()
            .await;
        Self { manifest, snapshots }
    }

    /// Returns the records of all snapshots.
    ///
    /// # Errors
    /// The error of a snapshot that cannot be read, because the objects that it names are then
    /// unknown.
    pub(crate) fn records(&self) -> Result<Vec<&SnapshotRecord>> {
        self.snapshots.iter().map(|(_, read)| read.as_ref().map_err(Error::clone)).collect()
    }

    /// Returns all named segments, some of them several times with different deletes.
    ///
    /// # Errors
    /// The same as for [`records`](Self::records).
    pub(crate) fn segments(&self) -> Result<Vec<&SegmentEntry>> {
        let records = self.records()?;
        let segments = records.into_iter().flat_map(|record| &record.segments);
        Ok(segments.chain(&self.manifest.manifest.segments).collect())
    }
}

/// Removes the segments in `candidates` that nothing names any more, and likewise their delete
/// lists. A segment and its delete list are judged separately.
pub(crate) async fn remove_unnamed(shared: &Shared, candidates: &[SegmentEntry]) -> Result<()> {
    let objects = &shared.objects;
    if !shared.holds_newest_manifest().await? {
        tracing::warn!("superseded segments remain in the store because it does not hold the new manifest");
        return Ok(());
    }
    let references = References::newest(shared).await?;
    let (mut segments, mut deletes) = (HashSet::new(), HashSet::new());
    for entry in references.segments()? {
        segments.insert(entry.id);
        deletes.extend(entry.deletes.as_ref().map(|deletes| deletes.secret));
    }
    for entry in candidates {
        if let Some(unnamed) = entry.deletes.as_ref().filter(|entry| !deletes.contains(&entry.secret)) {
            objects.discard(&objects.layout.metadata, &unnamed.chunked().keys()?).await;
        }
        if !segments.contains(&entry.id) {
            remove_segment(objects, &SegmentHandle::new(entry.clone())).await?;
        }
    }
    Ok(())
}

/// The maximum number of objects removed by one call of the store.
const REMOVED_TOGETHER: usize = 256;

async fn remove_segment(objects: &Objects, handle: &SegmentHandle) -> Result<()> {
    let mut pending: Vec<(&cim_ipld_backend::Bucket, Vec<cim_ipld_backend::Key>)> = Vec::new();
    for object in handle.objects(&objects.layout) {
        let (bucket, key) = object?;
        match pending.iter_mut().find(|(of, _)| *of == bucket) {
            Some((_, keys)) => keys.push(key),
            None => pending.push((bucket, vec![key])),
        }
        for (bucket, keys) in pending.iter_mut().filter(|(_, keys)| keys.len() >= REMOVED_TOGETHER) {
            objects.discard(bucket, &std::mem::take(keys)).await;
        }
    }
    for (bucket, keys) in pending {
        objects.discard(bucket, &keys).await;
    }
    Ok(())
}

pub(crate) fn snapshot_address<'a>(objects: &'a Objects, key: &'a cim_ipld_backend::Key) -> Address<'a> {
    snapshot_address_in(&objects.layout, key)
}

pub(crate) fn snapshot_address_in<'a>(layout: &'a Layout, key: &'a cim_ipld_backend::Key) -> Address<'a> {
    Address { bucket: &layout.catalog, kind: ObjectKind::SNAPSHOT, name: key.as_str(), generation: 0 }
}

/// Reads the record that `entry` names.
pub(crate) async fn read_snapshot(objects: &Objects, entry: &SnapshotEntry) -> Result<SnapshotRecord> {
    let key = Layout::snapshot(entry)?;
    let bytes = objects.fetch(&snapshot_address(objects, &key)).await?;
    if snapshot_digest(&bytes) != entry.digest {
        return Err(Error::new(
            ErrorKind::Damaged,
            "the record of a snapshot differs from the one that the manifest names",
        ));
    }
    SnapshotRecord::from_bytes(&bytes)
}
