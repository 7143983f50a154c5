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
use crate::{error, stream};

const MAX_VALUE_BYTES: usize = 16 << 20;
const PREFERRED_VALUE_BYTES: usize = 256 << 10;

/// Keeps buckets in a folder that one process at a time has open. Clones share the open store.
#[derive(Clone, Debug)]
pub struct EmbeddedBackend {
    // Before the store, so that the last handle writes what is queued before the store closes.
    writer: Arc<Writer>,
    store: Arc<Store>,
}

impl EmbeddedBackend {
    /// Opens the store in the folder `path`, or makes one if the folder is empty or not there.
    ///
    /// # Errors
    /// `Locked` when another opener has it, `Incompatible` when the folder holds something else or
    /// a newer format, `Corrupt` when it is damaged, `Full`, `Denied`, `Unavailable` when it cannot
    /// be read or written. In all of them what was in the folder is left as it was, but for
    /// recovery from a crash. A store on a file system that cannot be written is opened to be read;
    /// writing to it is `Denied`.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), Opening::Create, EmbeddedSettings::default()).await
    }

    /// Opens the store in the folder `path`, and makes none.
    ///
    /// # Errors
    /// `BucketMissing` when there is no store; else as for [`open`](EmbeddedBackend::open).
    pub async fn open_existing(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), Opening::Existing, EmbeddedSettings::default()).await
    }

    /// Opens or makes the store in the folder `path` with `settings`.
    ///
    /// # Errors
    /// As for [`open`](EmbeddedBackend::open).
    pub async fn open_with(path: impl AsRef<Path>, settings: EmbeddedSettings) -> Result<Self> {
        Self::open_as(path.as_ref(), Opening::Create, settings).await
    }

    /// Opens the store in the folder `path` with `settings`, and makes none.
    ///
    /// # Errors
    /// `BucketMissing` when there is no store; else as for [`open`](EmbeddedBackend::open).
    pub async fn open_existing_with(path: impl AsRef<Path>, settings: EmbeddedSettings) -> Result<Self> {
        Self::open_as(path.as_ref(), Opening::Existing, settings).await
    }

    /// Gives up this handle, and waits until the store is closed if it was the last one.
    pub async fn close(self) {
        // Closing may fail only in ways that the next opening repairs, as after a crash.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
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

    async fn look_for(&self, bucket: &Bucket) -> Result<()> {
        self.store.bucket(bucket).map(drop)
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        let (store, held, key) = (Arc::clone(&self.store), self.store.bucket(bucket)?, key.clone());
        blocking(move || store.get(&held, &key)).await
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        if value.len() > MAX_VALUE_BYTES {
            let message = format!("a value of {} bytes is over the limit of {MAX_VALUE_BYTES}", value.len());
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
