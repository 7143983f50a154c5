//! A durable storage backend for cim-ipld that keeps its data in one folder, used by one process at
//! a time. It is built on the embedded store [fjall](https://docs.rs/fjall).
//!
//! * A write is acknowledged after it is synced to disk. Concurrent writes share one sync.
//! * Opening a store that is already open, in this process or another, fails with
//!   [`Locked`](cim_ipld_backend::ErrorKind::Locked).
//! * Values are opaque bytes: encrypt before you store. On Unix, only the owner can access the
//!   folder.
//! * A write that finds the disk full fails with [`Full`](cim_ipld_backend::ErrorKind::Full) and
//!   has no effect. Reads continue, and writes succeed again once space is available.
//!
//! A write whose future is dropped is applied completely or not at all. The store is closed when
//! the backend, its clones and its streams are dropped; [`EmbeddedBackend::close`] drops one of
//! these handles without blocking the runtime.
//!
//! # Create a store, close it, and open it again
//!
//! ```
//! use cim_ipld_backend::{Backend, Bucket, Key, Precondition};
//! use cim_ipld_embedded::EmbeddedBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("index");
//! let (bucket, key) = (Bucket::log("catalog_v1")?, Key::new("manifest")?);
//! let backend = EmbeddedBackend::open(&path).await?;
//! backend.create(&bucket).await?;
//! backend.put(&bucket, &key, "value".into(), Precondition::Absent).await?;
//! backend.close().await;
//!
//! let backend = EmbeddedBackend::open_existing(&path).await?;
//! assert_eq!(backend.get(&bucket, &key).await?.unwrap().value, "value");
//! # Ok(())
//! # }
//! ```
//!
//! # Trade durability for speed
//!
//! With [`Durability::Crash`](cim_ipld_backend::Durability), writes are not synced before they are
//! acknowledged: they survive a crash of the process, but not a power failure.
//!
//! ```
//! use cim_ipld_backend::Durability;
//! use cim_ipld_embedded::{EmbeddedBackend, EmbeddedSettings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("index");
//! let mut settings = EmbeddedSettings::default();
//! settings.durability = Durability::Crash;
//! let backend = EmbeddedBackend::open_with(&path, settings).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Handle a missing or locked store
//!
//! ```
//! use cim_ipld_backend::ErrorKind;
//! use cim_ipld_embedded::EmbeddedBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("index");
//! let missing = EmbeddedBackend::open_existing(&path).await.unwrap_err();
//! assert_eq!(missing.kind(), ErrorKind::BucketMissing);
//!
//! let backend = EmbeddedBackend::open(&path).await?;
//! let locked = EmbeddedBackend::open(&path).await.unwrap_err();
//! assert_eq!(locked.kind(), ErrorKind::Locked);
//! # drop(backend);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod backend;
mod batch;
mod blocking;
mod bucket;
mod clock;
mod database;
mod error;
mod folder;
mod journal;
mod read_only_copy;
mod record;
mod settings;
mod store;
mod stream;
mod structure;
mod write_buffer;
mod writer;

pub use backend::EmbeddedBackend;
pub use folder::FORMAT_VERSION;
pub use settings::EmbeddedSettings;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
