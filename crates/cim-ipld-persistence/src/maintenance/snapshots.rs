//! Named snapshots. A snapshot is a sealed list of segments that the manifest names. Pages are
//! never copied; a snapshot keeps them from being removed. Creating, restoring and deleting a
//! snapshot each replace the manifest, which orders them relative to each other and to folds and
//! merges.

use cim_ipld_backend::Precondition;
use cim_ipld_envelope::SealOptions;
use cim_ipld_index::Timestamp;

use super::Maintenance;
use super::export_names::is_export_pin;
use crate::format::manifest::{Manifest, SegmentEntry, SnapshotEntry};
use crate::format::snapshot::{SnapshotRecord, snapshot_digest};
use crate::history::manifest::{ManifestVersion, is_missing_or_invalid, read_manifest};
use crate::history::references::{References, read_snapshot, remove_unnamed, snapshot_address};
use crate::history::tail::{Tail, order_without_window};
use crate::history::update::{
    Outcome, Proposal, publish, publish_or_discard, publish_unfollowed, remove_order, store_order,
};
use crate::objects::Objects;
use crate::objects::layout::Layout;
use crate::objects::segment_writer::Stored;
use crate::position::Position;
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// The maximum length of a snapshot name in bytes.
const MAX_NAME_BYTES: usize = 256;

/// A named snapshot of an index.
///
/// ```
/// # use std::sync::Arc;
/// # use cim_ipld_backend::MemoryBackend;
/// # use cim_ipld_persistence::{Engine, Protection};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
/// # let engine = builder.create(Protection::Plaintext).await?;
/// let snapshot = engine.create_snapshot("monday").await?;
/// assert_eq!((snapshot.documents, snapshot.bytes), (0, 0));
/// assert_eq!(engine.snapshots().await?, [snapshot]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotInfo {
    /// The name.
    pub name: String,
    /// When it was created, by the clock of the process that created it.
    pub created_at: Timestamp,
    /// The number of live documents.
    pub documents: u64,
    /// The size in bytes of the pages that it names.
    pub bytes: u64,
    /// The position in the order of all writes up to which the snapshot includes everything.
    pub position: Position,
}

impl From<&SnapshotRecord> for SnapshotInfo {
    fn from(record: &SnapshotRecord) -> Self {
        Self {
            name: record.name.clone(),
            created_at: Timestamp(record.created_at_ms),
            documents: record.documents,
            bytes: record.segments.iter().map(|segment| segment.bytes).sum(),
            position: Position::new(record.position),
        }
    }
}

impl Maintenance {
    pub(crate) async fn create_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        check_name(name)?;
        loop {
            self.fold().await?;
            let current = self.shared.view().manifest.clone();
            let hidden_name = hidden_name(&current.manifest, name);
            if named(&current.manifest, &hidden_name).is_some() {
                let message = format!("a snapshot named {name:?} already exists");
                return Err(Error::new(ErrorKind::SnapshotExists, message));
            }
            let record = SnapshotRecord {
                name: name.to_owned(),
                created_at_ms: self.shared.objects.environment.now().0,
                documents: live_documents(&current.manifest.segments),
                position: current.position(),
                segments: current.manifest.segments.clone(),
            };
            if self.publish_snapshot(&current, hidden_name, &record).await? == Outcome::Published {
                return Ok(SnapshotInfo::from(&record));
            }
        }
    }

    /// Stores the record, then adds it to the manifest.
    pub(super) async fn publish_snapshot(
        &self,
        current: &ManifestVersion,
        hidden_name: String,
        record: &SnapshotRecord,
    ) -> Result<Outcome> {
        let objects = &self.shared.objects;
        let bytes = record.to_bytes();
        let entry = SnapshotEntry { hidden_name, id: objects.environment.random(), digest: snapshot_digest(&bytes) };
        let key = Layout::snapshot(&entry)?;
        let sealed = objects.seal(&snapshot_address(objects, &key), &bytes, &SealOptions::default())?;
        let mut stored = Stored::default();
        stored.add(&objects.layout.catalog, vec![key.clone()]);
        objects.write(&objects.layout.catalog, &key, sealed, Precondition::Absent).await?;
        let mut proposal = Proposal::based_on(&current.manifest);
        proposal.snapshots.push(entry);
        publish_or_discard(&self.shared, current, proposal, None, stored).await
    }

    pub(crate) async fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        let references = References::newest(&self.shared).await?;
        let named = references.records()?.into_iter().filter(|record| !is_export_pin(&record.name));
        Ok(named.map(SnapshotInfo::from).collect())
    }

    pub(crate) async fn restore_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        check_name(name)?;
        let objects = &self.shared.objects;
        // Checks that the snapshot is readable before anything is written.
        read_snapshot(objects, find(&self.shared.newest_manifest().await?.manifest, name)?).await?;
        loop {
            if objects.rules.enforces(Rule::RestoreBarrier) {
                // Every write that was acknowledged to any process before this restore began
                // precedes this record.
                self.submit.operations(Vec::new()).await?;
            }
            let (order, current) = self.capture().await?;
            let record = match read_snapshot(objects, find(&current.manifest, name)?).await {
                Err(error) => {
                    self.shared.wait_for_newer_manifest(current.generation(), error).await?;
                    continue;
                }
                read => read?,
            };
            let mut stored = Stored::default();
            let (window, _) = store_order(objects, &order, &mut stored).await?;
            let mut proposal = Proposal::based_on(&current.manifest).at(&order, window);
            proposal.segments.clone_from(&record.segments);
            // If another process deletes the snapshot, it replaces the manifest first, and this
            // proposal is superseded.
            let outcome = publish_or_discard(&self.shared, &current, proposal, None, stored).await?;
            if outcome == Outcome::Published {
                remove_order(&self.shared, &current.manifest, &order).await;
                remove_unnamed(&self.shared, &current.manifest.segments).await?;
                return Ok(SnapshotInfo::from(&record));
            }
        }
    }

    pub(crate) async fn delete_snapshot(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.remove_snapshot(name).await
    }

    pub(super) async fn remove_snapshot(&self, name: &str) -> Result<()> {
        let objects = &self.shared.objects;
        loop {
            let current = self.shared.view().manifest.clone();
            let Ok(entry) = find(&current.manifest, name) else {
                // Another process may have created the snapshot since.
                let newest = self.shared.newest_manifest().await?;
                find(&newest.manifest, name)?;
                self.shared.wait_generation(newest.generation()).await?;
                continue;
            };
            let record = match read_snapshot(objects, entry).await {
                Err(error) if matches!(error.kind(), ErrorKind::Lost | ErrorKind::Damaged) => {
                    // Another process may have deleted the snapshot.
                    if self.shared.newest_manifest().await?.generation() > current.generation() {
                        self.shared.wait_generation(current.generation() + 1).await?;
                        continue;
                    }
                    None
                }
                record => Some(record?),
            };
            let mut proposal = Proposal::based_on(&current.manifest);
            proposal.snapshots.retain(|other| other != entry);
            if publish(&self.shared, &current, proposal, None).await? == Outcome::Superseded {
                continue;
            }
            objects.discard(&objects.layout.catalog, &[Layout::snapshot(entry)?]).await;
            return match record {
                Some(record) => remove_unnamed(&self.shared, &record.segments).await,
                None => Ok(()),
            };
        }
    }
}

