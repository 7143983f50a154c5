use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, Limits, Precondition, Result, Revision,
    WatchStream,
};

use crate::blocking::blocking;
use crate::folder::Opening;
use crate::settings::EmbeddedSettings;
use crate::store::Store;
use crate::writer::Writer;
use crate::{error, folder, stream};

const MAX_VALUE_BYTES: usize = 16 << 20;
const PREFERRED_VALUE_BYTES: usize = 256 << 10;

/// A durable backend in a folder that only one process at a time can open. Clones share the open
/// store.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, Durability, Key, KeyPrefix, Precondition, Revision};
/// use cim_ipld_embedded::EmbeddedBackend;
/// use futures::TryStreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("index");
/// let backend = EmbeddedBackend::open(&path).await?;
/// assert_eq!(backend.limits().durability, Durability::PowerLoss);
///
/// let bucket = Bucket::log("catalog_v1")?;
/// backend.create(&bucket).await?;
/// for name in ["journal.a.1", "journal.a.2"] {
///     backend.put(&bucket, &Key::new(name)?, "record".into(), Precondition::Absent).await?;
/// }
/// let records: Vec<_> = backend.scan(&bucket, &KeyPrefix::below("journal")?, Revision::ZERO).try_collect().await?;
/// assert_eq!(records.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EmbeddedBackend {
    // Declared before the store, so that the last handle finishes queued writes before the store
    // closes.
    writer: Arc<Writer>,
    store: Arc<Store>,
}

impl EmbeddedBackend {
    /// Opens the store in the folder `path`, and creates it if the folder is empty or does not
    /// exist.
    ///
    /// # Errors
    /// * [`Locked`](ErrorKind::Locked) if the store is open in another process, or through another
    ///   handle in this process.
    /// * [`Incompatible`](ErrorKind::Incompatible) if the folder contains anything other than a
    ///   store, or a store in a newer format.
    /// * [`Corrupt`](ErrorKind::Corrupt) if the store is damaged.
    /// * [`Full`](ErrorKind::Full), [`Denied`](ErrorKind::Denied),
    ///   [`Unavailable`](ErrorKind::Unavailable) if the store cannot be read or written.
    ///
    /// On an error, an existing store keeps its content, apart from what recovery after an earlier
    /// crash changes. A creation that fails may leave an unfinished store, which the next `open`
    /// replaces. A store on a read-only file system is opened for reading; writes to it fail with
    /// [`Denied`](ErrorKind::Denied).
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), Opening::Create, EmbeddedSettings::default()).await
    }

    /// Opens the existing store in the folder `path`.
    ///
    /// # Errors
    /// [`BucketMissing`](ErrorKind::BucketMissing) if there is no store; otherwise as for
    /// [`open`](EmbeddedBackend::open).
    pub async fn open_existing(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), Opening::Existing, EmbeddedSettings::default()).await
    }

    /// Opens the store in the folder `path` with `settings`, and creates it if the folder is empty
    /// or does not exist.
    ///
    /// # Errors
    /// As for [`open`](EmbeddedBackend::open).
    pub async fn open_with(path: impl AsRef<Path>, settings: EmbeddedSettings) -> Result<Self> {
        Self::open_as(path.as_ref(), Opening::Create, settings).await
    }

    /// Opens the existing store in the folder `path` with `settings`.
    ///
    /// # Errors
    /// [`BucketMissing`](ErrorKind::BucketMissing) if there is no store; otherwise as for
    /// [`open`](EmbeddedBackend::open).
    pub async fn open_existing_with(path: impl AsRef<Path>, settings: EmbeddedSettings) -> Result<Self> {
        Self::open_as(path.as_ref(), Opening::Existing, settings).await
    }

    /// Drops this handle. If it was the last one, waits until the store is closed.
    pub async fn close(self) {
        // If closing fails, the next opening recovers the store, as after a crash.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Returns the names of all buckets, in alphabetical order.
    ///
    /// ```
    /// use cim_ipld_backend::{Backend, Bucket};
    /// use cim_ipld_embedded::EmbeddedBackend;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let backend = EmbeddedBackend::open(folder.path().join("index")).await?;
    /// backend.create(&Bucket::log("catalog_v1")?).await?;
    /// assert_eq!(backend.bucket_names(), ["catalog_v1"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn bucket_names(&self) -> Vec<String> {
        self.store.bucket_names()
    }

    /// Removes the store in the folder `path` with everything in it, and the folder itself if
    /// nothing else is in it. A removal that is interrupted leaves a folder without a store.
    ///
    /// ```
    /// use cim_ipld_embedded::{EmbeddedBackend, EmbeddedSettings};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("index");
    /// EmbeddedBackend::open(&path).await?.close().await;
    /// EmbeddedBackend::remove(&path, EmbeddedSettings::default()).await?;
    /// assert!(!path.exists());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`BucketMissing`](ErrorKind::BucketMissing) if there is no store.
    /// * [`Locked`](ErrorKind::Locked) if the store is open.
    /// * [`Incompatible`](ErrorKind::Incompatible) or [`Corrupt`](ErrorKind::Corrupt) if the folder
    ///   is not that of a store, or the store cannot be recognized.
    /// * [`Denied`](ErrorKind::Denied) or [`Unavailable`](ErrorKind::Unavailable) if it cannot be
    ///   removed.
    pub async fn remove(path: impl AsRef<Path>, settings: EmbeddedSettings) -> Result<()> {
        let path = path.as_ref().to_owned();
        blocking(move || folder::remove(&path, settings.lock_patience)).await
    }

    async fn open_as(path: &Path, opening: Opening, settings: EmbeddedSettings) -> Result<Self> {
        let path = path.to_owned();
        blocking(move || {
            let store = Arc::new(Store::open(&path, opening, settings)?);
            let writer = Arc::new(Writer::start(Arc::clone(&store))?);
            Ok(Self { writer, store })
        })
        .await
    }
}

#[async_trait]
impl Backend for EmbeddedBackend {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        if self.store.bucket(bucket).is_ok() {
            return Ok(());
        }
        self.store.check_writable()?;
        self.writer.create(bucket.clone()).await
    }

    async fn check_bucket(&self, bucket: &Bucket) -> Result<()> {
        self.store.bucket(bucket).map(drop)
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        let (store, held, key) = (Arc::clone(&self.store), self.store.bucket(bucket)?, key.clone());
        blocking(move || store.get(&held, &key)).await
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        if value.len() > MAX_VALUE_BYTES {
            let message = format!("the value of {} bytes exceeds the limit of {MAX_VALUE_BYTES}", value.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.store.check_writable()?;
        let held = self.store.bucket(bucket)?;
        self.writer.put(held, key.clone(), value, precondition).await
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        let held = self.store.bucket(bucket)?;
        if keys.is_empty() {
            return Ok(());
        }
        self.store.check_writable()?;
        self.writer.delete(held, keys.to_vec()).await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        match self.store.bucket(bucket) {
            Ok(held) => stream::scan(Arc::clone(&self.store), held, prefix.clone(), after),
            Err(error) => error::failed(error),
        }
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        match self.store.bucket(bucket) {
            Ok(held) => stream::watch(Arc::clone(&self.store), held, prefix.clone(), after),
            Err(error) => error::failed(error),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            max_value_bytes: MAX_VALUE_BYTES,
            preferred_value_bytes: PREFERRED_VALUE_BYTES,
            durability: self.store.durability(),
        }
    }
}
