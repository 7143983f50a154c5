use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Bucket, Key, KeyPrefix, Limits, Result};

/// Stores buckets of revisioned values: everything the engine needs of a storage system.
///
/// Implementations are shared by reference among tasks and must be safe to call concurrently. A
/// future that is dropped before it is ready leaves the operation wholly done or wholly undone,
/// never half.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Makes sure that `bucket` exists and can hold what the engine will write there; does nothing
    /// when it does.
    ///
    /// # Errors
    /// `Denied` when the account may not create it, `Unavailable` when nothing answered,
    /// `Incompatible` when a bucket of that name exists with settings under which the contract
    /// cannot hold.
    async fn create(&self, bucket: &Bucket) -> Result<()>;

    /// Tells that `bucket` is missing, before anything is written that needs it. A store that
    /// cannot tell cheaply says nothing.
    ///
    /// # Errors
    /// `BucketMissing`, `Unavailable`, `Denied`, `Incompatible`.
    async fn look_for(&self, bucket: &Bucket) -> Result<()> {
        let _ = bucket;
        Ok(())
    }

    /// Reads the newest value of `key`, or `None` when the bucket holds none.
    ///
    /// In a [`BucketKind::Log`](crate::BucketKind) bucket the answer is never older than the last
    /// write acknowledged to anybody. In a [`BucketKind::Objects`](crate::BucketKind) bucket a
    /// value is written once, so any copy serves; `None` is returned only after the authoritative
    /// copy was asked.
    ///
    /// # Errors
    /// `BucketMissing`, `Unavailable`, `Denied`, `Corrupt`.
    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>>;

    /// Writes `value` under `key` when `precondition` holds, and returns its revision once it is as
    /// durable as [`Limits::durability`] says.
    ///
    /// # Errors
    /// `Conflict` when the precondition does not hold, `TooLarge`, `Full`, `Denied`,
    /// `BucketMissing`, `Unavailable` when the write certainly did not happen, `OutcomeUnknown`
    /// when it may have: read back before deciding anything. `Corrupt` when its revision is not
    /// larger than one that this process saw before: the bucket was made anew or went back.
    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision>;

    /// Removes `keys` for good; those that are not there are passed over. Nothing that grows is
    /// left behind, and watchers are not told.
    ///
    /// # Errors
    /// `BucketMissing`, `Unavailable`, `Denied`, `OutcomeUnknown`. Some of the keys may be gone
    /// already: call it again.
    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()>;

    /// Streams every value under `prefix` whose revision is greater than `after`, in revision
    /// order, and ends.
    ///
    /// Every value whose write was acknowledged to anybody before the scan began is among them,
    /// unless it was removed or replaced since; values written while it runs may or may not be.
    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream;

    /// Streams what [`scan`](Backend::scan) would, then [`WatchEvent::CaughtUp`] once, then every
    /// later write as it happens, in revision order, without repeating or skipping one that is
    /// still the newest of its key.
    ///
    /// Ends only by an error or by being dropped. After an error, watch again from the last
    /// revision seen.
    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream;

    /// Tells how large values may be and what an acknowledgement promises.
    fn limits(&self) -> Limits;
}

/// The place of a write in its bucket's total order. Zero stands before every write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The place before the first write.
    pub const ZERO: Self = Self(0);

    /// Makes a revision from the backend's own number, which must be at least 1 for a write.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the backend's own number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// What must be true for a [`put`](Backend::put) to happen.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, MemoryBackend, Precondition};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// let backend = MemoryBackend::new();
/// let (bucket, root, record) = (Bucket::log("catalog_v1")?, Key::new("root")?, Key::new("journal.a.1")?);
/// backend.create(&bucket).await?;
/// let revision = backend.put(&bucket, &root, "root".into(), Precondition::Absent).await?;
///
/// // A record is fenced on the root: once that is replaced or removed, no further record is written.
/// let fence = Precondition::AbsentWhile { key: root.clone(), revision };
/// backend.put(&bucket, &record, "record".into(), fence.clone()).await?;
/// backend.put(&bucket, &root, "another root".into(), Precondition::Unchanged(revision)).await?;
/// let refused = backend.put(&bucket, &Key::new("journal.a.2")?, "record".into(), fence).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Conflict);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// Nothing: the value replaces whatever is there.
    Any,
    /// The bucket holds no value under the key.
    Absent,
    /// The newest value under the key is the one of this revision: a compare-and-set.
    Unchanged(Revision),
    /// The bucket holds no value under the key written, and the newest value under another key is
    /// the one of a revision.
    ///
    /// The second half is exact on every backend. The first is exact among writes with this
    /// precondition; a backend that recognises a key by having seen it lately may overlook a value
    /// that was put there with another precondition, and may refuse a key whose value was removed
    /// lately. So use it for names that are written once.
    AbsentWhile {
        /// The other key, the fence.
        key: Key,
        /// The revision of the value that stands there.
        revision: Revision,
    },
}

/// A value and its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes that were put.
    pub value: Bytes,
    /// The revision of that put.
    pub revision: Revision,
}

/// An [`Entry`] with the key it stands under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedEntry {
    /// The key.
    pub key: Key,
    /// Its value and revision.
    pub entry: Entry,
}

/// What a [`watch`](Backend::watch) tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchEvent {
    /// A value, older or new.
    Entry(KeyedEntry),
    /// Every value whose write was acknowledged to anybody before the watch began has been
    /// delivered, unless it was removed or replaced since; what follows is live. Told once. A copy
    /// of the bucket that lags behind is no ground for it.
    CaughtUp,
}

/// The stream of a [`scan`](Backend::scan).
pub type EntryStream = BoxStream<'static, Result<KeyedEntry>>;

/// The stream of a [`watch`](Backend::watch).
pub type WatchStream = BoxStream<'static, Result<WatchEvent>>;
