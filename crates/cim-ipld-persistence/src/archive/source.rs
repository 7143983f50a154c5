//! An archive as a source of what a store has lost.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::Backend;
use cim_ipld_envelope::{Envelope, KeySource};

use super::file;
use super::reader::read_roots;
use super::store::ArchiveStore;
use crate::Result;
use crate::error::StoredObject;
use crate::maintenance::repair::RepairSource;
use crate::objects::layout::IndexName;

/// An [archive](crate::Engine::export) in a file, as a source of lost objects and documents.
///
/// The archive may be older or newer than the index, have other data keys or another index name,
/// and be damaged in places: each block is checked against its content identifier and opened with
/// the keys of the archive before it is used. About 50 bytes of memory are used for each block.
///
/// ```
/// use std::sync::Arc;
///
/// use cim_ipld_backend::{Backend, Bucket, KeyPrefix, MemoryBackend, Revision};
/// use cim_ipld_index::Document;
/// use cim_ipld_persistence::{ArchiveSource, Engine, ExportOptions, Protection, RepairOptions, content_cid};
/// use futures::TryStreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let monday = folder.path().join("monday.car");
/// let backend = Arc::new(MemoryBackend::new());
/// let engine = Engine::builder(backend.clone()).create(Protection::Plaintext).await?;
/// engine.index(&[Document::new(content_cid(b"1"))]).await?;
/// engine.export_to_file(&monday, ExportOptions::default()).await?;
/// engine.close().await;
///
/// let metadata = Bucket::objects("metadata_cache_v1")?;
/// let entries = backend.scan(&metadata, &KeyPrefix::all(), Revision::ZERO);
/// let keys: Vec<_> = entries.map_ok(|entry| entry.key).try_collect().await?;
/// backend.delete(&metadata, &keys).await?;
///
/// let source = ArchiveSource::open(&monday).await?;
/// let builder = Engine::builder(backend.clone());
/// let report = builder.repair(None, &[Arc::new(source)], RepairOptions::default()).await?;
/// assert!(report.is_complete());
/// let engine = Engine::builder(backend).open(None).await?;
/// assert_eq!(engine.stats().await?.index.documents, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ArchiveSource {
    path: PathBuf,
    record: Bytes,
    unlocked: OnceLock<(Arc<ArchiveStore>, Envelope)>,
}

impl ArchiveSource {
    /// Opens the archive. Its blocks are read when the repair has the keys of the index.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if there is no such file or it is not an
    /// archive, [`Damaged`](crate::ErrorKind::Damaged) if its first blocks are damaged, and
    /// [`Denied`](crate::ErrorKind::Denied) or [`Unavailable`](crate::ErrorKind::Unavailable) if it
    /// cannot be read.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let (_, record, _) = read_roots(file::open(&path).await?).await?;
        Ok(Self { path, record: record.bytes, unlocked: OnceLock::new() })
    }
}

#[async_trait]
impl RepairSource for ArchiveSource {
    async fn object(&self, object: &StoredObject) -> Result<Option<Bytes>> {
        if object.key == "keyset" {
            return Ok(Some(self.record.clone()));
        }
        match self.unlocked.get() {
            Some((store, envelope)) => store.object(object, envelope).await,
            None => Ok(None),
        }
    }

    async fn journal(&self, _: &str) -> Result<Vec<(String, Bytes)>> {
        // An export folds the journal.
        Ok(Vec::new())
    }

    async fn unlock(&self, key: Option<&KeySource>, envelope: &Envelope) -> Result<()> {
        let store = ArchiveStore::open(&self.path, key, envelope).await?;
        let _ = self.unlocked.set((Arc::new(store), envelope.clone()));
        Ok(())
    }

    fn index(&self, _: &IndexName) -> Option<(Arc<dyn Backend>, IndexName)> {
        let (store, _) = self.unlocked.get()?;
        Some((Arc::clone(store) as Arc<dyn Backend>, store.name.clone()))
    }
}
