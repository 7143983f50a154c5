//! The operations that need persistence. They fail for an index that exists in memory only.

use std::path::Path;

use cim_ipld_persistence::{
    Engine, Error, ErrorKind, ExportOptions, ExportReport, LoadReport, Result, SnapshotInfo, VerifyReport,
};

use super::ContentIndex;

impl ContentIndex {
    /// Loads the pages of the index into memory, as far as the cache budget allows. Searches also
    /// work without this, but then have to wait for the store.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld::backend::MemoryBackend;
    /// # use cim_ipld::{ContentIndex, IndexPersistence};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// # let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// # let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    /// index.persist().await?;
    /// assert_eq!(index.load_from_persistence().await?.documents, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an index in memory only, and the errors of
    /// [`search`](Self::search).
    pub async fn load_from_persistence(&self) -> Result<LoadReport> {
        self.engine()?.load().await
    }

    /// Folds the journal into index pages, so that the next opening has nothing to replay. Indexed
    /// content is also durable without this.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld::backend::MemoryBackend;
    /// # use cim_ipld::{ContentIndex, DocumentMetadata, IndexPersistence, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// # let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// # let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    /// index.index_document(content_cid(b"1"), &DocumentMetadata::default(), Some("ebb and flow")).await?;
    /// index.persist().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an index in memory only, and the errors of
    /// [`Engine::fold`].
    pub async fn persist(&self) -> Result<()> {
        self.engine()?.fold().await
    }

    /// Creates a named backup of everything indexed so far. No data is copied: the backup is a
    /// snapshot in the same store. It protects from mistakes; [`backup_to`](Self::backup_to)
    /// protects from the loss of the store.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld::backend::MemoryBackend;
    /// # use cim_ipld::{ContentIndex, DocumentMetadata, IndexPersistence, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// # let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// # let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    /// index.index_document(content_cid(b"1"), &DocumentMetadata::default(), Some("ebb and flow")).await?;
    /// let backup = index.backup("monday").await?;
    /// assert_eq!((backup.name.as_str(), backup.documents), ("monday", 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an index in memory only, and the errors of
    /// [`Engine::create_snapshot`].
    pub async fn backup(&self, name: &str) -> Result<SnapshotInfo> {
        self.engine()?.create_snapshot(name).await
    }

    /// Writes everything indexed so far, and all named backups, to a new file outside the store.
    /// [`restore_from`](crate::IndexPersistenceBuilder::restore_from) creates an index from it in
    /// any store. The restored index opens with the keys that are valid when the file is written.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld::backend::MemoryBackend;
    /// # use cim_ipld::{ContentIndex, DocumentMetadata, IndexPersistence, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("monday.car");
    /// # let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// # let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    /// index.index_document(content_cid(b"1"), &DocumentMetadata::default(), Some("ebb and flow")).await?;
    /// index.backup_to(&path).await?;
    ///
    /// let empty = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// let restored = ContentIndex::with_persistence(Arc::new(empty.restore_from(&path).await?));
    /// assert_eq!(restored.stats().await?.total_documents, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an index in memory only,
    /// [`FileExists`](ErrorKind::FileExists) if there is a file of this name, and the errors of
    /// [`Engine::export`].
    pub async fn backup_to(&self, path: impl AsRef<Path>) -> Result<ExportReport> {
        self.engine()?.export_to_file(path, ExportOptions::default()).await
    }

    /// Restores the index to the state of a backup, in every process that has it open.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld::backend::MemoryBackend;
    /// # use cim_ipld::{ContentIndex, DocumentMetadata, IndexPersistence, content_cid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// # let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// # let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    /// index.backup("empty").await?;
    /// index.index_document(content_cid(b"1"), &DocumentMetadata::default(), Some("ebb and flow")).await?;
    /// index.restore_backup("empty").await?;
    /// assert_eq!(index.stats().await?.total_documents, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an index in memory only, and the errors of
    /// [`Engine::restore_snapshot`].
    pub async fn restore_backup(&self, name: &str) -> Result<SnapshotInfo> {
        self.engine()?.restore_snapshot(name).await
    }

    /// Lists the backups, oldest first.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld::backend::MemoryBackend;
    /// # use cim_ipld::{ContentIndex, IndexPersistence};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// # let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// # let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    /// let backup = index.backup("monday").await?;
    /// assert_eq!(index.list_backups().await?, [backup]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an index in memory only, and the errors of
    /// [`Engine::snapshots`].
    pub async fn list_backups(&self) -> Result<Vec<SnapshotInfo>> {
        self.engine()?.snapshots().await
    }

    /// Deletes a backup, and its pages that neither the index nor another backup uses.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld::backend::MemoryBackend;
    /// # use cim_ipld::{ContentIndex, IndexPersistence};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// # let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// # let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    /// index.backup("monday").await?;
    /// index.delete_backup("monday").await?;
    /// assert!(index.list_backups().await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an index in memory only, and the errors of
    /// [`Engine::delete_snapshot`].
    pub async fn delete_backup(&self, name: &str) -> Result<()> {
        self.engine()?.delete_snapshot(name).await
    }

    /// Reads and checks every object of the stored index. Problems are listed in the report.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cim_ipld::backend::MemoryBackend;
    /// # use cim_ipld::{ContentIndex, IndexPersistence};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld::Error> {
    /// # let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
    /// # let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
    /// assert!(index.verify().await?.is_sound());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an index in memory only, and the errors of
    /// [`Engine::verify`].
    pub async fn verify(&self) -> Result<VerifyReport> {
        self.engine()?.verify().await
    }

    fn engine(&self) -> Result<&Engine> {
        match self.persistence() {
            Some(persistence) => Ok(persistence.engine()),
            None => Err(Error::new(
                ErrorKind::InvalidInput,
                "the index exists in memory only: open it with persistence for this operation",
            )),
        }
    }
}
