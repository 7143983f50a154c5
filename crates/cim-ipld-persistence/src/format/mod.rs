//! The plaintext formats of the engine, one module each. Every format except the blocks of digests
//! starts with a version byte, and every decoder is safe to run on hostile input.

pub(crate) mod ancestry;
pub(crate) mod announcement;
pub(crate) mod archive;
pub(crate) mod digest;
pub(crate) mod manifest;
pub(crate) mod name_secret;
pub(crate) mod pin;
pub(crate) mod record;
#[cfg(test)]
mod sizes;
pub(crate) mod snapshot;
pub(crate) mod window;
pub(crate) mod writer_id;

use bincode::BorrowDecode;
use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::SizeWriter;
use bincode::error::DecodeError;

use crate::{Error, ErrorKind, Result};

/// The maximum size of an encoded manifest, record or snapshot, which bounds the allocations that a
/// hostile length can cause.
pub(crate) const MAX_DECODED_BYTES: usize = 256 << 20;

/// The size of the chunks of chunked content.
pub(crate) const CHUNK_BYTES: usize = 128 << 10;

/// The number of chunks that contain [`MAX_DECODED_BYTES`]. A larger count is refused.
pub(crate) const MAX_CHUNKS: u32 = 2048;

/// An upper bound of positions and generations, which keeps later increments from overflowing even
/// if a hostile holder of the key chose the number.
const MAX_COUNT: u64 = 1 << 62;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_DECODED_BYTES>> =
    bincode::config::standard().with_limit::<MAX_DECODED_BYTES>();

fn encode<T: bincode::Encode>(version: u8, value: &T) -> Vec<u8> {
    const NEVER: &str = "a vector takes every write, and no format fails to encode";
    let mut size = SizeWriter::default();
    bincode::encode_into_writer(value, &mut size, CONFIG).expect(NEVER);
    let mut bytes = Vec::with_capacity(1 + size.bytes_written);
    bytes.push(version);
    bincode::encode_into_std_write(value, &mut bytes, CONFIG).expect(NEVER);
    bytes
}

fn decode<'a, T: BorrowDecode<'a, ()>>(what: &str, version: u8, bytes: &'a [u8]) -> Result<T> {
    let (found, body) = bytes.split_first().ok_or_else(|| damaged(what, "it is empty"))?;
    if *found != version {
        let message = format!("{what} has format version {found}, but this software reads version {version} only");
        return Err(Error::new(ErrorKind::UnsupportedVersion, message));
    }
    let (value, read) = decode_bounded(body).map_err(|error| damaged(what, &error.to_string()))?;
    if read != body.len() {
        return Err(damaged(what, "bytes follow its end"));
    }
    Ok(value)
}

/// Decodes with an allocation limit proportional to the length of `body`, because a length prefix
/// allocates before its elements are read. No element takes more than 32 times its encoded size.
fn decode_bounded<'a, T: BorrowDecode<'a, ()>>(body: &'a [u8]) -> Result<(T, usize), DecodeError> {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let standard = bincode::config::standard();
    match body.len() / KIB {
        0..2 => bincode::borrow_decode_from_slice(body, standard.with_limit::<{ 64 * KIB }>()),
        2..16 => bincode::borrow_decode_from_slice(body, standard.with_limit::<{ 512 * KIB }>()),
        16..128 => bincode::borrow_decode_from_slice(body, standard.with_limit::<{ 4 * MIB }>()),
        128..1024 => bincode::borrow_decode_from_slice(body, standard.with_limit::<{ 32 * MIB }>()),
        _ => bincode::borrow_decode_from_slice(body, CONFIG),
    }
}

fn damaged(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("{what} cannot be read: {why}"))
}
