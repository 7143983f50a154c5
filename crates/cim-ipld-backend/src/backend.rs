use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Bucket, Key, KeyPrefix, Limits, Precondition, Result, Revision};

/// Stores buckets of revisioned values: everything the engine needs from a storage system.
///
/// Implementations are shared among tasks and must be safe to call concurrently. A future that is
/// dropped before it completes leaves its operation either fully applied or not applied at all,
/// except that a `delete` may have removed only some of its keys.
///
/// Callers pass a `&dyn Backend`, so an implementation is chosen at run time:
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, Entry, Key, MemoryBackend, Precondition};
///
/// async fn replace(backend: &dyn Backend, bucket: &Bucket, key: &Key) -> Result<(), cim_ipld_backend::Error> {
///     if let Some(Entry { revision, .. }) = backend.get(bucket, key).await? {
///         backend.put(bucket, key, "new".into(), Precondition::Unchanged(revision)).await?;
///     }
///     Ok(())
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// # let (backend, bucket, key) = (MemoryBackend::new(), Bucket::log("catalog_v1")?, Key::new("manifest")?);
/// # backend.create(&bucket).await?;
/// # backend.put(&bucket, &key, "old".into(), Precondition::Absent).await?;
/// replace(&backend, &bucket, &key).await?;
/// assert_eq!(backend.get(&bucket, &key).await?.unwrap().value, "new");
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Creates `bucket` with settings that satisfy this contract. Does nothing if it exists
    /// already.
    ///
    /// ```
    /// use cim_ipld_backend::{Backend, Bucket, Key, MemoryBackend};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld_backend::Error> {
    /// # let (backend, bucket, key) = (MemoryBackend::new(), Bucket::log("catalog_v1")?, Key::new("manifest")?);
    /// backend.create(&bucket).await?;
    /// backend.create(&bucket).await?; // it exists: nothing happens
    /// assert_eq!(backend.get(&bucket, &key).await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`Denied`](crate::ErrorKind::Denied) if the account is not permitted to create buckets.
    /// * [`Unavailable`](crate::ErrorKind::Unavailable) if the store did not respond.
    /// * [`Incompatible`](crate::ErrorKind::Incompatible) if a bucket of that name exists with
    ///   settings that violate this contract.
    async fn create(&self, bucket: &Bucket) -> Result<()>;

    /// Checks that `bucket` exists. The engine calls this before it writes anything that depends on
    /// the bucket. A backend for which the check is expensive may return `Ok` without checking, as
    /// the default implementation does.
    ///
    /// ```
    /// use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, MemoryBackend};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld_backend::Error> {
    /// # let (backend, bucket, _key) = (MemoryBackend::new(), Bucket::log("catalog_v1")?, Key::new("manifest")?);
    /// let missing = backend.check_bucket(&bucket).await.err().map(|error| error.kind());
    /// assert!(matches!(missing, None | Some(ErrorKind::BucketMissing)));
    /// backend.create(&bucket).await?;
    /// backend.check_bucket(&bucket).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`BucketMissing`](crate::ErrorKind::BucketMissing),
    /// [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied),
    /// [`Incompatible`](crate::ErrorKind::Incompatible).
    async fn check_bucket(&self, bucket: &Bucket) -> Result<()> {
        let _ = bucket;
        Ok(())
    }

    /// Returns the newest value of `key`, or `None` if the bucket has no value for it.
    ///
    /// In a [`BucketKind::Log`](crate::BucketKind) bucket, the result is never older than the last
    /// write acknowledged to any client. In a [`BucketKind::Objects`](crate::BucketKind) bucket,
    /// the value may be read from any replica, so it may be an older one; `None` is returned only
    /// after the authoritative copy was consulted.
    ///
    /// ```
    /// use cim_ipld_backend::{Backend, Bucket, Key, MemoryBackend, Precondition};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld_backend::Error> {
    /// # let (backend, bucket, key) = (MemoryBackend::new(), Bucket::log("catalog_v1")?, Key::new("manifest")?);
    /// # backend.create(&bucket).await?;
    /// assert_eq!(backend.get(&bucket, &key).await?, None);
    /// let revision = backend.put(&bucket, &key, "value".into(), Precondition::Any).await?;
    /// let entry = backend.get(&bucket, &key).await?.unwrap();
    /// assert_eq!((entry.value.as_ref(), entry.revision), (b"value".as_slice(), revision));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`BucketMissing`](crate::ErrorKind::BucketMissing),
    /// [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied),
    /// [`Corrupt`](crate::ErrorKind::Corrupt).
    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>>;

    /// Writes `value` under `key` if `precondition` holds, and returns its revision once the value
    /// is as durable as [`Limits::durability`] promises.
    ///
    /// ```
    /// use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, MemoryBackend, Precondition};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld_backend::Error> {
    /// # let (backend, bucket, key) = (MemoryBackend::new(), Bucket::log("catalog_v1")?, Key::new("manifest")?);
    /// # backend.create(&bucket).await?;
    /// let first = backend.put(&bucket, &key, "one".into(), Precondition::Absent).await?;
    /// let second = backend.put(&bucket, &key, "two".into(), Precondition::Unchanged(first)).await?;
    /// assert!(second > first);
    ///
    /// // Another writer that still holds the first revision loses the race.
    /// let lost = backend.put(&bucket, &key, "three".into(), Precondition::Unchanged(first)).await.unwrap_err();
    /// assert_eq!(lost.kind(), ErrorKind::Conflict);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`Conflict`](crate::ErrorKind::Conflict) if the precondition does not hold.
    /// * [`TooLarge`](crate::ErrorKind::TooLarge), [`Full`](crate::ErrorKind::Full),
    ///   [`Denied`](crate::ErrorKind::Denied), [`BucketMissing`](crate::ErrorKind::BucketMissing),
    ///   [`Unavailable`](crate::ErrorKind::Unavailable) if the write certainly did not happen.
    /// * [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if it may have happened: read the key
    ///   back before deciding what to do.
    /// * [`Corrupt`](crate::ErrorKind::Corrupt) if the new revision is not greater than one that
    ///   this process has already seen: the bucket was recreated or rolled back.
    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision>;

    /// Removes `keys` permanently and ignores those that do not exist. No tombstones remain, and
    /// watchers are not notified.
    ///
    /// ```
    /// use cim_ipld_backend::{Backend, Bucket, Key, MemoryBackend, Precondition};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld_backend::Error> {
    /// # let (backend, bucket, key) = (MemoryBackend::new(), Bucket::log("catalog_v1")?, Key::new("manifest")?);
    /// # backend.create(&bucket).await?;
    /// backend.put(&bucket, &key, "value".into(), Precondition::Any).await?;
    /// backend.delete(&bucket, &[key.clone(), Key::new("never-written")?]).await?;
    /// assert_eq!(backend.get(&bucket, &key).await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`BucketMissing`](crate::ErrorKind::BucketMissing),
    /// [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied),
    /// [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown). Some of the keys may already be
    /// removed; the call can be repeated.
    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()>;

    /// Streams every value under `prefix` whose revision is greater than `after`, in revision
    /// order, then ends.
    ///
    /// The stream includes every value whose write was acknowledged to any client before the scan
    /// began, unless it has been removed or replaced since. It may or may not include values
    /// written while it runs. On a replicated store, it may still include a value that was removed
    /// shortly before.
    ///
    /// ```
    /// use cim_ipld_backend::{Backend, Bucket, Key, KeyPrefix, MemoryBackend, Precondition, Revision};
    /// use futures::TryStreamExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld_backend::Error> {
    /// # let (backend, bucket, _key) = (MemoryBackend::new(), Bucket::log("catalog_v1")?, Key::new("manifest")?);
    /// # backend.create(&bucket).await?;
    /// for name in ["journal.a.1", "manifest", "journal.a.2"] {
    ///     backend.put(&bucket, &Key::new(name)?, "value".into(), Precondition::Absent).await?;
    /// }
    /// let journal = KeyPrefix::below("journal")?;
    /// let entries: Vec<_> = backend.scan(&bucket, &journal, Revision::ZERO).try_collect().await?;
    /// let keys: Vec<_> = entries.iter().map(|found| found.key.as_str()).collect();
    /// assert_eq!(keys, ["journal.a.1", "journal.a.2"]);
    /// # Ok(())
    /// # }
    /// ```
    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream;

    /// Streams the values that [`scan`](Backend::scan) would return, then [`WatchEvent::CaughtUp`]
    /// once, then later writes as they happen, all in revision order. A value that is still the
    /// newest of its key is delivered exactly once. A value that has been replaced or removed in
    /// the meantime may be skipped.
    ///
    /// The stream ends only after an error or when it is dropped. After an error, watch again from
    /// the last revision received.
    ///
    /// ```
    /// use cim_ipld_backend::{Backend, Bucket, Key, KeyPrefix, MemoryBackend, Precondition, Revision, WatchEvent};
    /// use futures::TryStreamExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cim_ipld_backend::Error> {
    /// # let (backend, bucket, key) = (MemoryBackend::new(), Bucket::log("catalog_v1")?, Key::new("manifest")?);
    /// # backend.create(&bucket).await?;
    /// backend.put(&bucket, &key, "old".into(), Precondition::Any).await?;
    /// let mut events = backend.watch(&bucket, &KeyPrefix::all(), Revision::ZERO);
    /// assert!(matches!(events.try_next().await?, Some(WatchEvent::Entry(found)) if found.entry.value == "old"));
    /// assert_eq!(events.try_next().await?, Some(WatchEvent::CaughtUp));
    ///
    /// backend.put(&bucket, &key, "new".into(), Precondition::Any).await?;
    /// assert!(matches!(events.try_next().await?, Some(WatchEvent::Entry(found)) if found.entry.value == "new"));
    /// # Ok(())
    /// # }
    /// ```
    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream;

    /// Returns the size limits of values and the durability of an acknowledged write.
    ///
    /// ```
    /// use cim_ipld_backend::{Backend, Durability, MemoryBackend};
    ///
    /// let limits = MemoryBackend::new().limits();
    /// assert_eq!(limits.durability, Durability::Process);
    /// assert!(limits.preferred_value_bytes <= limits.max_value_bytes);
    /// ```
    fn limits(&self) -> Limits;
}

