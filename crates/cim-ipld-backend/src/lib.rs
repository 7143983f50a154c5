//! The storage contract of cim-ipld, and an in-memory backend that shows what it means.
//!
//! A [`Backend`] keeps *buckets* of *keys*, each holding one value with a [`Revision`]. Revisions
//! grow strictly within a bucket, so they are the bucket's total order: a NATS stream sequence, a
//! counter in an embedded store. The engine builds everything else (journal, manifest, segments,
//! snapshots) out of the seven methods of the trait.
//!
//! * To **use** a backend, take [`MemoryBackend`] for tests and caches, `cim-ipld-embedded` for one
//!   process on one disk, `cim-ipld-nats` for NATS JetStream.
//! * To **write** one, implement [`Backend`] and run the conformance suite of
//!   `cim-ipld-backend-testkit`; the suite, not this page, decides when you are done.
//!
//! A backend never sees plaintext of an encrypted index and must never need to: values are opaque
//! bytes.
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

mod backend;
mod error;
mod limits;
mod memory;
mod name;

pub use backend::{Backend, Entry, EntryStream, KeyedEntry, Precondition, Revision, WatchEvent, WatchStream};
pub use error::{Error, ErrorKind, Result};
pub use limits::{Durability, Limits};
pub use memory::MemoryBackend;
pub use name::{Bucket, BucketKind, Key, KeyPrefix, MAX_BUCKET_BYTES, MAX_KEY_BYTES};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
