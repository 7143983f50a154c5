//! Stores cim-ipld's buckets durably in a folder, for one process at a time, on the embedded store
//! [fjall](https://docs.rs/fjall).
//!
//! * A write is acknowledged when it is synced to disk; writes that come together share one sync.
//! * A second opener, in this process or another, gets
//!   [`Locked`](cim_ipld_backend::ErrorKind::Locked).
//! * Values are opaque bytes: encrypt before you store. The folder is readable by its owner alone.
//! * Where a write finds no room on the disk it is [`Full`](cim_ipld_backend::ErrorKind::Full) and
//!   not there; reads go on, and writes too as soon as there is room.
//!
//! A write that is called and then dropped is done whole or not at all. The store is closed when
//! the backend, its clones and its streams are dropped; [`EmbeddedBackend::close`] does that
//! without blocking the runtime.
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

mod backend;
mod batch;
mod blocking;
mod bucket;
mod copy;
mod error;
mod folder;
mod journal;
mod opened;
mod record;
mod settings;
mod store;
mod stream;
mod writer;

pub use backend::EmbeddedBackend;
pub use folder::FORMAT_VERSION;
pub use settings::EmbeddedSettings;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
