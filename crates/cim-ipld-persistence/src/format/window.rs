use bincode::{Decode, Encode};

use super::announcement::Announcement;
use super::digest::{Digest, ShortDigest};
use super::name_secret::NameSecret;
use super::writer_id::WriterId;
use super::{MAX_CHUNKS, MAX_COUNT, damaged, decode, encode};
use crate::Result;

const VERSION: u8 = 1;

/// The number of positions per block of digests, and the number of positions that a record may lag
/// behind.
pub(crate) const WINDOW_POSITIONS: u64 = 4096;
/// The number of retained blocks of older digests, which cover a million positions.
pub(crate) const RETAINED_BLOCKS: usize = 256;

/// The recent past of the order at a watermark: everything needed to judge later records.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Window {
    /// The position of the watermark, to which the last digest belongs.
    pub(crate) position: u64,
    /// The digests of the order at the last positions, oldest first.
    pub(crate) digests: Vec<ShortDigest>,
    /// The writers that had a record accepted or were closed within the window, by ascending id.
    pub(crate) writers: Vec<WriterEntry>,
    /// The blocks of older digests, oldest first.
    pub(crate) blocks: Vec<DigestBlock>,
    /// The last announced roots, newest last.
    pub(crate) announced: Vec<Announcement>,
}

/// The maximum number of announced roots.
pub(crate) const MAX_ANNOUNCED: usize = 8;

/// The state of a writer in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct WriterEntry {
    pub(crate) id: WriterId,
    /// The highest accepted sequence number, or `None` if it was closed before any record.
    pub(crate) sequence: Option<u64>,
    pub(crate) is_closed: bool,
    /// The position of its last accepted record or of the record that closed it.
    pub(crate) position: u64,
    /// The digest of its last accepted record.
    pub(crate) record: ShortDigest,
}

/// A reference to the digests of [`WINDOW_POSITIONS`] positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct DigestBlock {
    /// The index of the block, which begins at position `index * WINDOW_POSITIONS`.
    pub(crate) index: u64,
    /// The secret from which the object names are derived.
    pub(crate) secret: NameSecret,
    /// The number of chunks in which the content is stored.
    pub(crate) chunk_count: u32,
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
            && window.blocks.is_sorted_by(|one, two| one.index < two.index);
        let bounded = window.position < MAX_COUNT
            && (1..=window.position.saturating_add(1)).contains(&(window.digests.len() as u64))
            && window.writers.iter().all(|writer| writer.position <= window.position)
            && window.blocks.len() <= RETAINED_BLOCKS
            && window.blocks.iter().all(|block| block.index <= window.position && block.chunk_count <= MAX_CHUNKS)
            && window.announced.len() <= MAX_ANNOUNCED;
        if !sorted || !bounded {
            return Err(damaged(WHAT, "its entries are inconsistent"));
        }
        Ok(window)
    }
}

pub(crate) fn window_digest(bytes: &[u8]) -> Digest {
    Digest::of("cim/v1/window", &[bytes])
}

/// Encodes a block as the concatenation of its digests. The encoding needs no version, because the
/// object kind and the digest in the window authenticate the content.
pub(crate) fn block_to_bytes(digests: &[ShortDigest]) -> Vec<u8> {
    digests.iter().flat_map(|digest| digest.0).collect()
}

pub(crate) fn block_from_bytes(bytes: &[u8], positions: u64) -> Result<Vec<ShortDigest>> {
    if bytes.len() as u64 != positions * 16 {
        return Err(damaged("a block of the digests of the order", "its length is wrong"));
    }
    Ok(bytes.chunks_exact(16).map(|chunk| ShortDigest(chunk.try_into().expect("16 bytes"))).collect())
}

pub(crate) fn block_digest(bytes: &[u8]) -> Digest {
    Digest::of("cim/v1/order-chunk", &[bytes])
}
