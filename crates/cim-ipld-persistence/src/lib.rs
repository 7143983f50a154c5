//! The engine of cim-ipld: an in-memory search index over any storage backend, in which every
//! acknowledged write is durable.
//!
//! [`Engine`] writes a journal to the catalog bucket of the index, folds the journal into immutable
//! sealed segments, follows the catalog so that several processes see each other's writes, and
//! takes named snapshots. It combines three crates: [`index`] evaluates queries, [`envelope`] seals
//! every byte before it leaves the process, and [`backend`] stores the sealed bytes.
//!
//! # How to create, write and search
//!
//! ```
//! use std::sync::Arc;
//!
//! use cim_ipld_persistence::backend::MemoryBackend;
//! use cim_ipld_persistence::envelope::{EncryptionAlgorithm, EncryptionKey, KeySource};
//! use cim_ipld_persistence::index::{Document, Query, SearchOptions};
//! use cim_ipld_persistence::{Engine, IndexName, Protection, Settings, content_cid};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let backend = Arc::new(MemoryBackend::new());
//! let key = EncryptionKey::generate(EncryptionAlgorithm::ChaCha20Poly1305);
//! let protection = Protection::Encrypted { algorithm: key.algorithm(), key: KeySource::Key(key) };
//! let engine = Engine::create(backend, &IndexName::default(), protection, Settings::default()).await?;
//!
//! let text = "A quiet harbour at dawn";
//! let document = Document::new(content_cid(text.as_bytes())).with_text(text);
//! engine.index(&[document]).await?;
//!
//! let found = engine.search(&Query::parse("harbour")?, &SearchOptions::default()).await?;
//! assert_eq!(found.total, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # How to detect a store that was rolled back
//!
//! A [pin](EngineBuilder::pin) records the newest state outside the store. The next process refuses
//! an older state with [`Rollback`](ErrorKind::Rollback):
//!
//! ```
//! # use std::sync::Arc;
//! # use cim_ipld_backend::MemoryBackend;
//! # use cim_ipld_index::Document;
//! use cim_ipld_persistence::{Engine, ErrorKind, FilePin, Protection, content_cid};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let backend = MemoryBackend::new();
//! let pin = Arc::new(FilePin::new(folder.path().join("photos.pin")));
//! let builder = Engine::builder(Arc::new(backend.clone())).pin(pin.clone());
//! let engine = builder.create(Protection::Plaintext).await?;
//! let backup = Arc::new(backend.fork());
//! engine.index(&[Document::new(content_cid(b"1"))]).await?;
//! engine.close().await;
//!
//! let error = Engine::builder(backup).pin(pin).open(None).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Rollback);
//! # Ok(())
//! # }
//! ```
//!
//! # How to share an index between processes
//!
//! Every process opens the same store. A reader sees a write of another process once it has
//! followed the catalog to the [`Position`] that the write returned; [`Engine::wait_for`] waits for
//! that.
//!
//! # How to back up and restore
//!
//! ```
//! # use std::sync::Arc;
//! # use cim_ipld_backend::MemoryBackend;
//! # use cim_ipld_index::Document;
//! use cim_ipld_persistence::{Engine, Protection, content_cid};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder(Arc::new(MemoryBackend::new())).create(Protection::Plaintext).await?;
//! engine.index(&[Document::new(content_cid(b"1"))]).await?;
//! engine.create_snapshot("monday").await?;
//!
//! engine.delete(&[content_cid(b"1")]).await?;
//! engine.restore_snapshot("monday").await?;
//! assert_eq!(engine.stats().await?.index.documents, 1);
//! # Ok(())
//! # }
//! ```
//!
//! Snapshots live in the same store as the index. They protect against mistakes, not against the
//! loss of the store.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod archive;
mod content;
mod content_metadata;
mod engine;
mod environment;
mod error;
mod file_pin;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod maintenance;
mod objects;
#[cfg(feature = "simulation")]
mod observer;
mod position;
mod rules;
mod settings;

// The facade depends on this crate only, and takes the types of this crate's interface from here.
pub use cim_ipld_backend as backend;
pub use cim_ipld_envelope as envelope;
pub use cim_ipld_index as index;

pub use archive::source::ArchiveSource;
pub use archive::{ExportOptions, ExportReport, ImportOptions, ImportReport};
pub use content::content_cid;
pub use content_metadata::{AudioMetadata, DocumentMetadata, ImageMetadata, VideoMetadata, unix_seconds};
pub use engine::archives::{CopyReport, Import};
pub use engine::{Engine, EngineBuilder, EngineStats, LoadReport, Protection, Recovery, SnapshotList};
pub use environment::{Clock, Environment, Randomness};
pub use error::{Error, ErrorKind, Result, StoredObject};
pub use file_pin::FilePin;
pub use history::pin::{PinInfo, PinStore};
pub use history::progress::IgnoredEntries;
pub use maintenance::garbage::{GarbageOptions, GarbageReport};
pub use maintenance::repair::{RepairOptions, RepairReport, RepairSource, StoreSource};
pub use maintenance::rotation::KeyReport;
pub use maintenance::snapshots::SnapshotInfo;
pub use maintenance::verify::{Condition, ObjectCount, Problem, VerifyReport};
pub use objects::layout::IndexName;
#[cfg(feature = "simulation")]
pub use observer::{Event, Observer};
pub use position::Position;
#[cfg(feature = "simulation")]
pub use rules::{Rule, Rules};
pub use settings::{MemoryBudget, Settings};
