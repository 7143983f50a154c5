use bincode::{Decode, Encode};

use super::{decode, encode};
use crate::Result;

const VERSION: u8 = 1;

/// The state of an index as of a watermark: which segments it has. Journal records after the watermark complete it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Manifest {
    /// Grows by one with every manifest.
    pub(crate) generation: u64,
    /// BLAKE3 of the sealed manifest before this one; zeros in the first.
    pub(crate) previous: [u8; 32],
    pub(crate) watermark: Watermark,
    /// Hides the names of snapshots from the store; the same in all manifests of an index.
    pub(crate) names_secret: [u8; 32],
    /// Oldest first.
    pub(crate) segments: Vec<SegmentEntry>,
    /// Oldest first. A snapshot exists when it is named here: a record that is not is what a crash left, one that is named
    /// and missing is lost.
    pub(crate) snapshots: Vec<SnapshotEntry>,
}

/// Where the record of a snapshot stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SnapshotEntry {
    /// The keyed hash of its name.
    pub(crate) hidden_name: String,
    /// Drawn for this very record, so that its key is never used again.
    pub(crate) id: [u8; 16],
}

/// Up to which revision the journal is contained in the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Watermark {
    At(u64),
    /// The manifest's own revision: a restore, which ends everything before it.
    Own,
}

/// One segment: what is needed to name and open each of its pages.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SegmentEntry {
    pub(crate) id: [u8; 16],
    /// Names the pages: see `ObjectNames` of the envelope.
    pub(crate) secret: [u8; 32],
    /// (page class, number of pages) of each class that has any.
    pub(crate) pages: Vec<(u8, u32)>,
    pub(crate) documents: u32,
    pub(crate) bytes: u64,
    pub(crate) deletes: Option<DeletesEntry>,
}

/// The deletes of a segment: objects that are replaced by new ones under new names, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct DeletesEntry {
    /// Names the chunks.
    pub(crate) secret: [u8; 32],
    pub(crate) chunks: u32,
    pub(crate) documents: u32,
}

impl Manifest {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        decode("the manifest", VERSION, bytes)
    }
}
