//! Named snapshots of an index.

use super::Engine;
use crate::Result;
use crate::maintenance::snapshots::SnapshotInfo;

impl Engine {
    /// Makes a snapshot of everything acknowledged so far under `name`. Copies no data.
    ///
    /// # Errors
    /// `SnapshotExists`, `InvalidInput` for a name that is empty or over 256 bytes, and what the
    /// store answers.
    pub async fn create_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        self.shared.check()?;
        self.maintenance.create_snapshot(name).await
    }

    /// Lists the snapshots, oldest first.
    ///
    /// # Errors
    /// `Damaged` or `Lost` when one cannot be read, and what the store answers.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        self.shared.check()?;
        self.maintenance.snapshots().await
    }

    /// Makes the index what it was when the snapshot was made. Everything acknowledged to anybody
    /// before this was called is gone; what is written at the same time is there on top of it, or
    /// is gone too.
    ///
    /// # Errors
    /// `SnapshotMissing`, `Damaged` or `Lost` when it cannot be read, and what the store answers.
    pub async fn restore_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        self.shared.check()?;
        self.maintenance.restore_snapshot(name).await
    }

    /// Deletes a snapshot, and the pages that nothing else names. One whose record cannot be read
    /// goes too; what it named alone stays behind then.
    ///
    /// # Errors
    /// `SnapshotMissing`, and what the store answers.
    pub async fn delete_snapshot(&self, name: &str) -> Result<()> {
        self.shared.check()?;
        self.maintenance.delete_snapshot(name).await
    }
}
