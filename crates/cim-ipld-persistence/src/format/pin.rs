use bincode::{Decode, Encode};

use super::digest::{Digest, ShortDigest};
use super::{damaged, decode, encode};
use crate::Result;

const VERSION: u8 = 1;

/// Writers that a pin remembers. Whoever opens the index at its place closes them all, so that so
/// many are only there when as many processes ended without a word and without having written
/// anything.
pub(crate) const MAX_PINNED_WRITERS: usize = 1024;

/// The newest state of an index that a process saw, kept outside the store.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PinRecord {
    /// Generation and digest of the newest manifest.
    pub(crate) generation: u64,
    pub(crate) manifest: Digest,
    /// The last position of the order, and its digest there.
    pub(crate) position: u64,
    pub(crate) order: ShortDigest,
    /// Generation and digest of the newest root record.
    pub(crate) keyset_generation: u64,
    pub(crate) root: Digest,
    /// Writers of this place that have not ended in order.
    pub(crate) writers: Vec<u64>,
}

impl PinRecord {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let pin: Self = decode("the pin", VERSION, bytes)?;
        if pin.writers.len() > MAX_PINNED_WRITERS {
            return Err(damaged("the pin", "it remembers too many writers"));
        }
        Ok(pin)
    }
}
