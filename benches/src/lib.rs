//! Documents for benchmarks, the same on every machine. Run the benchmarks with
//! `cargo bench -p cim-ipld-benches`.

pub mod rng;
pub mod synthetic;

use cid::Cid;
use multihash::Multihash;

/// Returns the CID (raw, BLAKE3) of some bytes.
///
/// # Panics
///
/// Never: a digest of 32 bytes fits into a multihash of 64.
pub fn cid_of(bytes: &[u8]) -> Cid {
    const RAW: u64 = 0x55;
    const BLAKE3: u64 = 0x1e;
    let digest = Multihash::wrap(BLAKE3, blake3::hash(bytes).as_bytes()).expect("32 bytes fit a multihash of 64");
    Cid::new_v1(RAW, digest)
}
