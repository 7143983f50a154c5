//! The engine of cim-ipld: an in-memory search index whose every acknowledged write is durable,
//! over any storage backend.
//!
//! [`Engine`] is the whole of it. It keeps a journal in the index's catalog bucket, folds it into
//! immutable sealed segments, follows the catalog so that several processes see each other's
//! writes, and takes named snapshots. The index core (`cim-ipld-index`) decides what matches, the
//! envelope (`cim-ipld-envelope`) seals every byte that leaves the process, the backend
//! (`cim-ipld-backend`) keeps it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use cim_ipld_backend::MemoryBackend;
//! use cim_ipld_envelope::{EncryptionAlgorithm, EncryptionKey, KeySource};
//! use cim_ipld_index::{Document, Query, SearchOptions};
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
//! let mut document = Document::new(content_cid(text.as_bytes()));
//! document.text = Some(text.to_owned());
//! engine.index(&[document]).await?;
//!
//! let found = engine.search(&Query::parse("harbour")?, &SearchOptions::default()).await?;
//! assert_eq!(found.total, 1);
//! # Ok(())
//! # }
//! ```

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

// The facade may depend on no room below this one: it takes what this crate's interface speaks of
// from here.
pub use cim_ipld_backend as backend;
pub use cim_ipld_envelope as envelope;
pub use cim_ipld_index as index;

pub use content::content_cid;
pub use content_metadata::{AudioMetadata, DocumentMetadata, ImageMetadata, VideoMetadata, unix_seconds};
pub use engine::{Engine, EngineBuilder, LoadReport, Protection, Stats};
pub use environment::{Clock, Environment, Randomness};
pub use error::{Error, ErrorKind, Result};
pub use file_pin::FilePin;
pub use history::pin::{PinInfo, PinStore};
pub use history::progress::IgnoredEntries;
pub use maintenance::rotation::KeyReport;
pub use maintenance::snapshots::SnapshotInfo;
pub use maintenance::verify::{Problem, VerifyReport};
pub use objects::layout::IndexName;
#[cfg(feature = "simulation")]
pub use observer::{Event, Observer};
pub use position::Position;
#[cfg(feature = "simulation")]
pub use rules::{Rule, Rules};
pub use settings::Settings;
