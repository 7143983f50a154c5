use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cim_ipld_backend::{
    Backend, Bucket, Entry, EntryStream, Error, ErrorKind, Key, KeyPrefix, Limits, Precondition, Result, Revision,
    WatchStream,
};
use futures::stream::{self, BoxStream, StreamExt};

use crate::{Operation, OperationKind};

/// A fault to inject into one operation.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, MemoryBackend, Precondition};
/// use cim_ipld_backend_testkit::{Fault, FaultInjecting};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// let backend = FaultInjecting::new(MemoryBackend::new());
/// let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new("manifest")?);
/// backend.create(&bucket).await?;
/// backend.at(1, Fault::Fail(ErrorKind::Full));
/// let refused = backend.put(&bucket, &key, "value".into(), Precondition::Any).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Full);
/// assert_eq!(backend.get(&bucket, &key).await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The operation is not executed and fails with this kind. For a write whose outcome is
    /// unknown, use [`LostBefore`](Fault::LostBefore) or [`LostAfter`](Fault::LostAfter) instead.
    Fail(ErrorKind),
    /// The operation is executed, or the stream opened, after this delay.
    Delay(Duration),
    /// The operation is executed twice, as if the network repeated a message. A repeated
    /// unconditional write gets a second revision, which is the one acknowledged; a repeated
    /// conditional write is refused, and the first revision is acknowledged. Reads and streams are
    /// unaffected.
    Duplicate,
    /// A write or removal is not executed and fails with `OutcomeUnknown`. A read, a stream or the
    /// creation of a bucket is not executed and fails with `Unavailable`.
    LostBefore,
    /// A write or removal is executed and fails with `OutcomeUnknown`. The creation of a bucket is
    /// executed and fails with `Unavailable`. A read or stream fails with `Unavailable`.
    LostAfter,
    /// A stream yields this many items, then an `Unavailable` error, then ends. Other operations
    /// are unaffected.
    CutAfter(usize),
}

/// A wrapper that injects planned faults and passes on all other operations.
///
/// Operations are numbered from 0 in call order, over all buckets and methods; clones share the
/// numbers and the plan. A fault planned with [`at`](FaultInjecting::at) applies once; one planned
/// with [`when`](FaultInjecting::when) applies whenever its predicate returns it.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, MemoryBackend, Precondition};
/// use cim_ipld_backend_testkit::{Fault, FaultInjecting};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// let backend = FaultInjecting::new(MemoryBackend::new());
/// let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new("manifest")?);
/// backend.create(&bucket).await?;
///
/// backend.at(1, Fault::LostAfter);
/// let lost = backend.put(&bucket, &key, "value".into(), Precondition::Any).await.unwrap_err();
/// assert_eq!(lost.kind(), ErrorKind::OutcomeUnknown);
/// assert_eq!(backend.get(&bucket, &key).await?.unwrap().value, "value");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FaultInjecting {
    inner: Arc<dyn Backend>,
    next: Arc<AtomicU64>,
    plan: Arc<Mutex<Vec<Planned>>>,
}

enum Planned {
    At(u64, Fault),
    When(Box<Predicate>),
}

type Predicate = dyn FnMut(&Operation) -> Option<Fault> + Send;

impl FaultInjecting {
    /// Wraps `inner`, with an empty plan.
    #[must_use]
    pub fn new(inner: impl Backend) -> Self {
        Self::over(Arc::new(inner))
    }

    /// Wraps a shared backend, with an empty plan.
    #[must_use]
    pub fn over(inner: Arc<dyn Backend>) -> Self {
        Self { inner, next: Arc::default(), plan: Arc::default() }
    }

    /// Plans `fault` for the operation with this number.
    pub fn at(&self, number: u64, fault: Fault) {
        self.plan().push(Planned::At(number, fault));
    }

    /// Plans a fault for every operation for which `predicate` returns one. Plans are tried in
    /// order, and the first fault found is used.
    pub fn when(&self, predicate: impl FnMut(&Operation) -> Option<Fault> + Send + 'static) {
        self.plan().push(Planned::When(Box::new(predicate)));
    }

    /// Clears the plan; operations are still counted.
    pub fn heal(&self) {
        self.plan().clear();
    }

