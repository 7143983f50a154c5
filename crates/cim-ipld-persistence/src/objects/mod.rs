//! Sealed objects in the store. Objects are sealed and opened here, and the unknown outcomes of
//! writes are resolved here.

pub(crate) mod chunked;
pub(crate) mod layout;
pub(crate) mod page_cache;
pub(crate) mod pass;
pub(crate) mod segment_writer;
pub(crate) mod segments;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use cim_ipld_backend::{Backend, Bucket, Entry, ErrorKind as StoreErrorKind, Key, Precondition, Revision};
use cim_ipld_envelope::{DataKeyId, Envelope, Keyset, ObjectContext, ObjectKind, SealOptions};
use tokio::time::Instant;

use crate::environment::Environment;
use crate::format::digest::Digest;
use crate::rules::Rules;
use crate::{Error, ErrorKind, Result, Settings};
use layout::Layout;

/// Reads, writes, seals and opens the objects of an index. The context of an object is always
/// reconstructed by the reader and never stored.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) layout: Layout,
    pub(crate) environment: Environment,
    pub(crate) rules: Rules,
    root: ArcSwap<Root>,
    /// The root with which this process is about to replace the current one.
    next_root: Mutex<Option<Root>>,
    write_timeout: Duration,
    pub(crate) parallel_transfers: usize,
    /// The total size of the pages held by a sequential pass, in bytes.
    pub(crate) pass_bytes: usize,
    /// Whether an object that the root cannot open counts as damaged. If false, the failure may
    /// also mean that another process has changed the key.
    is_root_final: bool,
    /// The data keys under which objects have been opened, recorded if the root is final.
    opened_under: Mutex<HashSet<DataKeyId>>,
}

/// The current root record and its envelope.
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

    /// Returns the generation of the keyset, or 0 for a plaintext index, whose root never changes.
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
        let budget = settings.budget();
        Self {
            backend,
            layout,
            environment,
            rules,
            root: ArcSwap::from_pointee(root),
            next_root: Mutex::default(),
            write_timeout,
            parallel_transfers: budget.parallel_transfers().get(),
            pass_bytes: budget.pass_bytes(),
            is_root_final: false,
            opened_under: Mutex::default(),
        }
    }

    /// Returns the same objects with the current root taken as final: any object that this root
    /// cannot open, other than the manifest, counts as damaged. For verification and repair, which
    /// continue past damaged objects. The caller has to check afterwards whether the key was
    /// changed meanwhile.
    pub(crate) fn with_final_root(&self) -> Self {
        Self {
            backend: Arc::clone(&self.backend),
            layout: self.layout.clone(),
            environment: self.environment.clone(),
            rules: self.rules,
            root: ArcSwap::new(self.root()),
            next_root: Mutex::default(),
            write_timeout: self.write_timeout,
            parallel_transfers: self.parallel_transfers,
            pass_bytes: self.pass_bytes,
            is_root_final: true,
            opened_under: Mutex::default(),
        }
    }

    /// Returns the data keys of all objects that were opened through these objects, whose root is
    /// final.
    pub(crate) fn opened_under(&self) -> HashSet<DataKeyId> {
        self.opened_under.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn root(&self) -> Arc<Root> {
        self.root.load_full()
    }

    pub(crate) fn replace_root(&self, root: Root) {
        self.root.store(Arc::new(root));
    }

    /// Sets the revision at which the root `record` was seen, unless a different root is current.
    pub(crate) fn root_seen_at(&self, record: &Bytes, revision: Revision) {
        self.root.rcu(|known| match known.record == *record {
            true => Arc::new(Root { revision, ..(**known).clone() }),
            false => Arc::clone(known),
        });
    }

    /// Sets the root that this process is writing. The follower may see it before the write is
    /// acknowledged.
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
        let key = if self.is_root_final { Envelope::key_of(&sealed).ok().flatten() } else { None };
        let opened = self.root.load().envelope.open_bytes(&address.context(), sealed);
        if let (Ok(_), Some(key)) = (&opened, key) {
            self.opened_under.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        }
        opened.map_err(|error| match Error::from(error).about(address.bucket, address.name) {
            // The header, with the id of the data key, is not authenticated until the object is
            // opened.
            error if self.is_root_final && address.kind != ObjectKind::MANIFEST => {
                address.damaged(&format!("cannot be opened: {error}")).with_source(error)
            }
            error => error,
        })
    }

    pub(crate) async fn read(&self, address: &Address<'_>) -> Result<Option<Entry>> {
        Ok(self.backend.get(address.bucket, &address.key()?).await?)
    }

    /// Reads and opens an object that must exist.
    pub(crate) async fn fetch(&self, address: &Address<'_>) -> Result<Bytes> {
        let entry = self.read(address).await?.ok_or_else(|| address.lost())?;
        self.open(address, entry.value)
    }

    /// Writes sealed bytes, and retries failed writes until the write timeout. An unknown outcome
    /// is resolved by reading the value back. The bytes identify the write, because they contain a
    /// fresh salt or a random name. The precondition must not be `Any`: otherwise, a delayed
    /// attempt could overwrite a later write.
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
                // Possibly a conflict with an earlier attempt whose acknowledgement was lost.
                StoreErrorKind::Conflict if maybe_landed => {}
                _ if maybe_landed => return Err(unknown(key, error)),
                _ => return Err(error.into()),
            }
            if maybe_landed {
                match self.backend.get(bucket, key).await {
                    Ok(Some(entry)) if entry.value == sealed => return Ok(entry.revision),
                    // The write may have succeeded and been replaced since.
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

    /// Removes objects. A failure is only logged, because the garbage that it leaves costs nothing
    /// but space.
    pub(crate) async fn discard(&self, bucket: &Bucket, keys: &[Key]) {
        if keys.is_empty() {
            return;
        }
        if let Err(error) = self.backend.delete(bucket, keys).await {
            tracing::warn!(%bucket, objects = keys.len(), %error, "unreachable objects could not be removed");
        }
    }
}

fn unknown(key: &Key, error: cim_ipld_backend::Error) -> Error {
    Error::new(ErrorKind::OutcomeUnknown, format!("it is unknown whether {key} was written")).with_source(error)
}

/// The object kinds that the envelope does not define.
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
    pub(crate) const DIGEST_BLOCK: ObjectKind = ObjectKind(0x14);
    /// A node of the manifest's ancestry.
    pub(crate) const ANCESTRY: ObjectKind = ObjectKind(0x15);
    /// An age mark: the time at which a garbage collection stored this object.
    pub(crate) const AGE_MARK: ObjectKind = ObjectKind(0x16);
}

/// The address of an object: everything that its context consists of.
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
        Error::new(ErrorKind::Lost, format!("{self} is missing from the store")).about(self.bucket, self.name)
    }

    /// Returns the error for an object whose content is not what the index wrote there.
    pub(crate) fn damaged(&self, why: &str) -> Error {
        Error::new(ErrorKind::Damaged, format!("{self} {why}")).about(self.bucket, self.name)
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

/// Exponential backoff: 5 ms, doubling up to one second.
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
