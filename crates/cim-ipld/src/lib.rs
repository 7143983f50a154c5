//! A searchable, encrypted, durable index over IPLD content: the facade of the cim-ipld crates.
//!
//! Which part to use:
//!
//! * [`ContentIndex`] is the index: documents, images, audio and video in, search results out. Over
//!   an [`IndexPersistence`] every acknowledged write is durable; [`ContentIndex::new`] keeps
//!   everything in memory only.
//! * [`IndexPersistence`] is the durable half. [`IndexPersistence::new`] takes NATS JetStream,
//!   [`IndexPersistence::builder`] any store: a folder, JetStream, a backend of your own.
//! * [`ContentEncryption`] makes keys and encrypts single values; [`EncryptedCidWrapper`] pairs a
//!   CID with encrypted metadata; `NatsEncryption` (feature `nats`) configures the server's own
//!   encryption.
//! * The modules [`persistence`], [`index`], [`envelope`], [`backend`], `embedded` and `nats` are
//!   the crates behind all this, whole.
//!
//! Caution: an index is encrypted only if a key is given when it is made, and whoever loses every
//! key has lost the index.
//!
//! ```
//! # #[cfg(feature = "embedded")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use cim_ipld::{
//!     ContentEncryption, ContentIndex, DocumentMetadata, EncryptionAlgorithm, IndexPersistence, SearchQuery, content_cid,
//! };
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().join("harbour");
//! let key = ContentEncryption::generate_key(EncryptionAlgorithm::ChaCha20Poly1305);
//! let persistence = IndexPersistence::builder().folder(folder).encryption_key(key).open_or_create().await?;
//! let index = ContentIndex::with_persistence(Arc::new(persistence));
//!
//! let text = "A quiet harbour at dawn";
//! let metadata = DocumentMetadata { tags: vec!["sea".into()], ..DocumentMetadata::default() };
//! index.index_document(content_cid(text.as_bytes()), &metadata, Some(text)).await?;
//!
//! let query = SearchQuery { text: Some("harbour".into()), tags: vec!["sea".into()], ..SearchQuery::default() };
//! assert_eq!(index.search(&query).await?.len(), 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "embedded"))]
//! # fn main() {}
//! ```
//!
//! # Features
//!
//! * `embedded` (default): [`IndexPersistenceBuilder::folder`] and the module `embedded`.
//! * `nats` (default): [`IndexPersistence::new`], [`IndexPersistenceBuilder::jetstream`],
//!   `NatsEncryption` and the module `nats`.

mod builder;
mod content_index;
mod index_persistence;
mod search;

pub use cim_ipld_persistence as persistence;
pub use cim_ipld_persistence::{backend, envelope, index};

#[cfg(feature = "embedded")]
pub use cim_ipld_embedded as embedded;

/// NATS JetStream Key-Value as a store, and the client library that it speaks through.
#[cfg(feature = "nats")]
pub mod nats {
    pub use async_nats;
    pub use cim_ipld_nats::*;
}

pub use builder::IndexPersistenceBuilder;
pub use content_index::ContentIndex;
pub use index_persistence::IndexPersistence;
pub use search::{IndexStats, SearchPage, SearchQuery, SearchResult, SearchResultMetadata};

pub use cid::Cid;
#[cfg(feature = "nats")]
pub use cim_ipld_nats::NatsEncryption;
pub use cim_ipld_persistence::envelope::{
    ContentEncryption, EncryptedCidWrapper, EncryptedData, EncryptionAlgorithm, EncryptionKey, HiddenCidWrapper,
    KeySource, Passphrase,
};
pub use cim_ipld_persistence::{
    AudioMetadata, DocumentMetadata, Environment, Error, ErrorKind, FilePin, IgnoredEntries, ImageMetadata, IndexName,
    LoadReport, PinInfo, PinStore, Position, Result, Settings, SnapshotInfo, VerifyReport, VideoMetadata, content_cid,
};

#[cfg(all(doctest, feature = "nats"))]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
mod pages {}