    /// Returns the number of operations called so far, which is the number of the next one.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Vec<Planned>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_fault(&self, kind: OperationKind, bucket: &Bucket, key: Option<&Key>) -> Option<Fault> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let operation = Operation { number, kind, bucket: bucket.clone(), key: key.cloned() };
        self.plan().iter_mut().find_map(|planned| match planned {
            Planned::At(at, fault) => (*at == number).then_some(*fault),
            Planned::When(predicate) => predicate(&operation),
        })
    }

    /// Applies `fault` to a call that opens a stream.
    fn open_with_fault<T: Send + 'static>(
        &self,
        fault: Option<Fault>,
        open: impl FnOnce(&dyn Backend) -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let failure = |kind| stream::iter([Err(injected(kind))]);
        match fault {
            None | Some(Fault::Duplicate) => open(&*self.inner),
            Some(Fault::Fail(kind)) => failure(kind).boxed(),
            Some(Fault::LostBefore | Fault::LostAfter) => failure(ErrorKind::Unavailable).boxed(),
            Some(Fault::CutAfter(items)) => {
                open(&*self.inner).take(items).chain(failure(ErrorKind::Unavailable)).boxed()
            }
            Some(Fault::Delay(time)) => {
                let inner = Arc::clone(&self.inner);
                let opened = async move {
                    tokio::time::sleep(time).await;
                    open(&*inner)
                };
                stream::once(opened).flatten().boxed()
            }
        }
    }
}

impl std::fmt::Debug for FaultInjecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultInjecting").field("inner", &self.inner).field("operations", &self.operations()).finish()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for FaultInjecting {
    async fn create(&self, bucket: &Bucket) -> Result<()> {
        match self.next_fault(OperationKind::Create, bucket, None) {
            Some(Fault::Fail(kind)) => return Err(injected(kind)),
            Some(Fault::LostBefore) => return Err(injected(ErrorKind::Unavailable)),
            Some(Fault::LostAfter) => {
                self.inner.create(bucket).await?;
                return Err(injected(ErrorKind::Unavailable));
            }
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            Some(Fault::Duplicate) => self.inner.create(bucket).await?,
            None | Some(Fault::CutAfter(_)) => {}
        }
        self.inner.create(bucket).await
    }

    async fn check_bucket(&self, bucket: &Bucket) -> Result<()> {
        self.inner.check_bucket(bucket).await
    }

    async fn get(&self, bucket: &Bucket, key: &Key) -> Result<Option<Entry>> {
        match self.next_fault(OperationKind::Get, bucket, Some(key)) {
            Some(Fault::Fail(kind)) => return Err(injected(kind)),
            Some(Fault::LostBefore | Fault::LostAfter) => return Err(injected(ErrorKind::Unavailable)),
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            None | Some(Fault::Duplicate | Fault::CutAfter(_)) => {}
        }
        self.inner.get(bucket, key).await
    }

    async fn put(&self, bucket: &Bucket, key: &Key, value: Bytes, precondition: Precondition) -> Result<Revision> {
        match self.next_fault(OperationKind::Put, bucket, Some(key)) {
            Some(Fault::Fail(kind)) => return Err(injected(kind)),
            Some(Fault::LostBefore) => return Err(injected(ErrorKind::OutcomeUnknown)),
            Some(Fault::LostAfter) => {
                self.inner.put(bucket, key, value, precondition).await?;
                return Err(injected(ErrorKind::OutcomeUnknown));
            }
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            Some(Fault::Duplicate) => {
                let first = self.inner.put(bucket, key, value.clone(), precondition.clone()).await?;
                return match self.inner.put(bucket, key, value, precondition).await {
                    Err(error) if error.kind() == ErrorKind::Conflict => Ok(first),
                    second => second,
                };
            }
            None | Some(Fault::CutAfter(_)) => {}
        }
        self.inner.put(bucket, key, value, precondition).await
    }

    async fn delete(&self, bucket: &Bucket, keys: &[Key]) -> Result<()> {
        match self.next_fault(OperationKind::Delete, bucket, None) {
            Some(Fault::Fail(kind)) => return Err(injected(kind)),
            Some(Fault::LostBefore) => return Err(injected(ErrorKind::OutcomeUnknown)),
            Some(Fault::LostAfter) => {
                self.inner.delete(bucket, keys).await?;
                return Err(injected(ErrorKind::OutcomeUnknown));
            }
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            Some(Fault::Duplicate) => self.inner.delete(bucket, keys).await?,
            None | Some(Fault::CutAfter(_)) => {}
        }
        self.inner.delete(bucket, keys).await
    }

    fn scan(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> EntryStream {
        let fault = self.next_fault(OperationKind::Scan, bucket, None);
        let (bucket, prefix) = (bucket.clone(), prefix.clone());
        self.open_with_fault(fault, move |inner| inner.scan(&bucket, &prefix, after))
    }

    fn watch(&self, bucket: &Bucket, prefix: &KeyPrefix, after: Revision) -> WatchStream {
        let fault = self.next_fault(OperationKind::Watch, bucket, None);
        let (bucket, prefix) = (bucket.clone(), prefix.clone());
        self.open_with_fault(fault, move |inner| inner.watch(&bucket, &prefix, after))
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

fn injected(kind: ErrorKind) -> Error {
    Error::new(kind, "injected fault")
}
