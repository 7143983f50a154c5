use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, Key, KeyPrefix, Limits, Precondition, Result, Revision, WatchEvent,
    WatchStream,
};
use futures::StreamExt;

use crate::OperationKind;

/// A wrapper that counts operations, values and bytes by bucket and method.
///
/// Clones share the same counts.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, Key, MemoryBackend, Precondition};
/// use cim_ipld_backend_testkit::{Counting, OperationKind};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// let backend = Counting::new(MemoryBackend::new());
/// let bucket = Bucket::log("catalog_v1")?;
/// backend.create(&bucket).await?;
/// let before = backend.counts();
///
/// backend.put(&bucket, &Key::new("manifest")?, "four".into(), Precondition::Any).await?;
///
/// let cost = backend.counts().since(&before);
/// assert_eq!(cost.total(OperationKind::Put).operations, 1);
/// assert_eq!(cost.bytes_written(), 4);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Counting {
    inner: Arc<dyn Backend>,
    counts: Arc<Mutex<Counts>>,
}

/// The counts by bucket name and method.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, MemoryBackend};
/// use cim_ipld_backend_testkit::{Counting, OperationKind};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// let backend = Counting::new(MemoryBackend::new());
/// backend.create(&Bucket::log("catalog_v1")?).await?;
/// let counts = backend.counts();
/// assert_eq!(counts.of("catalog_v1", OperationKind::Create).operations, 1);
/// assert_eq!((counts.operations(), counts.bytes_written()), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(String, OperationKind), Count>);

/// The counts of one method.
///
/// ```
/// use cim_ipld_backend_testkit::{Count, Counts, OperationKind};
///
/// let none: Count = Counts::default().total(OperationKind::Put);
/// assert_eq!((none.operations, none.values, none.bytes), (0, 0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// Calls, including those that failed.
    pub operations: u64,
    /// Values read, values passed to `put`, and keys passed to `delete`; the last two even if the
    /// call failed.
    pub values: u64,
    /// Bytes of the values read or passed to `put`, without keys.
    pub bytes: u64,
}

impl Counting {
    /// Wraps `inner`, with all counts at zero.
    #[must_use]
    pub fn new(inner: impl Backend) -> Self {
        Self::over(Arc::new(inner))
    }

    /// Wraps a shared backend, with all counts at zero.
    #[must_use]
    pub fn over(inner: Arc<dyn Backend>) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// Returns a copy of the current counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self, bucket: &Bucket, kind: OperationKind) {
        self.lock().add(bucket, kind, Count { operations: 1, values: 0, bytes: 0 });
    }

    fn passed(&self, bucket: &Bucket, kind: OperationKind, values: usize, bytes: usize) {
        self.lock().add(bucket, kind, Count { operations: 0, values: values as u64, bytes: bytes as u64 });
    }
}

impl Counts {
    /// Returns the count of one method in the bucket with this name.
    #[must_use]
    pub fn of(&self, bucket: &str, kind: OperationKind) -> Count {
        self.0.get(&(bucket.to_owned(), kind)).copied().unwrap_or_default()
    }

    /// Returns the count of one method over all buckets.
    #[must_use]
    pub fn total(&self, kind: OperationKind) -> Count {
        let mut total = Count::default();
        self.0.iter().filter(|((_, found), _)| *found == kind).for_each(|(_, count)| total += *count);
        total
    }

    /// Returns the number of calls of all methods in all buckets.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.values().map(|count| count.operations).sum()
    }

    /// Returns the bytes of all values passed to `put`, even if the call failed.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.total(OperationKind::Put).bytes
    }

    /// Returns the bytes of all values read, scanned and watched.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        [OperationKind::Get, OperationKind::Scan, OperationKind::Watch].map(|kind| self.total(kind).bytes).iter().sum()
    }

    /// Returns the counts since `earlier`, an older copy of the same counts.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let less = |key: &(String, OperationKind), count: &Count| {
            let before = earlier.0.get(key).copied().unwrap_or_default();
            Count {
                operations: count.operations.saturating_sub(before.operations),
                values: count.values.saturating_sub(before.values),
                bytes: count.bytes.saturating_sub(before.bytes),
            }
        };
        Self(self.0.iter().map(|(key, count)| (key.clone(), less(key, count))).collect())
    }

    fn add(&mut self, bucket: &Bucket, kind: OperationKind, more: Count) {
        *self.0.entry((bucket.name().to_owned(), kind)).or_default() += more;
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, more: Self) {
        self.operations += more.operations;
        self.values += more.values;
        self.bytes += more.bytes;
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Counting {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        self.called(bucket, OperationKind::Create);
        self.inner.create(bucket).await
    }

    async fn check_bucket(&self, bucket: &Bucket) -> Result<()> {
        self.inner.check_bucket(bucket).await
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        self.called(bucket, OperationKind::Get);
        let found = self.inner.get(bucket, key).await?;
        if let Some(entry) = &found {
            self.passed(bucket, OperationKind::Get, 1, entry.value.len());
        }
        Ok(found)
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        self.called(bucket, OperationKind::Put);
        self.passed(bucket, OperationKind::Put, 1, value.len());
        self.inner.put(bucket, key, value, precondition).await
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        self.called(bucket, OperationKind::Delete);
        self.passed(bucket, OperationKind::Delete, keys.len(), 0);
        self.inner.delete(bucket, keys).await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        self.called(bucket, OperationKind::Scan);
        let (counting, counted) = (self.clone(), bucket.clone());
        let entries = self.inner.scan(bucket, prefix, after);
        entries
            .inspect(move |item| {
                if let Ok(found) = item {
                    counting.passed(&counted, OperationKind::Scan, 1, found.entry.value.len());
                }
            })
            .boxed()
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        self.called(bucket, OperationKind::Watch);
        let (counting, counted) = (self.clone(), bucket.clone());
        let events = self.inner.watch(bucket, prefix, after);
        events
            .inspect(move |item| {
                if let Ok(WatchEvent::Entry(found)) = item {
                    counting.passed(&counted, OperationKind::Watch, 1, found.entry.value.len());
                }
            })
            .boxed()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}
