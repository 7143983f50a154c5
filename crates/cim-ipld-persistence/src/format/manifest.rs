use std::collections::HashSet;

use bincode::{Decode, Encode};
use cim_ipld_index::{AnalyzerSpec, MAX_SEGMENT_DOCUMENTS};

use super::ancestry::Ancestry;
use super::digest::{Digest, ShortDigest};
use super::name_secret::NameSecret;
use super::writer_id::WriterId;
use super::{MAX_CHUNKS, MAX_COUNT, damaged, decode, encode};
use crate::Result;

const VERSION: u8 = 4;

/// The state of an index at a position of its order, as a list of segments. The current state also
/// includes the later journal records.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Manifest {
    /// Increases by one with every manifest.
    pub(crate) generation: u64,
    /// The digest of the sealed previous manifest; zeros in the first.
    pub(crate) parent: Digest,
    /// The digests of all previous manifests, the older ones in separate node objects.
    pub(crate) ancestry: Ancestry,
    pub(crate) watermark: Watermark,
    /// The previous watermark. Records up to it may have been removed from the journal.
    pub(crate) previous_position: u64,
    /// The number of garbage collections that may have removed objects. An object that was stored
    /// before this number increased, and that no manifest named by then, may be gone.
    pub(crate) collections: u64,
    /// The epoch of the order at the watermark. No record or manifest of an older epoch may follow.
    pub(crate) epoch: u64,
    /// The generation of the keyset when this was sealed. A root with a lower keyset generation
    /// than this is treated as a rollback.
    pub(crate) keyset_generation: u64,
    /// The digest of the root record of that generation.
    pub(crate) root_digest: Digest,
    /// The window of the order at the watermark, in a separate object. `None` before the first
    /// record.
    pub(crate) window: Option<WindowEntry>,
    /// The secret that hides the names of snapshots from the store. It never changes.
    pub(crate) names_secret: NameSecret,
    /// The encoded description of the analyzer. It never changes.
    pub(crate) analyzer: Vec<u8>,
    /// Oldest first.
    pub(crate) segments: Vec<SegmentEntry>,
    /// Oldest first. A snapshot exists if and only if it is named here. A snapshot record that is
    /// not named here was left by a crash; one that is named but missing is lost.
    pub(crate) snapshots: Vec<SnapshotEntry>,
}

/// The position of the order up to which the segments contain every record, and nothing after it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Watermark {
    pub(crate) position: u64,
    /// The digest of the order at that position.
    pub(crate) digest: ShortDigest,
    /// The record at that position, where a replay starts; `None` before the first record.
    pub(crate) record: Option<RecordMark>,
}

/// A hint for finding a record. If the record is no longer under that revision, because the store
/// renumbered its entries or the record was stored again, a replay starts at the beginning of the
/// journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RecordMark {
    pub(crate) writer: WriterId,
    pub(crate) sequence: u64,
    /// The revision under which it was accepted.
    pub(crate) revision: u64,
    /// The digest of the sealed record.
    pub(crate) digest: ShortDigest,
}

/// The reference to the window of the order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct WindowEntry {
    /// The secret from which the chunk names are derived.
    pub(crate) secret: NameSecret,
    pub(crate) chunk_count: u32,
    /// The digest of the content.
    pub(crate) digest: Digest,
}

/// The reference to the record of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SnapshotEntry {
    /// The keyed hash of its name.
    pub(crate) hidden_name: String,
    /// A random id, so that the key of the record is never reused.
    pub(crate) id: [u8; 16],
    /// The digest of the record's content.
    pub(crate) digest: Digest,
}

/// A segment, with everything needed to name, open and authenticate its pages.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SegmentEntry {
    pub(crate) id: [u8; 16],
    /// The secret from which the page names are derived, see `ObjectNames` of the envelope.
    pub(crate) secret: NameSecret,
    /// The page class and number of pages of each class in use.
    pub(crate) pages: Vec<(u8, u32)>,
    /// The digest of the table of page digests, which is stored with the pages.
    pub(crate) digests: Digest,
    pub(crate) documents: u32,
    pub(crate) bytes: u64,
    pub(crate) deletes: Option<DeletesEntry>,
}

/// The reference to the deletes of a segment. Deletes are replaced by new objects, never modified.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct DeletesEntry {
    /// The secret from which the chunk names are derived.
    pub(crate) secret: NameSecret,
    pub(crate) chunk_count: u32,
    pub(crate) documents: u32,
    /// The digest of the content.
    pub(crate) digest: Digest,
}

impl SegmentEntry {
    /// Returns the number of documents that are not deleted.
    pub(crate) fn live_documents(&self) -> u64 {
        let deleted = self.deletes.as_ref().map_or(0, |deletes| deletes.documents);
        u64::from(self.documents.saturating_sub(deleted))
    }
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
            && manifest.collections < manifest.generation
            && (manifest.watermark.position == 0) == manifest.watermark.record.is_none()
            && (manifest.watermark.position == 0) == manifest.window.is_none()
            && manifest.window.as_ref().is_none_or(|window| window.chunk_count <= MAX_CHUNKS);
        if !is_consistent {
            return Err(damaged(WHAT, "its numbers are inconsistent"));
        }
        manifest.analyzer()?;
        check_segments(WHAT, &manifest.segments)?;
        let names: HashSet<&str> = manifest.snapshots.iter().map(|entry| entry.hidden_name.as_str()).collect();
        if names.len() != manifest.snapshots.len() {
            return Err(damaged(WHAT, "it names a snapshot twice"));
        }
        Ok(manifest)
    }

    /// Returns the description of the analyzer.
    pub(crate) fn analyzer(&self) -> Result<AnalyzerSpec> {
        Ok(AnalyzerSpec::from_bytes(&self.analyzer)?)
    }
}

/// Refuses counts that exceed the declared size of the segments, so that the cost of processing an
/// entry is bounded by that size.
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
            && (deletes.documents > entry.documents || deletes.chunk_count > deletes.documents.saturating_add(1))
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
