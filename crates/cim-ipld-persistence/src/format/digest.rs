use std::fmt;

use bincode::{Decode, Encode};
use cim_ipld_envelope::labelled_hash;

/// The SHA-256 digest of a sealed object or its content, with a distinct label for each use.
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

/// The first 16 bytes of a [`Digest`], which provide 128 bits of second-preimage resistance. A
/// collision, which takes 2^64 work, helps only a holder of the key, who can write arbitrary
/// records anyway.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub(crate) struct ShortDigest(pub(crate) [u8; 16]);

impl fmt::Debug for ShortDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0[..8].try_into().expect("8 of 16 bytes")))
    }
}
