use bincode::{Decode, Encode};

use super::announcement::Announcement;
use super::digest::{Digest, ShortDigest};
use super::{MAX_CHUNKS, damaged, decode, encode};
use crate::Result;

const VERSION: u8 = 2;

/// The maximum number of writers closed by one record.
pub(crate) const MAX_CLOSED_WRITERS: usize = 16;

/// A journal record, which a writer appends to the order by one put. Its key contains the writer
/// and the sequence number; its data key determines the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Record {
    /// The number of records that its writer had applied.
    pub(crate) seen: u64,
    /// The generation of the newest manifest known to its writer.
    pub(crate) generation: u64,
    /// Binds the record to that history, see [`attestation`].
    pub(crate) attest: ShortDigest,
    /// Writers that did not end cleanly. None of their records is accepted after this one.
    pub(crate) closes: Vec<u64>,
    /// The root that is about to replace the current one.
    pub(crate) announces: Option<Announcement>,
    pub(crate) body: Body,
}

/// The operations of a record, or a reference to them if they do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Body {
    Inline(Vec<Operation>),
    /// Encoded operations in `chunks` objects of the metadata bucket, named by `secret`.
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
    /// Removes the document of this binary CID.
    Delete(Vec<u8>),
}

impl Operation {
    /// Returns its approximate size in a record, in bytes.
    pub(crate) fn encoded_bytes(&self) -> usize {
        match self {
            Self::Put(bytes) | Self::Delete(bytes) => bytes.len() + 8,
        }
    }
}

impl Record {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }

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

/// Returns the attestation of a record: a digest of the order at the position that its writer had
/// applied, and of the manifest of the generation that it knew.
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