/// A value and its revision.
///
/// ```
/// use cim_ipld_backend::{Entry, Revision};
///
/// let entry = Entry { value: "value".into(), revision: Revision::new(7) };
/// assert_eq!((entry.value.len(), entry.revision.number()), (5, 7));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes that were written.
    pub value: Bytes,
    /// The revision of that write.
    pub revision: Revision,
}

/// An [`Entry`] and its key.
///
/// ```
/// use cim_ipld_backend::{Entry, Key, KeyedEntry, Revision};
///
/// let entry = Entry { value: "value".into(), revision: Revision::new(7) };
/// let found = KeyedEntry { key: Key::new("manifest")?, entry };
/// assert_eq!(found.key.as_str(), "manifest");
/// # Ok::<(), cim_ipld_backend::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedEntry {
    /// The key.
    pub key: Key,
    /// Its value and revision.
    pub entry: Entry,
}

/// An item of a [`watch`](Backend::watch) stream.
///
/// ```
/// use cim_ipld_backend::WatchEvent;
///
/// fn describe(event: &WatchEvent) -> String {
///     match event {
///         WatchEvent::Entry(found) => format!("{} at {}", found.key, found.entry.revision),
///         WatchEvent::CaughtUp => "caught up".to_owned(),
///         _ => "unknown".to_owned(),
///     }
/// }
/// assert_eq!(describe(&WatchEvent::CaughtUp), "caught up");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchEvent {
    /// A value, written before or after the watch began.
    Entry(KeyedEntry),
    /// Every value whose write was acknowledged to any client before the watch began has been
    /// delivered, unless it has been removed or replaced since. Later events are live. This event
    /// is sent once per watch, and never on the basis of a replica that may lag behind.
    CaughtUp,
}

/// The stream returned by [`scan`](Backend::scan).
pub type EntryStream = BoxStream<'static, Result<KeyedEntry>>;

/// The stream returned by [`watch`](Backend::watch).
pub type WatchStream = BoxStream<'static, Result<WatchEvent>>;
