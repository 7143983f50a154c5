//! Where a repair finds copies of lost objects.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{Backend, Bucket, ErrorKind as StoreErrorKind, Key, KeyPrefix, Revision};
use cim_ipld_envelope::{Envelope, KeySource};
use futures::StreamExt;

use crate::Result;
use crate::error::StoredObject;
use crate::objects::layout::IndexName;

/// A copy of an index, as a source of lost objects. It may be older than the index.
///
/// A source is not trusted: each object is checked like one from the store.
///
/// ```
/// use async_trait::async_trait;
/// use bytes::Bytes;
/// use cim_ipld_persistence::{RepairSource, Result, StoredObject};
///
/// struct Nothing;
///
/// #[async_trait]
/// impl RepairSource for Nothing {
///     async fn object(&self, _: &StoredObject) -> Result<Option<Bytes>> {
///         Ok(None)
///     }
///
///     async fn journal(&self, _: &str) -> Result<Vec<(String, Bytes)>> {
///         Ok(Vec::new())
///     }
/// }
/// ```
#[async_trait]
pub trait RepairSource: Send + Sync {
    /// Returns the sealed bytes of an object, or `None` if the source does not have it.
    async fn object(&self, object: &StoredObject) -> Result<Option<Bytes>>;

    /// Returns the keys and sealed bytes of the journal records in the bucket `catalog`, oldest
    /// first.
    async fn journal(&self, catalog: &str) -> Result<Vec<(String, Bytes)>>;

    /// Prepares the source. The repair calls this once, before it asks for anything but the root:
    /// `key` is the key that it was given, and `envelope` contains the data keys of the index.
    ///
    /// By default, nothing needs to be prepared.
    ///
    /// # Errors
    /// Any error ends the repair.
    async fn unlock(&self, _key: Option<&KeySource>, _envelope: &Envelope) -> Result<()> {
        Ok(())
    }

    /// Returns a store in which this source has its own state of the index `name`, and the name of
    /// the index there. Lost documents are put back from that state, if it opens.
    ///
    /// By default, a source has objects only.
    fn index(&self, _name: &IndexName) -> Option<(Arc<dyn Backend>, IndexName)> {
        None
    }
}

/// Another store with the same index: a copy of its folder, or of the buckets on a server.
///
/// ```
/// use std::sync::Arc;
///
/// use cim_ipld_backend::MemoryBackend;
/// use cim_ipld_persistence::StoreSource;
///
/// let source = StoreSource::new(Arc::new(MemoryBackend::new()));
/// # let _ = source;
/// ```
#[derive(Clone, Debug)]
pub struct StoreSource {
    backend: Arc<dyn Backend>,
}

impl StoreSource {
    /// Uses the index of the same name in `backend`.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }
}

#[async_trait]
impl RepairSource for StoreSource {
    async fn object(&self, object: &StoredObject) -> Result<Option<Bytes>> {
        match self.backend.get(&bucket(&object.bucket)?, &Key::new(&object.key)?).await {
            Err(error) if is_loss(error.kind()) => Ok(None),
            read => Ok(read?.map(|entry| entry.value)),
        }
    }

    async fn journal(&self, catalog: &str) -> Result<Vec<(String, Bytes)>> {
        let prefix = KeyPrefix::below("journal")?;
        let mut entries = self.backend.scan(&bucket(catalog)?, &prefix, Revision::ZERO);
        let mut records = Vec::new();
        while let Some(entry) = entries.next().await {
            match entry {
                Err(error) if is_loss(error.kind()) => break,
                Err(error) => return Err(error.into()),
                Ok(entry) => records.push((entry.key.as_str().to_owned(), entry.entry.value)),
            }
        }
        Ok(records)
    }

    fn index(&self, name: &IndexName) -> Option<(Arc<dyn Backend>, IndexName)> {
        Some((Arc::clone(&self.backend), name.clone()))
    }
}

/// Returns whether the source itself has lost what was asked for.
fn is_loss(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::BucketMissing | StoreErrorKind::Corrupt)
}

/// Returns the bucket of this name, with the kind that the engine gives it.
fn bucket(name: &str) -> Result<Bucket> {
    Ok(if name.ends_with("catalog_v1") { Bucket::log(name)? } else { Bucket::objects(name)? })
}
