//! Authenticated encryption at rest: self-describing sealed objects, keysets, key rotation,
//! encrypted CID wrappers.
//!
//! Which part to use:
//!
//! * An [`Envelope`] seals the objects of a store, each bound to its place, under a [`Keyset`] of
//!   data keys that can be rotated while the store is in use.
//! * [`ContentEncryption`] encrypts single values under one [`EncryptionKey`], with associated
//!   data.
//! * [`EncryptedCidWrapper`] pairs a CID in clear with encrypted metadata; [`HiddenCidWrapper`]
//!   hides the CID too.
//!
//! This crate knows no storage, no network and no clock: bytes in, sealed bytes out. It reads and
//! writes key files, and nothing else. `docs/format.md` of the project describes every byte it
//! writes; `docs/threat-model.md` says who can learn what.
//!
//! Caution: whoever loses every key of a keyset has lost the store. There is no back door.
//!
//! ```
//! use cim_ipld_envelope::{
//!     EncryptionAlgorithm, EncryptionKey, Envelope, IndexId, KeySource, Keyset, ObjectContext, ObjectKind, SealOptions,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cim_ipld_envelope::Error> {
//! let key = KeySource::from(EncryptionKey::generate(EncryptionAlgorithm::AES256GCM));
//! let keyset = Keyset::create(IndexId::random(), EncryptionAlgorithm::AES256GCM, &key).await?;
//! let envelope = Envelope::encrypted(keyset);
//!
//! let context = ObjectContext::new("catalog_v1", ObjectKind::MANIFEST, "manifest", 1);
//! let object = envelope.seal(&context, b"the manifest", &SealOptions::default())?;
//! assert_eq!(envelope.open(&context, &object)?, "the manifest");
//! # Ok(())
//! # }
//! ```

mod algorithm;
mod codec;
mod content;
mod dag_cbor;
mod envelope;
mod error;
mod hex;
mod id;
mod key;
mod key_file;
mod key_text;
mod keyset;
mod memory;
mod names;
mod object;
mod passphrase;
mod primitives;
mod provider;
mod random;
mod seal_buffer;
mod sealing;
mod secret;
#[cfg(test)]
mod vectors;
mod wrapper;

pub use algorithm::EncryptionAlgorithm;
pub use content::{ContentEncryption, ContentKey, EncryptedData};
pub use envelope::Envelope;
pub use error::{Error, ErrorKind, Result};
pub use id::{DataKeyId, IndexId, SlotId};
pub use key::EncryptionKey;
pub use key_file::FileAccess;
pub use keyset::{
    DataKeyInfo, DataKeyState, KeySlotInfo, KeySlotKind, Keyset, MAX_DATA_KEYS, ROOT_VERSION, Usage, UsageLimits,
};
pub use memory::{MemoryProtection, Protection};
pub use names::ObjectNames;
pub use object::{
    Compression, HEADER_BYTES, MAX_OBJECT_BYTES, OBJECT_VERSION, OVERHEAD_BYTES, ObjectContext, ObjectHeader,
    ObjectKind, Padding, SealOptions,
};
pub use passphrase::{Argon2Profile, MAX_SLOTS, Passphrase};
pub use primitives::hash::labelled_hash;
pub use provider::{KeyProvider, KeySource, ProviderError};
pub use random::random;
pub use seal_buffer::SealBuffer;
pub use wrapper::{CidNames, EncryptedCidWrapper, HiddenCidWrapper};
pub use zeroize::Zeroizing;

/// The code of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
