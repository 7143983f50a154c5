use std::fmt;

use bincode::{Decode, Encode};
use cim_ipld_envelope::labelled_hash;

/// SHA-256 of a sealed object or of the content of one, under a label of its own for each use.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl Digest {
    pub(crate) fn of(label: &str, parts: &[&[u8]]) -> Self {
        Self(labelled_hash(label, parts))
    }

    pub(crate) fn short(&self) -> ShortDigest {
        let mut short = [0; 16];
        short.copy_from_slice(&self.0[..16]);
        ShortDigest(short)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.short(), f)
    }
}

/// The first 16 bytes of a [`Digest`]: 128 bits against whoever would need a second object of the
/// same digest. Two objects of one digest, which 2^64 work finds, can only be made by a holder of a
/// key, who may write what it likes anyway.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub(crate) struct ShortDigest(pub(crate) [u8; 16]);

impl fmt::Debug for ShortDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0[..8].try_into().expect("8 of 16 bytes")))
    }
}