/// Returns the records of the snapshots that can be read, and the number of the others.
pub(crate) async fn readable(objects: &Objects, manifest: ManifestVersion) -> Result<(Vec<SnapshotRecord>, u64)> {
    let (mut records, mut unreadable) = (Vec::new(), 0);
    for (_, read) in References::of(objects, manifest).await.snapshots {
        match read {
            Ok(record) if is_export_pin(&record.name) => {}
            Ok(record) => records.push(record),
            Err(error) if is_missing_or_invalid(&error) => unreadable += 1,
            Err(error) => return Err(error),
        }
    }
    Ok((records, unreadable))
}

/// The number of times that a restore is proposed if other processes publish first.
const PROPOSALS: usize = 16;

/// Restores a snapshot without following the catalog, and so without reading any object that the
/// snapshot does not need.
pub(crate) async fn restore_unfollowed(objects: &Objects, name: &str) -> Result<SnapshotInfo> {
    check_name(name)?;
    for _ in 0..PROPOSALS {
        let current = read_manifest(objects).await?;
        let record = read_snapshot(objects, find(&current.manifest, name)?).await?;
        let order = current.order(objects).await;
        let has_window = order.is_ok();
        let order = match order {
            Err(error) if is_missing_or_invalid(&error) => {
                order_without_window(objects.rules, &current.manifest.watermark, current.manifest.epoch)?
            }
            order => order?,
        };
        // Everything that was acknowledged is at or before the end of the order.
        let tail = Tail::read(objects, &current, order, false).await?;
        let mut stored = Stored::default();
        let (window, _) = store_order(objects, &tail.order, &mut stored).await?;
        let mut proposal = Proposal::based_on(&current.manifest).at(&tail.order, window);
        proposal.segments.clone_from(&record.segments);
        if publish_unfollowed(objects, &current, proposal).await?.is_none() {
            stored.discard(objects).await;
            continue;
        }
        if !tail.is_whole() || !has_window {
            remove_discarded(objects, &tail).await?;
        }
        return Ok(SnapshotInfo::from(&record));
    }
    Err(Error::new(ErrorKind::Conflict, "other processes kept changing the index while the snapshot was restored"))
}

/// Removes the journal entries that the restore has discarded, except the record at the watermark
/// of the new manifest. They have to go because a record that follows a damaged one would stop
/// every opener.
async fn remove_discarded(objects: &Objects, tail: &Tail) -> Result<()> {
    let last = tail.order.watermark().record;
    let last = last.map(|last| Layout::record(last.writer, last.sequence)).transpose()?;
    let keys: Vec<_> = tail.keys.iter().filter(|key| Some(*key) != last.as_ref()).cloned().collect();
    Ok(objects.backend.delete(&objects.layout.catalog, &keys).await?)
}

/// Returns the name under which the store sees a snapshot: a keyed hash.
pub(super) fn hidden_name(manifest: &Manifest, name: &str) -> String {
    manifest.names_secret.names().name_of(name)
}

fn named<'a>(manifest: &'a Manifest, hidden_name: &str) -> Option<&'a SnapshotEntry> {
    manifest.snapshots.iter().find(|entry| entry.hidden_name == hidden_name)
}

pub(super) fn find<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a SnapshotEntry> {
    named(manifest, &hidden_name(manifest, name))
        .ok_or_else(|| Error::new(ErrorKind::SnapshotMissing, format!("there is no snapshot named {name:?}")))
}

pub(super) fn live_documents(segments: &[SegmentEntry]) -> u64 {
    segments.iter().map(SegmentEntry::live_documents).sum()
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        let message = format!("the snapshot name has {} bytes: expected 1 to {MAX_NAME_BYTES}", name.len());
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    if is_export_pin(name) {
        let message = format!("the snapshot name {name:?} is reserved: exports use names of this form");
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(())
}
