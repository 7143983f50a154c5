use bincode::{Decode, Encode};

use super::announcement::Announcement;
use super::digest::{Digest, ShortDigest};
use super::{MAX_CHUNKS, MAX_COUNT, damaged, decode, encode};
use crate::Result;

const VERSION: u8 = 1;

/// Positions of which digests are kept together, and the number of positions that a record may lag
/// behind.
pub(crate) const WINDOW_POSITIONS: u64 = 4096;
/// Chunks of older digests that are retained: a million positions.
pub(crate) const RETAINED_CHUNKS: usize = 256;

/// The order's recent past as of a watermark: all that judging later records needs of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Window {
    /// The position of the watermark, which the last digest belongs to.
    pub(crate) position: u64,
    /// The digests of the order at the last positions, oldest first.
    pub(crate) digests: Vec<ShortDigest>,
    /// Writers of whom a record was accepted, or who were closed, within the last positions, by
    /// ascending id.
    pub(crate) writers: Vec<WriterEntry>,
    /// Older digests, oldest first.
    pub(crate) chunks: Vec<DigestChunk>,
    /// The roots that were announced last, the newest last.
    pub(crate) announced: Vec<Announcement>,
}

/// Announced roots that are remembered.
pub(crate) const MAX_ANNOUNCED: usize = 8;

/// What the order knows of one writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct WriterEntry {
    pub(crate) id: u64,
    /// The highest sequence number accepted, or `None` when it was closed before any was.
    pub(crate) sequence: Option<u64>,
    pub(crate) is_closed: bool,
    /// The position of its last accepted record, or of the record that closed it.
    pub(crate) position: u64,
    /// The digest of its last accepted record.
    pub(crate) record: ShortDigest,
}

/// The digests of [`WINDOW_POSITIONS`] positions, in an object of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct DigestChunk {
    /// Its number: it begins at position `number * WINDOW_POSITIONS`.
    pub(crate) number: u64,
    /// Names the objects.
    pub(crate) secret: [u8; 32],
    pub(crate) chunks: u32,
    /// The digest of the content.
    pub(crate) digest: Digest,
}

impl Window {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        const WHAT: &str = "the window of the order";
        let window: Self = decode(WHAT, VERSION, bytes)?;
        let sorted = window.writers.is_sorted_by(|one, two| one.id < two.id)
            && window.chunks.is_sorted_by(|one, two| one.number < two.number);
        let bounded = window.position < MAX_COUNT
            && (1..=window.position.saturating_add(1)).contains(&(window.digests.len() as u64))
            && window.writers.iter().all(|writer| writer.position <= window.position)
            && window.chunks.len() <= RETAINED_CHUNKS
            && window.chunks.iter().all(|chunk| chunk.number <= window.position && chunk.chunks <= MAX_CHUNKS)
            && window.announced.len() <= MAX_ANNOUNCED;
        if !sorted || !bounded {
            return Err(damaged(WHAT, "its entries contradict each other"));
        }
        Ok(window)
    }
}

pub(crate) fn window_digest(bytes: &[u8]) -> Digest {
    Digest::of("cim/v1/window", &[bytes])
}

/// The content of a chunk is its digests, one after the other, without a version: its kind and its
/// digest in the window authenticate what it is.
pub(crate) fn chunk_to_bytes(digests: &[ShortDigest]) -> Vec<u8> {
    digests.iter().flat_map(|digest| digest.0).collect()
}

pub(crate) fn chunk_from_bytes(bytes: &[u8], positions: u64) -> Result<Vec<ShortDigest>> {
    if bytes.len() as u64 != positions * 16 {
        return Err(damaged("a chunk of the order's digests", "its length is wrong"));
    }
    Ok(bytes.chunks_exact(16).map(|chunk| ShortDigest(chunk.try_into().expect("16 bytes"))).collect())
}

pub(crate) fn chunk_digest(bytes: &[u8]) -> Digest {
    Digest::of("cim/v1/order-chunk", &[bytes])
}
