//! The root record, which declares a store encrypted or plaintext and, if encrypted, contains its
//! keyset.

use std::collections::HashSet;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::data_key::{DataKey, DataKeyState, KeyEntry};
use super::slot::Slot;
use super::usage::Usage;
use super::{MAX_DATA_KEYS, Opened};
use crate::MAX_SLOTS;
use crate::codec::Reader;
use crate::primitives::hash::{HASH_BYTES, Hash, sha256};
use crate::primitives::hkdf;
use crate::sealing::{Mismatch, Place};
use crate::secret::{SECRET_BYTES, Secret};
use crate::{DataKeyId, EncryptionAlgorithm, Error, IndexId, Result};

const MAGIC: &[u8; 4] = b"CIMR";

/// The version of the root record that this build writes, and the newest that it reads.
pub const ROOT_VERSION: u8 = 1;

const MODE_PLAINTEXT: u8 = 0;
const MODE_ENCRYPTED: u8 = 1;

/// A parsed root record that is intact, but not authenticated.
pub(crate) enum Root {
    Plaintext(IndexId),
    Encrypted(SealedKeyset),
}

/// A keyset that has not been opened.
pub(crate) struct SealedKeyset {
    pub(crate) index: IndexId,
    pub(crate) generation: u64,
    pub(crate) algorithm: EncryptionAlgorithm,
    pub(crate) slots: Vec<Slot>,
    /// The hash of everything before the sealed body, to which the body is bound.
    context: Hash,
    body: Vec<u8>,
}

/// Encodes the root record of a plaintext store.
pub(crate) fn encode_plaintext(index: &IndexId) -> Vec<u8> {
    let mut record = start(MODE_PLAINTEXT, index);
    finish(&mut record);
    record
}

/// Decodes a root record and verifies its digest.
pub(crate) fn decode(record: &[u8]) -> Result<Root> {
    let damaged = || Error::damaged("the store's root record");
    // Magic and version are checked first, because a newer version may change everything else,
    // including size and digest.
    if record.first_chunk() != Some(MAGIC) {
        return Err(damaged());
    }
    match record.get(4) {
        Some(&version) if version > ROOT_VERSION => {
            return Err(Error::unsupported("the store's root record", version, ROOT_VERSION));
        }
        Some(&ROOT_VERSION) => {}
        _ => return Err(damaged()),
    }
    let (content, digest) = record.split_last_chunk::<HASH_BYTES>().ok_or_else(damaged)?;
    if sha256(&[content]) != *digest {
        return Err(damaged());
    }
    let mut reader = Reader::new(content.get(5..).ok_or_else(damaged)?);
    decode_content(&mut reader, content).ok_or_else(damaged)
}

fn decode_content(reader: &mut Reader<'_>, content: &[u8]) -> Option<Root> {
    let mode = reader.u8()?;
    if reader.u16()? != 0 {
        return None;
    }
    let index = IndexId::from_bytes(reader.array()?);
    let root = match mode {
        MODE_PLAINTEXT => Root::Plaintext(index),
        MODE_ENCRYPTED => Root::Encrypted(decode_encrypted(reader, content, index)?),
        _ => return None,
    };
    reader.finished()?;
    Some(root)
}

fn decode_encrypted(reader: &mut Reader<'_>, content: &[u8], index: IndexId) -> Option<SealedKeyset> {
    let generation = reader.u64().filter(|&generation| generation > 0)?;
    let algorithm = EncryptionAlgorithm::from_suite(reader.u8()?)?;
    let count = usize::from(reader.u8()?);
    if !(1..=MAX_SLOTS).contains(&count) {
        return None;
    }
    let slots = (0..count).map(|_| Slot::decode(reader)).collect::<Option<Vec<_>>>()?;
    if !unique(slots.iter().map(|slot| slot.id)) {
        return None;
    }
    let context = body_context(&content[..content.len() - reader.remaining()]);
    let body_bytes = reader.u32()?;
    let body = reader.take(body_bytes as usize)?.to_vec();
    Some(SealedKeyset { index, generation, algorithm, slots, context, body })
}

impl SealedKeyset {
    /// Opens the data keys with the keyset key from a slot or from an older keyset. `other_key` is
    /// the error for a body that was sealed under a different keyset key.
    pub(crate) fn open(self, keyset_key: Arc<Secret>, other_key: impl FnOnce() -> Error) -> Result<Opened> {
        let damaged = || Error::damaged("the keyset");
        let root = body_root(&keyset_key);
        let place = Place { root: &root, algorithm: self.algorithm, context: &self.context };
        let body = place.open_blob(&self.body).map_err(|mismatch| match mismatch {
            Mismatch::Commitment => other_key(),
            Mismatch::Tag => damaged(),
        })?;
        let keys = decode_keys(&body).ok_or_else(damaged)?;
        Ok(Opened {
            index: self.index,
            generation: self.generation,
            algorithm: self.algorithm,
            slots: self.slots,
            keys,
            keyset_key,
        })
    }
}

