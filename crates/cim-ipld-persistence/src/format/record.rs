use bincode::{Decode, Encode};

use super::{decode, encode};
use crate::Result;

const VERSION: u8 = 1;

/// One record of the journal: what a writer added to the catalog by one put.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Record {
    /// Revision of this writer's previous record, 0 in its first.
    pub(crate) previous: u64,
    /// Revision of the newest record of any writer that this one had applied.
    pub(crate) seen: u64,
    /// Generation of the newest manifest that this writer had applied.
    pub(crate) generation: u64,
    pub(crate) body: Body,
}

/// The operations of a record, or where they are when they do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Body {
    Inline(Vec<Operation>),
    /// Encoded operations, cut into `chunks` objects of the metadata bucket named by `secret`.
    Spilled {
        secret: [u8; 32],
        chunks: u32,
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

impl Record {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        decode("a journal record", VERSION, bytes)
    }
}

pub(crate) fn operations_to_bytes(operations: &[Operation]) -> Vec<u8> {
    encode(VERSION, &operations)
}

pub(crate) fn operations_from_bytes(bytes: &[u8]) -> Result<Vec<Operation>> {
    decode("the body of a journal record", VERSION, bytes)
}
