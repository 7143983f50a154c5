//! Keeps the pages of an exported state in the store until the export has read them, although the
//! index goes on changing.
//!
//! The pages are kept by a snapshot with a reserved name, which is deleted at the end of the
//! export. A process that dies leaves it behind; a later export or garbage collection deletes it
//! once it has expired.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::Maintenance;
use super::export_names::{PREFIX, is_expired, is_export_pin};
use super::snapshots::{find, hidden_name, live_documents};
use crate::format::archive::ArchivedSnapshot;
use crate::format::manifest::{SegmentEntry, SnapshotEntry};
use crate::format::snapshot::{SnapshotRecord, snapshot_digest};
use crate::format::window::window_digest;
use crate::history::manifest::ManifestVersion;
use crate::history::references::{References, snapshot_address};
use crate::history::update::Outcome;
use crate::objects::Objects;
use crate::objects::layout::Layout;
use crate::{Error, ErrorKind, Result};

/// A state of the index whose pages are kept in the store.
pub(crate) struct PinnedState {
    /// The exported manifest. Its successor adds the snapshot that keeps the pages.
    pub(crate) manifest: Arc<ManifestVersion>,
    /// The content of the window that the manifest names.
    pub(crate) window: Option<Vec<u8>>,
    /// The segments to export: those of the manifest or of one of its snapshots.
    pub(crate) segments: Vec<SegmentEntry>,
    pub(crate) documents: u64,
    /// The position up to which the segments contain every record.
    pub(crate) position: u64,
    /// The snapshots to export.
    pub(crate) snapshots: Vec<ArchivedSnapshot>,
    /// The number of snapshots whose record cannot be read.
    pub(crate) unreadable_snapshots: u64,
    pin: Pin,
}

/// Deletes the snapshot of an export when dropped.
struct Pin {
    maintenance: Arc<Maintenance>,
    name: Option<String>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let (Some(name), Ok(runtime)) = (self.name.take(), Handle::try_current()) {
            let maintenance = Arc::clone(&self.maintenance);
            runtime.spawn(async move { maintenance.unpin(&name).await });
        }
    }
}

impl PinnedState {
    /// Deletes the snapshot, so that it no longer protects the pages from removal.
    pub(crate) async fn release(mut self) {
        if let Some(name) = self.pin.name.take() {
            self.pin.maintenance.unpin(&name).await;
        }
    }
}

/// The parts of a state that are read before its pages are protected from removal.
struct Candidate {
    window: Option<Vec<u8>>,
    record: SnapshotRecord,
    snapshots: Vec<ArchivedSnapshot>,
    unreadable_snapshots: u64,
}

impl Maintenance {
    /// Keeps the current state of the index, or that of the snapshot `name`. The current state
    /// includes every write that was acknowledged to any process before this call.
    pub(crate) async fn pin_for_export(self: &Arc<Self>, name: Option<&str>) -> Result<PinnedState> {
        if let Err(error) = self.remove_expired_pins().await {
            tracing::warn!(%error, "snapshots left by earlier exports could not be removed");
        }
        // Every write that was acknowledged to any process precedes this record.
        self.submit.operations(Vec::new()).await?;
        loop {
            self.fold().await?;
            let current = Arc::clone(&self.shared.view().manifest);
            let candidate = match self.candidate(&current, name).await {
                Ok(candidate) => candidate,
                Err(error) => {
                    self.shared.wait_for_newer_manifest(current.generation(), error).await?;
                    continue;
                }
            };
            let Candidate { window, record, snapshots, unreadable_snapshots } = candidate;
            let hidden_name = hidden_name(&current.manifest, &record.name);
            if self.publish_snapshot(&current, hidden_name, &record).await? != Outcome::Published {
                continue;
            }
            let pin = Pin { maintenance: Arc::clone(self), name: Some(record.name) };
            let SnapshotRecord { segments, documents, position, .. } = record;
            return Ok(PinnedState {
                manifest: current,
                window,
                segments,
                documents,
                position,
                snapshots,
                unreadable_snapshots,
                pin,
            });
        }
    }

    async fn candidate(&self, current: &ManifestVersion, name: Option<&str>) -> Result<Candidate> {
        let objects = &self.shared.objects;
        let manifest = &current.manifest;
        let window = match &manifest.window {
            Some(entry) => {
                let bytes = objects.fetch_chunked(&entry.chunked()).await?;
                if window_digest(&bytes) != entry.digest {
                    let message = "the window of the order differs from the one that the manifest names";
                    return Err(Error::new(ErrorKind::Damaged, message));
                }
                Some(bytes)
            }
            None => None,
        };
        let (mut snapshots, mut unreadable_snapshots) = (Vec::new(), 0);
        let (segments, position) = match name {
            Some(name) => {
                let archived = fetch_snapshot(objects, find(manifest, name)?).await?;
                let record = SnapshotRecord::from_bytes(&archived.record)?;
                (record.segments, record.position)
            }
            None => {
                for entry in &manifest.snapshots {
                    match fetch_snapshot(objects, entry).await {
                        Ok(archived) if is_export_pin(&SnapshotRecord::from_bytes(&archived.record)?.name) => {}
                        Ok(archived) => snapshots.push(archived),
                        Err(error) if matches!(error.kind(), ErrorKind::Lost | ErrorKind::Damaged) => {
                            tracing::warn!(%error, "a snapshot that cannot be read is left out of the export");
                            unreadable_snapshots += 1;
                        }
                        Err(error) => return Err(error),
                    }
                }
                (manifest.segments.clone(), current.position())
            }
        };
        let id = u64::from_le_bytes(objects.environment.random());
        let record = SnapshotRecord {
            name: format!("{PREFIX}{id:016x}"),
            created_at_ms: objects.environment.now().0,
            documents: live_documents(&segments),
            position,
            segments,
        };
        Ok(Candidate { window, record, snapshots, unreadable_snapshots })
    }

    /// Deletes the snapshots that exports of dead processes left.
    pub(super) async fn remove_expired_pins(&self) -> Result<()> {
        let references = References::newest(&self.shared).await?;
        let now_ms = self.shared.objects.environment.now().0;
        for (_, read) in &references.snapshots {
            if let Ok(record) = read
                && is_expired(record, now_ms)
            {
                self.remove_snapshot(&record.name).await?;
            }
        }
        Ok(())
    }

    async fn unpin(&self, name: &str) {
        let removed = match self.shared.check() {
            Ok(()) => self.remove_snapshot(name).await,
            closed => closed,
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "the snapshot of an export remains until it expires");
        }
    }
}

/// Reads the record of a snapshot without decoding it.
async fn fetch_snapshot(objects: &Objects, entry: &SnapshotEntry) -> Result<ArchivedSnapshot> {
    let key = Layout::snapshot(entry)?;
    let record = objects.fetch(&snapshot_address(objects, &key)).await?.to_vec();
    if snapshot_digest(&record) != entry.digest {
        let message = "the record of a snapshot differs from the one that the manifest names";
        return Err(Error::new(ErrorKind::Damaged, message));
    }
    Ok(ArchivedSnapshot { entry: entry.clone(), record })
}
