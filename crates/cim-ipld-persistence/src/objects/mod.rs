//! The store as the engine sees it: sealed objects in, opened objects out, every outcome resolved.

pub(crate) mod chunked;
pub(crate) mod layout;
pub(crate) mod page_cache;
pub(crate) mod pass;
pub(crate) mod segment_writer;
pub(crate) mod segments;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use cim_ipld_backend::{Backend, Bucket, Entry, ErrorKind as StoreErrorKind, Key, Precondition, Revision};
use cim_ipld_envelope::{Envelope, Keyset, ObjectContext, ObjectKind, SealOptions};
use tokio::time::Instant;

use crate::environment::Environment;
use crate::format::digest::Digest;
use crate::rules::Rules;
use crate::{Error, ErrorKind, Result, Settings};
use layout::Layout;

/// Seals what goes out, opens what comes in. The context of every object is rebuilt here, never
/// read from it.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) layout: Layout,
    pub(crate) environment: Environment,
    pub(crate) rules: Rules,
    root: ArcSwap<Root>,
    /// The root that this process is about to put in the place of the present one.
    next_root: Mutex<Option<Root>>,
    write_timeout: Duration,
    pub(crate) parallel_transfers: usize,
}

/// The root record that this process goes by, and what it opens.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) envelope: Envelope,
    pub(crate) record: Bytes,
    /// The revision under which the record was last seen in the store.
    pub(crate) revision: Revision,
}

impl Root {
    pub(crate) fn new(envelope: Envelope, revision: Revision) -> Self {
        let record = envelope.root_record();
        Self { envelope, record, revision }
    }

    pub(crate) fn digest(&self) -> Digest {
        root_digest(&self.record)
    }

    /// The generation of the keyset; 0 in a plaintext store, whose root never changes.
    pub(crate) fn generation(&self) -> u64 {
        self.envelope.keyset().map_or(0, Keyset::generation)
    }
}

pub(crate) fn root_digest(record: &[u8]) -> Digest {
    Digest::of("cim/v1/root", &[record])
}

