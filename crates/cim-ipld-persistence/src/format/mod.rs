//! What the engine writes before it is sealed: one module per format, each behind a version byte, each hostile-safe.

pub(crate) mod ancestry;
pub(crate) mod digest;
pub(crate) mod manifest;
pub(crate) mod pin;
pub(crate) mod record;
pub(crate) mod snapshot;
pub(crate) mod window;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

use crate::{Error, ErrorKind, Result};

/// The largest encoded manifest, record or snapshot that is read: bounds what a hostile length can allocate.
pub(crate) const MAX_DECODED_BYTES: usize = 256 << 20;

type Config = Configuration<LittleEndian, Varint, Limit<MAX_DECODED_BYTES>>;

const CONFIG: Config = bincode::config::standard().with_limit::<MAX_DECODED_BYTES>();

fn encode<T: bincode::Encode>(version: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![version];
    bincode::encode_into_std_write(value, &mut bytes, CONFIG)
        .expect("a vector takes every write, and no format fails to encode");
    bytes
}

fn decode<T: bincode::Decode<()>>(what: &str, version: u8, bytes: &[u8]) -> Result<T> {
    let (found, body) = bytes.split_first().ok_or_else(|| damaged(what, "it is empty"))?;
    if *found != version {
        let message = format!("{what} has format version {found}, this software reads version {version}");
        return Err(Error::new(ErrorKind::UnsupportedVersion, message));
    }
    let (value, read) = bincode::decode_from_slice(body, CONFIG).map_err(|error| damaged(what, &error.to_string()))?;
    if read != body.len() {
        return Err(damaged(what, "bytes follow its end"));
    }
    Ok(value)
}

fn damaged(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("{what} cannot be read: {why}"))
}
