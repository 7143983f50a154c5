//! A split-block Bloom filter over CIDs.
//!
//! Each key sets one bit in each of the eight words of a 32-byte block (Putze, Sanders and Singler,
//! "Cache-, Hash- and Space-Efficient Bloom Filters", 2007; the layout of Apache Parquet's
//! filters). With twelve bits per key, about one lookup in two hundred is a false positive.

use super::stream::PagedBytes;
use crate::error::Result;

const BLOCK_BYTES: u64 = 32;
const BITS_PER_KEY: u64 = 12;

/// Odd constants that distribute the key over the words of a block.
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// Returns the filter of keys with these hashes, as the bytes of its stream.
pub(super) fn build(hashes: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let len = stream_len(hashes.len() as u32);
    let blocks = len / BLOCK_BYTES;
    let mut bytes = vec![0; len as usize];
    for hash in hashes {
        let start = (block_of(hash, blocks) * BLOCK_BYTES) as usize;
        for (word, bit) in bits(hash).into_iter().enumerate() {
            bytes[start + word * 4 + usize::from(bit / 8)] |= 1 << (bit % 8);
        }
    }
    bytes
}

/// Returns the length of the stream for this many keys.
pub(super) fn stream_len(keys: u32) -> u64 {
    (u64::from(keys) * BITS_PER_KEY).div_ceil(BLOCK_BYTES * 8) * BLOCK_BYTES
}

/// Returns the range of the key's block in the stream.
pub(super) fn range_of(key: &[u8], stream_len: u64) -> std::ops::Range<u64> {
    let blocks = stream_len / BLOCK_BYTES;
    let start = block_of(hash(key), blocks) * BLOCK_BYTES;
    start..start + BLOCK_BYTES
}

/// Returns whether the key may be present, given the block at [`range_of`].
pub(super) fn may_contain(block: &PagedBytes, key: &[u8]) -> Result<bool> {
    let block = block.slice(0..BLOCK_BYTES as usize)?;
    Ok(bits(hash(key))
        .into_iter()
        .enumerate()
        .all(|(word, bit)| block[word * 4 + usize::from(bit / 8)] & 1 << (bit % 8) != 0))
}

fn block_of(hash: u64, blocks: u64) -> u64 {
    ((hash >> 32) * blocks) >> 32
}

/// Returns the bit (0 to 31) in each word of the block.
fn bits(hash: u64) -> [u8; 8] {
    SALTS.map(|salt| ((hash as u32).wrapping_mul(salt) >> 27) as u8)
}

/// FNV-1a with MurmurHash3's finalizer. It is part of the format and never changes.
pub(crate) fn hash(key: &[u8]) -> u64 {
    let mut hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(filter: &[u8], key: &[u8]) -> bool {
        let range = range_of(key, filter.len() as u64);
        let block = &filter[range.start as usize..range.end as usize];
        bits(hash(key))
            .into_iter()
            .enumerate()
            .all(|(word, bit)| block[word * 4 + usize::from(bit / 8)] & 1 << (bit % 8) != 0)
    }

    #[test]
    fn every_key_is_found_and_few_others_are() {
        let keys: Vec<[u8; 8]> = (0..10_000u64).map(u64::to_le_bytes).collect();
        let filter = build(keys.iter().map(|key| hash(key)));
        assert!(keys.iter().all(|key| contains(&filter, key)));
        let wrong = (10_000..110_000u64).filter(|other| contains(&filter, &other.to_le_bytes())).count();
        assert!(wrong < 1000, "{wrong} of 100,000");
    }
}