impl Objects {
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        layout: Layout,
        root: Root,
        settings: &Settings,
        environment: Environment,
        rules: Rules,
    ) -> Self {
        let write_timeout = settings.write_timeout;
        let parallel_transfers = settings.parallel_transfers.get();
        Self {
            backend,
            layout,
            environment,
            rules,
            root: ArcSwap::from_pointee(root),
            next_root: Mutex::default(),
            write_timeout,
            parallel_transfers,
        }
    }

    pub(crate) fn root(&self) -> Arc<Root> {
        self.root.load_full()
    }

    pub(crate) fn replace_root(&self, root: Root) {
        self.root.store(Arc::new(root));
    }

    /// Notes where the root `record` was seen, unless another one is known by now.
    pub(crate) fn root_seen_at(&self, record: &Bytes, revision: Revision) {
        self.root.rcu(|known| match known.record == *record {
            true => Arc::new(Root { revision, ..(**known).clone() }),
            false => Arc::clone(known),
        });
    }

    /// Announces to the follower the root that this process writes, which it may see before the
    /// write is acknowledged.
    pub(crate) fn set_next_root(&self, root: Option<Root>) {
        *self.next_root.lock().unwrap_or_else(PoisonError::into_inner) = root;
    }

    pub(crate) fn next_root(&self) -> Option<Root> {
        self.next_root.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn seal(&self, address: &Address<'_>, plaintext: &[u8], options: &SealOptions) -> Result<Bytes> {
        Ok(self.root.load().envelope.seal(&address.context(), plaintext, options)?)
    }

    pub(crate) fn open(&self, address: &Address<'_>, sealed: Bytes) -> Result<Bytes> {
        Ok(self.root.load().envelope.open_bytes(&address.context(), sealed)?)
    }

    pub(crate) async fn read(&self, address: &Address<'_>) -> Result<Option<Entry>> {
        Ok(self.backend.get(address.bucket, &address.key()?).await?)
    }

    /// Reads and opens an object that must be there.
    pub(crate) async fn fetch(&self, address: &Address<'_>) -> Result<Bytes> {
        let entry = self.read(address).await?.ok_or_else(|| address.lost())?;
        self.open(address, entry.value)
    }

    /// Writes sealed bytes and resolves an unknown outcome by reading back, retrying what did not
    /// happen until the write timeout. Needs a precondition other than `Any`, so that no try of the
    /// same write can land after another one; a write that was in doubt is recognised by its bytes,
    /// which are salted afresh or name something that was drawn for it.
    pub(crate) async fn write(
        &self,
        bucket: &Bucket,
        key: &Key,
        sealed: Bytes,
        precondition: Precondition,
    ) -> Result<Revision> {
        let deadline = Instant::now() + self.write_timeout;
        let mut pause = Backoff::new();
        let mut maybe_landed = false;
        loop {
            let error = match self.backend.put(bucket, key, sealed.clone(), precondition.clone()).await {
                Ok(revision) => return Ok(revision),
                Err(error) => error,
            };
            match error.kind() {
                StoreErrorKind::OutcomeUnknown => maybe_landed = true,
                StoreErrorKind::Unavailable => {}
                // With an earlier try of this same write whose acknowledgement was lost, perhaps.
                StoreErrorKind::Conflict if maybe_landed => {}
                _ if maybe_landed => return Err(unknown(key, error)),
                _ => return Err(error.into()),
            }
            if maybe_landed {
                match self.backend.get(bucket, key).await {
                    Ok(Some(entry)) if entry.value == sealed => return Ok(entry.revision),
                    // It may have landed and been replaced since.
                    Ok(_) if error.kind() == StoreErrorKind::Conflict => return Err(unknown(key, error)),
                    Ok(_) | Err(_) => {}
                }
            }
            if Instant::now() >= deadline {
                return Err(if maybe_landed { unknown(key, error) } else { error.into() });
            }
            pause.wait().await;
        }
    }

    /// Removes objects; a failure leaves garbage, which costs room and nothing else, so it is only
    /// told in the log.
    pub(crate) async fn discard(&self, bucket: &Bucket, keys: &[Key]) {
        if keys.is_empty() {
            return;
        }
        if let Err(error) = self.backend.delete(bucket, keys).await {
            tracing::warn!(%bucket, objects = keys.len(), %error, "objects that nothing names could not be removed");
        }
    }
}

fn unknown(key: &Key, error: cim_ipld_backend::Error) -> Error {
    Error::new(ErrorKind::OutcomeUnknown, format!("whether {key} was written could not be learned")).with_source(error)
}

/// The kinds of objects that the envelope has no name for.
pub(crate) mod kind {
    use cim_ipld_envelope::ObjectKind;

    /// Deletes of a segment.
    pub(crate) const DELETES: ObjectKind = ObjectKind(0x10);
    /// A part of a journal record that is too large for one object.
    pub(crate) const JOURNAL_CHUNK: ObjectKind = ObjectKind(0x11);
    /// Digests of a segment's pages.
    pub(crate) const PAGE_DIGESTS: ObjectKind = ObjectKind(0x12);
    /// The recent past of the order.
    pub(crate) const WINDOW: ObjectKind = ObjectKind(0x13);
    /// Digests of older positions of the order.
    pub(crate) const ORDER_CHUNK: ObjectKind = ObjectKind(0x14);
    /// A node of the manifest's ancestry.
    pub(crate) const ANCESTRY: ObjectKind = ObjectKind(0x15);
}

/// Which object is meant: everything that its context is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address<'a> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) kind: ObjectKind,
    pub(crate) name: &'a str,
    pub(crate) generation: u64,
}

impl Address<'_> {
    pub(crate) fn key(&self) -> Result<Key> {
        Ok(Key::new(self.name)?)
    }

    pub(crate) fn lost(&self) -> Error {
        Error::new(ErrorKind::Lost, format!("{self} is gone from the store"))
    }

    pub(crate) fn context(&self) -> ObjectContext<'_> {
        ObjectContext::new(self.bucket.name(), self.kind, self.name, self.generation)
    }
}

impl std::fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "object {} of bucket {}", self.name, self.bucket)
    }
}

/// Growing pauses between tries: 5 ms, doubling to one second.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(Duration::from_millis(5))
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(1));
    }
}
