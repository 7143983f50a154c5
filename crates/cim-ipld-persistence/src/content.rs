use cid::Cid;
use multihash::Multihash;

/// The multicodec of raw bytes.
const RAW: u64 = 0x55;
/// The multicodec of BLAKE3.
const BLAKE3: u64 = 0x1e;

/// Returns the CID of `content`: version 1, codec raw, BLAKE3-256.
///
/// Source: the CID specification (multiformats/cid) and the multicodec table.
///
/// ```
/// let cid = cim_ipld_persistence::content_cid(b"hello");
/// assert_eq!(cid.version(), cid::Version::V1);
/// assert_eq!(cid.codec(), 0x55);
/// ```
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "32 bytes fit a multihash of up to 64")]
pub fn content_cid(content: &[u8]) -> Cid {
    let digest = Multihash::wrap(BLAKE3, blake3::hash(content).as_bytes()).expect("32 bytes fit a multihash");
    Cid::new_v1(RAW, digest)
}
