use bincode::{Decode, Encode};

use super::announcement::Announcement;
use super::digest::{Digest, ShortDigest};
use super::{MAX_CHUNKS, damaged, decode, encode};
use crate::Result;

const VERSION: u8 = 2;

/// Identities that one record may close.
pub(crate) const MAX_CLOSED_WRITERS: usize = 16;

/// One record of the journal: what a writer adds to the order by one put. Its key holds the writer
/// and the sequence number, its sealing tells the epoch. A writer's has its operations borrowed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Record<O = Vec<Operation>> {
    /// How many records its writer had applied.
    pub(crate) seen: u64,
    /// Generation of the newest manifest that its writer knew.
    pub(crate) generation: u64,
    /// Binds the record to that past: see [`attestation`].
    pub(crate) attest: ShortDigest,
    /// Writers that ended without a word: no record of theirs is accepted after this one.
    pub(crate) closes: Vec<u64>,
    /// The root that is about to replace the present one.
    pub(crate) announces: Option<Announcement>,
    pub(crate) body: Body<O>,
}

/// The operations of a record, or where they are when they do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Body<O = Vec<Operation>> {
    Inline(O),
    /// Encoded operations, cut into `chunks` objects of the metadata bucket named by `secret`.
    Spilled {
        secret: [u8; 32],
        chunks: u32,
        /// The digest of the encoded operations.
        digest: Digest,
    },
}

/// One change of the index.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Operation {
    /// Adds the encoded document, or replaces the one of the same CID.
    Put(Vec<u8>),
    /// Removes the document of this CID, in its binary form.
    Delete(Vec<u8>),
}

impl Operation {
    /// About the bytes it takes in a record.
    pub(crate) fn encoded_bytes(&self) -> usize {
        match self {
            Self::Put(bytes) | Self::Delete(bytes) => bytes.len() + 8,
        }
    }
}

impl<O: Encode> Record<O> {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }
}

impl Record {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let record: Self = decode("a journal record", VERSION, bytes)?;
        if record.closes.len() > MAX_CLOSED_WRITERS {
            return Err(damaged("a journal record", "it closes too many writers"));
        }
        if matches!(record.body, Body::Spilled { chunks, .. } if chunks > MAX_CHUNKS) {
            return Err(damaged("a journal record", "its body has too many chunks"));
        }
        Ok(record)
    }
}

/// What a record says of its past: the order at the position it had applied, and the manifest of
/// the generation it knew.
pub(crate) fn attestation(order: ShortDigest, manifest: Digest) -> ShortDigest {
    Digest::of("cim/v1/attestation", &[&order.0, &manifest.0]).short()
}

pub(crate) fn operations_to_bytes(operations: &[Operation]) -> Vec<u8> {
    encode(VERSION, &operations)
}

pub(crate) fn operations_from_bytes(bytes: &[u8]) -> Result<Vec<Operation>> {
    decode("the body of a journal record", VERSION, bytes)
}

pub(crate) fn operations_digest(bytes: &[u8]) -> Digest {
    Digest::of("cim/v1/operations", &[bytes])
}
