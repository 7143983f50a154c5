//! A searchable, encrypted and durable index of IPLD content. This crate is the facade of the
//! cim-ipld crates.
//!
//! # Which part to use
//!
//! * [`ContentIndex`] indexes and searches documents, images, audio and video. With an
//!   [`IndexPersistence`], every acknowledged write is durable; [`ContentIndex::new`] keeps the
//!   index in memory only.
//! * [`IndexPersistence`] stores an index. [`IndexPersistence::new`] uses NATS JetStream;
//!   [`IndexPersistence::builder`] supports any store: a folder, JetStream or a custom backend.
//! * [`ContentEncryption`] generates keys and encrypts single values; [`EncryptedCidWrapper`] pairs
//!   a CID with encrypted metadata; `NatsEncryption` (feature `nats`) configures the encryption of
//!   the server.
//! * The modules [`persistence`], [`index`], [`envelope`], [`backend`], `embedded` and `nats`
//!   re-export the underlying crates.
//!
//! Caution: an index is encrypted only if a key is given when it is created. If all of its keys are
//! lost, the index cannot be decrypted.
//!
//! # How to store an encrypted index in a folder
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
//! # How to page through results
//!
//! A [`SearchPage`] contains the number of all matches and a cursor for the next page of the same
//! query:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cim_ipld::Error> {
//! use cim_ipld::{ContentIndex, DocumentMetadata, SearchQuery, content_cid};
//!
//! let index = ContentIndex::new();
//! for text in ["first harbour", "second harbour", "third harbour"] {
//!     index.index_document(content_cid(text.as_bytes()), &DocumentMetadata::default(), Some(text)).await?;
//! }
//! let mut query = SearchQuery::text("harbour").limit(2);
//! let mut found = 0;
//! loop {
//!     let page = index.search_page(&query).await?;
//!     found += page.results.len();
//!     let Some(next) = page.next else { break };
//!     query = query.after(next);
//! }
//! assert_eq!(found, 3);
//! # Ok(())
//! # }
//! ```
//!
//! # How to back up and restore
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cim_ipld::Error> {
//! use std::sync::Arc;
//!
//! use cim_ipld::backend::MemoryBackend;
//! use cim_ipld::{ContentIndex, DocumentMetadata, IndexPersistence, content_cid};
//!
//! let builder = IndexPersistence::builder().backend(Arc::new(MemoryBackend::new()));
//! let index = ContentIndex::with_persistence(Arc::new(builder.create().await?));
//! index.backup("before import").await?;
//! index.index_document(content_cid(b"1"), &DocumentMetadata::default(), Some("ebb and flow")).await?;
//! index.restore_backup("before import").await?;
//! assert_eq!(index.stats().await?.total_documents, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # How to rotate the key
//!
//! [`IndexPersistence::rotate_encryption_key`] replaces the key without rewriting the index.
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

/// The store on NATS JetStream Key-Value, and the client library that it uses.
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
    AudioMetadata, DocumentMetadata, Environment, Error, ErrorKind, ExportOptions, ExportReport, FilePin,
    IgnoredEntries, ImageMetadata, IndexName, LoadReport, PinInfo, PinStore, Position, Result, Settings, SnapshotInfo,
    VerifyReport, VideoMetadata, content_cid,
};

#[cfg(all(doctest, feature = "nats"))]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
mod pages {}
