//! Named snapshots of an index.

use super::Engine;
use crate::Result;
use crate::maintenance::snapshots::SnapshotInfo;

impl Engine {
    /// Creates a snapshot with the name `name`, of every write that this process has applied. No
    /// data is copied.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// engine.index(&[Document::new(content_cid(b"1"))]).await?;
    /// let snapshot = engine.create_snapshot("monday").await?;
    /// assert_eq!((snapshot.name.as_str(), snapshot.documents), ("monday", 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`SnapshotExists`](crate::ErrorKind::SnapshotExists) if the name is taken.
    /// * [`InvalidInput`](crate::ErrorKind::InvalidInput) if the name is empty, longer than 256
    ///   bytes, or begins with `cim/export/`, which is reserved.
    /// * [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied) or
    ///   [`Full`](crate::ErrorKind::Full) as reported by the store.
    pub async fn create_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        self.shared.check()?;
        self.maintenance.create_snapshot(name).await
    }

    /// Lists the snapshots, oldest first.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// engine.create_snapshot("monday").await?;
    /// engine.create_snapshot("tuesday").await?;
    /// let names: Vec<String> = engine.snapshots().await?.into_iter().map(|snapshot| snapshot.name).collect();
    /// assert_eq!(names, ["monday", "tuesday"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Damaged`](crate::ErrorKind::Damaged) or [`Lost`](crate::ErrorKind::Lost) if the record of
    /// a snapshot cannot be read, and [`Unavailable`](crate::ErrorKind::Unavailable) or
    /// [`Denied`](crate::ErrorKind::Denied) as reported by the store.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        self.shared.check()?;
        self.maintenance.snapshots().await
    }

    /// Restores the index to the state of a snapshot, in every process that has it open. Every
    /// write that the snapshot does not include and that was acknowledged before this call is
    /// discarded; a write that happens concurrently is either discarded or applied on top of the
    /// restored state.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_index::Document;
    /// # use cim_ipld_persistence::{Engine, Protection, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// engine.create_snapshot("empty").await?;
    /// engine.index(&[Document::new(content_cid(b"1"))]).await?;
    /// engine.restore_snapshot("empty").await?;
    /// assert_eq!(engine.stats().await?.index.documents, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SnapshotMissing`](crate::ErrorKind::SnapshotMissing) if there is no snapshot of this name,
    /// [`Damaged`](crate::ErrorKind::Damaged) or [`Lost`](crate::ErrorKind::Lost) if its record
    /// cannot be read, and otherwise the same as for [`index`](Engine::index).
    pub async fn restore_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        self.shared.check()?;
        self.maintenance.restore_snapshot(name).await
    }

    /// Deletes a snapshot and the pages that nothing else names. A snapshot whose record cannot be
    /// read is deleted too, but the pages that only this snapshot named remain in the store.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld_backend::MemoryBackend;
    /// # use cim_ipld_persistence::{Engine, Protection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Engine::builder(Arc::new(MemoryBackend::new()));
    /// # let engine = builder.create(Protection::Plaintext).await?;
    /// engine.create_snapshot("monday").await?;
    /// engine.delete_snapshot("monday").await?;
    /// assert!(engine.snapshots().await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SnapshotMissing`](crate::ErrorKind::SnapshotMissing) if there is no snapshot of this name,
    /// and [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied) or
    /// [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) as reported by the store.
    pub async fn delete_snapshot(&self, name: &str) -> Result<()> {
        self.shared.check()?;
        self.maintenance.delete_snapshot(name).await
    }
}
