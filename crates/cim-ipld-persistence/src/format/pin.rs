use bincode::{Decode, Encode};

use super::digest::{Digest, ShortDigest};
use super::writer_id::WriterId;
use super::{damaged, decode, encode};
use crate::Result;

const VERSION: u8 = 1;

/// The maximum number of writers in a pin. Each process, before its first write, closes those that
/// it found on opening. The maximum is therefore reached only if that many processes share the pin
/// at the same time, or crash one after another without a successful write.
pub(crate) const MAX_PINNED_WRITERS: usize = 1024;

/// The newest state of an index that a process has seen, stored outside the store.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PinRecord {
    /// The generation and digest of the newest manifest.
    pub(crate) generation: u64,
    pub(crate) manifest: Digest,
    /// The last position of the order and its digest.
    pub(crate) position: u64,
    pub(crate) order: ShortDigest,
    /// The generation and digest of the newest root record.
    pub(crate) keyset_generation: u64,
    pub(crate) root: Digest,
    /// Writers that have not ended cleanly.
    pub(crate) writers: Vec<WriterId>,
}

impl PinRecord {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let pin: Self = decode("the pin", VERSION, bytes)?;
        if pin.writers.len() > MAX_PINNED_WRITERS {
            return Err(damaged("the pin", "it names too many writers"));
        }
        Ok(pin)
    }
}