impl Opened {
    /// Encodes the root record and seals the data keys again.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut record = start(MODE_ENCRYPTED, &self.index);
        record.extend_from_slice(&self.generation.to_le_bytes());
        let count = u8::try_from(self.slots.len()).expect("slots are bounded when added");
        record.extend_from_slice(&[self.algorithm.suite(), count]);
        for slot in &self.slots {
            slot.encode(&mut record);
        }
        let context = body_context(&record);
        let root = body_root(&self.keyset_key);
        let mut body = Vec::new();
        Place { root: &root, algorithm: self.algorithm, context: &context }
            .seal_blob(&encode_keys(&self.keys), &mut body);
        let body_bytes = u32::try_from(body.len()).expect("data keys are bounded when added");
        record.extend_from_slice(&body_bytes.to_le_bytes());
        record.extend_from_slice(&body);
        finish(&mut record);
        record
    }
}

fn start(mode: u8, index: &IndexId) -> Vec<u8> {
    let mut record = MAGIC.to_vec();
    record.extend_from_slice(&[ROOT_VERSION, mode, 0, 0]);
    record.extend_from_slice(index.as_bytes());
    record
}

/// The digest distinguishes accidental damage from a wrong key; the sealing protects against
/// manipulation.
fn finish(record: &mut Vec<u8>) {
    let digest = sha256(&[record]);
    record.extend_from_slice(&digest);
}

fn body_context(before_body: &[u8]) -> Hash {
    sha256(&[b"cim/v1/keyset", before_body])
}

fn body_root(keyset_key: &Secret) -> Secret {
    hkdf::derive_secret(b"cim/v1/keyset", keyset_key.as_bytes(), &[])
}

const KEY_ENTRY_BYTES: usize = 8 + 1 + 1 + 8 + 8 + 8 + SECRET_BYTES;

fn encode_keys(keys: &[KeyEntry]) -> Zeroizing<Vec<u8>> {
    // Allocates the full capacity at once, because growing would leave copies of the keys in
    // memory.
    let mut out = Zeroizing::new(Vec::with_capacity(2 + keys.len() * KEY_ENTRY_BYTES));
    let count = u16::try_from(keys.len()).expect("data keys are bounded when added");
    out.extend_from_slice(&count.to_le_bytes());
    for entry in keys {
        out.extend_from_slice(entry.id.as_bytes());
        let state = match entry.state {
            DataKeyState::Active => 1,
            DataKeyState::DecryptOnly => 2,
            DataKeyState::Destroyed => 3,
        };
        out.extend_from_slice(&[entry.algorithm.suite(), state]);
        for number in [entry.since_generation, entry.recorded.seals, entry.recorded.blocks] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        match &entry.key {
            Some(key) => out.extend_from_slice(key.secret().as_bytes()),
            None => out.extend_from_slice(&[0; SECRET_BYTES]),
        }
    }
    out
}

fn decode_keys(body: &[u8]) -> Option<Vec<KeyEntry>> {
    let mut reader = Reader::new(body);
    let count = usize::from(reader.u16()?);
    if count > MAX_DATA_KEYS || reader.remaining() != count * KEY_ENTRY_BYTES {
        return None;
    }
    let keys = (0..count).map(|_| decode_key(&mut reader)).collect::<Option<Vec<_>>>()?;
    let active = keys.iter().filter(|entry| entry.state == DataKeyState::Active).count();
    (active == 1 && unique(keys.iter().map(|entry| entry.id))).then_some(keys)
}

/// Returns whether all ids are distinct, so that an id always refers to one entry.
fn unique<T: Eq + std::hash::Hash>(ids: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    ids.into_iter().all(|id| seen.insert(id))
}

fn decode_key(reader: &mut Reader<'_>) -> Option<KeyEntry> {
    let id = DataKeyId::from_bytes(reader.array()?);
    let algorithm = EncryptionAlgorithm::from_suite(reader.u8()?)?;
    let state = match reader.u8()? {
        1 => DataKeyState::Active,
        2 => DataKeyState::DecryptOnly,
        3 => DataKeyState::Destroyed,
        _ => return None,
    };
    let since_generation = reader.u64()?;
    let recorded = Usage { seals: reader.u64()?, blocks: reader.u64()? };
    let mut secret = Zeroizing::new(reader.array::<SECRET_BYTES>()?);
    let key = match state {
        DataKeyState::Destroyed if *secret != [0; SECRET_BYTES] => return None,
        DataKeyState::Destroyed => None,
        _ => Some(DataKey::new(algorithm, Secret::take(&mut secret)).into()),
    };
    Some(KeyEntry { id, algorithm, state, since_generation, recorded, included: Usage::default(), key })
}
