use bincode::{Decode, Encode};

use super::digest::Digest;
use super::manifest::{SegmentEntry, check_segments};
use super::{decode, encode};
use crate::Result;

const VERSION: u8 = 2;

/// A named list of the segments of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SnapshotRecord {
    pub(crate) name: String,
    /// Unix milliseconds.
    pub(crate) created_at_ms: i64,
    pub(crate) documents: u64,
    /// The position of the order up to which it contains every record.
    pub(crate) position: u64,
    pub(crate) segments: Vec<SegmentEntry>,
}

impl SnapshotRecord {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let record: Self = decode("a snapshot", VERSION, bytes)?;
        check_segments("a snapshot", &record.segments)?;
        Ok(record)
    }
}

pub(crate) fn snapshot_digest(bytes: &[u8]) -> Digest {
    Digest::of("cim/v1/snapshot", &[bytes])
}
