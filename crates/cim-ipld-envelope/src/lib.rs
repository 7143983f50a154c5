//! Authenticated encryption at rest: self-describing sealed objects, keysets, key rotation and
//! encrypted CID wrappers.
//!
//! Which part to use:
//!
//! * [`Envelope`] seals the objects of a store, each bound to its location, under a [`Keyset`] of
//!   data keys that can be rotated while the store is in use.
//! * [`ContentEncryption`] encrypts single values under one [`EncryptionKey`], with associated
//!   data.
//! * [`EncryptedCidWrapper`] pairs an unencrypted CID with encrypted metadata; [`HiddenCidWrapper`]
//!   hides the CID too.
//!
//! This crate does not access storage, the network or clocks. The only files that it reads or
//! writes are key and passphrase files. `docs/format.md` of the project specifies every byte that
//! it writes, and `docs/threat-model.md` describes what an attacker can learn.
//!
//! Caution: if every key of a keyset is lost, the store is lost. There is no back door.
//!
//! # Seal and open the objects of a store
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
//!
//! # Encrypt a single value
//!
//! ```
//! use cim_ipld_envelope::{ContentEncryption, EncryptionAlgorithm};
//!
//! let key = ContentEncryption::generate_key(EncryptionAlgorithm::ChaCha20Poly1305);
//! let sealed = ContentEncryption::encrypt(&key, b"secret", b"invoice 7")?;
//! assert_eq!(ContentEncryption::decrypt(&key, &sealed, b"invoice 7")?, b"secret");
//! # Ok::<(), cim_ipld_envelope::Error>(())
//! ```
//!
//! # Change the passphrase, then rotate the data key
//!
//! Each change returns a new keyset, whose record must be stored before the keyset is used.
//!
//! ```
//! # use cim_ipld_envelope::Argon2Profile;
//! use cim_ipld_envelope::{EncryptionAlgorithm, IndexId, KeySource, Keyset, Passphrase};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cim_ipld_envelope::Error> {
//! # let source = |text: &str| {
//! #     Ok::<_, cim_ipld_envelope::Error>(KeySource::Passphrase(Passphrase::new(text)?, Argon2Profile::new(8, 1, 1)?))
//! # };
//! let old = source("correct horse battery staple")?; // KeySource::from(Passphrase::new("…")?)
//! let new = source("many more words than before")?;
//! let keyset = Keyset::create(IndexId::random(), EncryptionAlgorithm::AES256GCM, &old).await?;
//!
//! let changed = keyset.with_slots_replaced(&[new]).await?;
//! let rotated = changed.with_new_data_key(EncryptionAlgorithm::AES256GCM)?;
//! assert!(Keyset::open(rotated.record(), &old).await.is_err());
//! # Ok(())
//! # }
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

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
pub use memory::{MemoryProtection, ProtectionStatus};
pub use names::ObjectNames;
pub use object::{
    Compression, HEADER_BYTES, MAX_OBJECT_BYTES, OBJECT_VERSION, OVERHEAD_BYTES, ObjectContext, ObjectHeader,
    ObjectKind, Padding, SealOptions,
};
pub use passphrase::{Argon2Profile, MAX_SLOTS, Passphrase};
pub use primitives::hash::{content_sha256, labelled_hash};
pub use provider::{KeyProvider, KeySource, ProviderError};
pub use random::random;
pub use seal_buffer::SealBuffer;
pub use wrapper::{CidNames, EncryptedCidWrapper, HiddenCidWrapper};
pub use zeroize::Zeroizing;

/// The code of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
