use std::collections::HashSet;

use bincode::{Decode, Encode};

use super::digest::Digest;
use super::manifest::{SegmentEntry, SnapshotEntry, check_segments};
use super::{MAX_COUNT, damaged, decode, encode};
use crate::Result;

const ROOT_VERSION: u8 = 1;
const DIRECTORY_VERSION: u8 = 1;

/// The maximum number of blocks that one directory describes.
pub(crate) const MAX_DIRECTORY_ENTRIES: usize = 256;

/// The maximum number of earlier archives that an archive builds on.
pub(crate) const MAX_BASES: usize = 64;

/// The first block of an archive after the root record: everything about the archived state except
/// the immutable objects, which are the other blocks.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ArchiveRoot {
    /// A random id. The directories of the archive are sealed under it, so that those of another
    /// archive cannot take their place.
    pub(crate) id: [u8; 16],
    /// The name of the index, which is a part of the names of its buckets.
    pub(crate) index_name: Option<String>,
    /// Unix milliseconds.
    pub(crate) created_at_ms: i64,
    /// The digest of the root record.
    pub(crate) root: Digest,
    /// The sealed manifest at the time of the export. The manifest of an import descends from it.
    pub(crate) manifest: Vec<u8>,
    /// The content of the window of the order that the manifest names.
    pub(crate) window: Option<Vec<u8>>,
    /// The segments of the archived state: those of the manifest, or of one of its snapshots.
    pub(crate) segments: Vec<SegmentEntry>,
    /// The number of live documents in those segments.
    pub(crate) documents: u64,
    /// The snapshots of the index that the archive includes.
    pub(crate) snapshots: Vec<ArchivedSnapshot>,
    /// The SHA-256 digests of the archive roots of earlier archives, which hold the blocks that
    /// this archive lacks.
    pub(crate) bases: Vec<[u8; 32]>,
}

/// A snapshot in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ArchivedSnapshot {
    pub(crate) entry: SnapshotEntry,
    /// The encoded record.
    pub(crate) record: Vec<u8>,
}

/// Describes the blocks that follow it in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Directory {
    pub(crate) entries: Vec<DirectoryEntry>,
    /// The number of blocks described by this directory and the earlier ones.
    pub(crate) blocks: u64,
    /// Whether the archive ends with the blocks of this directory.
    pub(crate) is_last: bool,
}

/// An object of the index that is a block of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct DirectoryEntry {
    pub(crate) place: Place,
    /// The SHA-256 digest of the block.
    pub(crate) digest: [u8; 32],
}

/// What an object is and where a store holds it, independently of the name of the index.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Place {
    pub(crate) bucket: ArchivedBucket,
    /// The kind of the object, see `ObjectKind` of the envelope.
    pub(crate) kind: u8,
    /// The generation in the context under which the object was sealed.
    pub(crate) generation: u64,
    pub(crate) key: String,
}

/// A bucket of immutable objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub(crate) enum ArchivedBucket {
    Text,
    Tag,
    Type,
    Metadata,
}

impl ArchiveRoot {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(ROOT_VERSION, self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        const WHAT: &str = "the root block of an archive";
        let root: Self = decode(WHAT, ROOT_VERSION, bytes)?;
        check_segments(WHAT, &root.segments)?;
        let ids: HashSet<[u8; 16]> = root.snapshots.iter().map(|snapshot| snapshot.entry.id).collect();
        if ids.len() != root.snapshots.len() {
            return Err(damaged(WHAT, "it names a snapshot twice"));
        }
        if root.bases.len() > MAX_BASES {
            return Err(damaged(WHAT, "it names too many earlier archives"));
        }
        Ok(root)
    }
}

impl Directory {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(DIRECTORY_VERSION, self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        const WHAT: &str = "a directory of an archive";
        let directory: Self = decode(WHAT, DIRECTORY_VERSION, bytes)?;
        let entries = directory.entries.len() as u64;
        if directory.entries.len() > MAX_DIRECTORY_ENTRIES
            || !(entries..MAX_COUNT).contains(&directory.blocks)
            || (entries == 0 && !directory.is_last)
        {
            return Err(damaged(WHAT, "its numbers are inconsistent"));
        }
        Ok(directory)
    }
}
