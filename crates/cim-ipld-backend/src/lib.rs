//! The storage contract of cim-ipld, and an in-memory reference implementation.
//!
//! A [`Backend`] stores *buckets* of *keys*, each with one value and its [`Revision`]. Revisions
//! increase strictly within a bucket and so define its total order; they are a stream sequence in
//! NATS and a counter in the embedded store. The engine builds everything else (journal, manifest,
//! segments, snapshots) on this trait.
//!
//! * To **use** a backend, choose [`MemoryBackend`] for tests and caches, `cim-ipld-embedded` for
//!   one process with a local disk, or `cim-ipld-nats` for NATS JetStream.
//! * To **write** one, implement [`Backend`] and run the conformance suite of
//!   `cim-ipld-backend-testkit`, which is the normative definition of the contract.
//!
//! Values are opaque bytes. A backend never sees the plaintext of an encrypted index and must not
//! need it.
//!
//! # Read, write and compare-and-set
//!
//! ```
//! use cim_ipld_backend::{Backend, Bucket, Key, MemoryBackend, Precondition};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cim_ipld_backend::Error> {
//! let backend = MemoryBackend::new();
//! let bucket = Bucket::log("catalog_v1")?;
//! let key = Key::new("manifest")?;
//! backend.create(&bucket).await?;
//!
//! let first = backend.put(&bucket, &key, "one".into(), Precondition::Absent).await?;
//! let second = backend.put(&bucket, &key, "two".into(), Precondition::Unchanged(first)).await?;
//! assert!(second > first);
//! assert_eq!(backend.get(&bucket, &key).await?.unwrap().value, "two");
//! # Ok(())
//! # }
//! ```
//!
//! # Follow a bucket
//!
//! A watch delivers what is stored, then [`WatchEvent::CaughtUp`], then later writes as they
//! happen. It may skip a value that was replaced or removed in the meantime.
//!
//! ```
//! use cim_ipld_backend::{Backend, Bucket, Key, KeyPrefix, MemoryBackend, Precondition, Revision, WatchEvent};
//! use futures::TryStreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cim_ipld_backend::Error> {
//! # let (backend, bucket) = (MemoryBackend::new(), Bucket::log("catalog_v1")?);
//! # backend.create(&bucket).await?;
//! backend.put(&bucket, &Key::new("journal.a.1")?, "record".into(), Precondition::Absent).await?;
//! let mut events = backend.watch(&bucket, &KeyPrefix::below("journal")?, Revision::ZERO);
//! let mut replayed = Vec::new();
//! while let Some(WatchEvent::Entry(found)) = events.try_next().await? {
//!     replayed.push(found.entry.value);
//! }
//! assert_eq!(replayed, ["record"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Resolve a write whose outcome is unknown
//!
//! A write whose acknowledgement was lost fails with [`ErrorKind::OutcomeUnknown`]. The caller
//! reads the key back to find out whether the write happened.
//!
//! ```
//! use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, Precondition, Result};
//!
//! async fn put_once(backend: &dyn Backend, bucket: &Bucket, key: &Key, value: &'static str) -> Result<()> {
//!     match backend.put(bucket, key, value.into(), Precondition::Absent).await {
//!         Err(error) if error.kind() == ErrorKind::OutcomeUnknown => match backend.get(bucket, key).await? {
//!             Some(entry) if entry.value == value => Ok(()),
//!             _ => Err(error),
//!         },
//!         outcome => outcome.map(drop),
//!     }
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let (backend, bucket) = (cim_ipld_backend::MemoryBackend::new(), Bucket::log("catalog_v1")?);
//! # backend.create(&bucket).await?;
//! put_once(&backend, &bucket, &Key::new("journal.a.1")?, "record").await?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod backend;
mod error;
mod limits;
mod memory;
mod name;
mod precondition;
mod revision;

pub use backend::{Backend, Entry, EntryStream, KeyedEntry, WatchEvent, WatchStream};
pub use error::{Error, ErrorKind, Result};
pub use limits::{Durability, Limits};
pub use memory::MemoryBackend;
pub use name::{Bucket, BucketKind, Key, KeyPrefix, MAX_BUCKET_BYTES, MAX_KEY_BYTES};
pub use precondition::Precondition;
pub use revision::Revision;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
