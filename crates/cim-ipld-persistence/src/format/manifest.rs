use std::collections::HashSet;

use bincode::{Decode, Encode};
use cim_ipld_index::{AnalyzerSpec, MAX_SEGMENT_DOCUMENTS};

use super::ancestry::Ancestry;
use super::digest::{Digest, ShortDigest};
use super::{MAX_CHUNKS, MAX_COUNT, damaged, decode, encode};
use crate::Result;

const VERSION: u8 = 3;

/// The state of an index as of a position of its order: which segments it has. Journal records
/// after that position complete it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Manifest {
    /// Grows by one with every manifest.
    pub(crate) generation: u64,
    /// The digest of the sealed manifest before this one; zeros in the first.
    pub(crate) parent: Digest,
    /// Digests of all manifests before this one, the older ones in nodes that are objects of their
    /// own.
    pub(crate) ancestry: Ancestry,
    pub(crate) watermark: Watermark,
    /// The watermark position before this one: records up to it may be gone from the journal.
    pub(crate) previous_position: u64,
    /// The epoch of the order at the watermark: no record or manifest of an older one may follow.
    pub(crate) epoch: u64,
    /// The generation of the keyset that was current when this was sealed: an older root was rolled
    /// back.
    pub(crate) keyset_generation: u64,
    /// The digest of the root record of that generation.
    pub(crate) root_digest: Digest,
    /// The order's recent past at the watermark, in an object of its own; `None` before the first
    /// record.
    pub(crate) window: Option<WindowEntry>,
    /// Hides the names of snapshots from the store; the same in all manifests of an index.
    pub(crate) names_secret: [u8; 32],
    /// The bytes of the description of what cuts texts and queries into words; the same in all
    /// manifests of an index.
    pub(crate) analyzer: Vec<u8>,
    /// Oldest first.
    pub(crate) segments: Vec<SegmentEntry>,
    /// Oldest first. A snapshot exists when it is named here: a record that is not is what a crash
    /// left, one that is named and missing is lost.
    pub(crate) snapshots: Vec<SnapshotEntry>,
}

/// A position of the order that the segments contain: everything up to it, and nothing after it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Watermark {
    pub(crate) position: u64,
    /// The digest of the order at that position.
    pub(crate) digest: ShortDigest,
    /// The record at that position, where a replay starts; `None` before the first record.
    pub(crate) record: Option<RecordMark>,
}

/// Finds a record again. It is a hint: where the record is no longer under that revision, as in a
/// store that numbered its entries anew or where somebody put it again, a replay starts at the
/// beginning of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RecordMark {
    pub(crate) writer: u64,
    pub(crate) sequence: u64,
    /// The revision under which it was accepted.
    pub(crate) revision: u64,
    /// The digest of the sealed record.
    pub(crate) digest: ShortDigest,
}

/// Where the order's recent past is stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct WindowEntry {
    /// Names the chunks.
    pub(crate) secret: [u8; 32],
    pub(crate) chunks: u32,
    /// The digest of the content.
    pub(crate) digest: Digest,
}

/// Where the record of a snapshot is stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SnapshotEntry {
    /// The keyed hash of its name.
    pub(crate) hidden_name: String,
    /// Drawn for this very record, so that its key is never used again.
    pub(crate) id: [u8; 16],
    /// The digest of the record's content.
    pub(crate) digest: Digest,
}

/// One segment: what is needed to name, open and authenticate each of its pages.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SegmentEntry {
    pub(crate) id: [u8; 16],
    /// Names the pages: see `ObjectNames` of the envelope.
    pub(crate) secret: [u8; 32],
    /// (page class, number of pages) of each class that has any.
    pub(crate) pages: Vec<(u8, u32)>,
    /// The digest of the table of the pages' digests, which stands beside the pages.
    pub(crate) digests: Digest,
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
    /// The digest of the content.
    pub(crate) digest: Digest,
}

impl Manifest {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        const WHAT: &str = "the manifest";
        let manifest: Self = decode(WHAT, VERSION, bytes)?;
        manifest.ancestry.check()?;
        let is_consistent = (1..MAX_COUNT).contains(&manifest.generation)
            && manifest.watermark.position < MAX_COUNT
            && manifest.ancestry.generations() == manifest.generation - 1
            && manifest.previous_position <= manifest.watermark.position
            && (manifest.watermark.position == 0) == manifest.watermark.record.is_none()
            && (manifest.watermark.position == 0) == manifest.window.is_none()
            && manifest.window.as_ref().is_none_or(|window| window.chunks <= MAX_CHUNKS);
        if !is_consistent {
            return Err(damaged(WHAT, "its numbers contradict each other"));
        }
        manifest.analyzer()?;
        check_segments(WHAT, &manifest.segments)?;
        let names: HashSet<&str> = manifest.snapshots.iter().map(|entry| entry.hidden_name.as_str()).collect();
        if names.len() != manifest.snapshots.len() {
            return Err(damaged(WHAT, "it names a snapshot twice"));
        }
        Ok(manifest)
    }

    /// Returns the description of what cuts texts and queries into words.
    pub(crate) fn analyzer(&self) -> Result<AnalyzerSpec> {
        Ok(AnalyzerSpec::from_bytes(&self.analyzer)?)
    }
}

/// Refuses counts that the declared bytes of the segments cannot justify: what follows from an
/// entry costs no more than its segment claims to be.
pub(crate) fn check_segments(what: &str, segments: &[SegmentEntry]) -> Result<()> {
    let (mut ids, mut bytes) = (HashSet::new(), 0_u64);
    for entry in segments {
        bytes = bytes.saturating_add(entry.bytes);
        let (mut pages, mut classes) = (0_u64, HashSet::new());
        for (class, count) in &entry.pages {
            pages += u64::from(*count);
            if !classes.insert(*class) {
                return Err(damaged(what, "a segment counts a class of pages twice"));
            }
        }
        if pages > entry.bytes {
            return Err(damaged(what, &format!("a segment of {} bytes claims {pages} pages", entry.bytes)));
        }
        if entry.documents > MAX_SEGMENT_DOCUMENTS {
            return Err(damaged(what, &format!("a segment claims {} documents", entry.documents)));
        }
        if let Some(deletes) = &entry.deletes
            && (deletes.documents > entry.documents || deletes.chunks > deletes.documents.saturating_add(1))
        {
            return Err(damaged(what, "a segment claims more deletes than it has documents"));
        }
        if !ids.insert(entry.id) {
            return Err(damaged(what, "it names a segment twice"));
        }
    }
    if bytes >= MAX_COUNT {
        return Err(damaged(what, &format!("its segments claim {bytes} bytes")));
    }
    Ok(())
}
