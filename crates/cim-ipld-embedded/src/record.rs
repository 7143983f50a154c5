//! The encoding of the records of the embedded store. All integers are big-endian.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `meta` | bucket name | last revision (8), bytes of live values (8) |
//! | `keys.<bucket>` | key | revision (8), length of the value (4) |
//! | `values.<bucket>` | revision (8) | length of the key (2), key, value |

use bytes::Bytes;
use cim_ipld_backend::{Entry, Error, ErrorKind, Key, KeyedEntry, Result, Revision};

/// The `meta` record of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BucketRecord {
    pub(crate) last: Revision,
    pub(crate) live_bytes: u64,
}

impl BucketRecord {
    pub(crate) fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.last.number().to_be_bytes());
        bytes[8..].copy_from_slice(&self.live_bytes.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let (last, live_bytes) = bytes.split_first_chunk().ok_or_else(|| damaged("bucket"))?;
        let live_bytes = live_bytes.try_into().map_err(|_| damaged("bucket"))?;
        Ok(Self { last: Revision::new(u64::from_be_bytes(*last)), live_bytes: u64::from_be_bytes(live_bytes) })
    }
}

/// The `keys.<bucket>` record of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    pub(crate) revision: Revision,
    pub(crate) value_bytes: u32,
}

impl KeyRecord {
    pub(crate) fn encode(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&revision_key(self.revision));
        bytes[8..].copy_from_slice(&self.value_bytes.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let (revision, value_bytes) = bytes.split_first_chunk().ok_or_else(|| damaged("key"))?;
        let value_bytes = value_bytes.try_into().map_err(|_| damaged("key"))?;
        Ok(Self {
            revision: Revision::new(u64::from_be_bytes(*revision)),
            value_bytes: u32::from_be_bytes(value_bytes),
        })
    }
}

/// Encodes the key of a value: its revision.
pub(crate) fn revision_key(revision: Revision) -> [u8; 8] {
    revision.number().to_be_bytes()
}

/// Decodes a key written by [`revision_key`].
pub(crate) fn decode_revision(bytes: &[u8]) -> Result<Revision> {
    bytes.try_into().map(u64::from_be_bytes).map(Revision::new).map_err(|_| damaged("revision"))
}

/// Encodes a value and its key.
pub(crate) fn encode_value(key: &Key, value: &[u8]) -> Vec<u8> {
    let name = key.as_str().as_bytes();
    // A key is at most 512 bytes long.
    let length = (name.len() as u16).to_be_bytes();
    [&length[..], name, value].concat()
}

/// Decodes a record written by [`encode_value`] without copying the value.
pub(crate) fn decode_value(revision: Revision, mut bytes: Bytes) -> Result<KeyedEntry> {
    let length = usize::from(u16::from_be_bytes(*bytes.first_chunk().ok_or_else(|| damaged("value"))?));
    if bytes.len() < 2 + length {
        return Err(damaged("value"));
    }
    let name = bytes.split_to(2 + length).split_off(2);
    let key = std::str::from_utf8(&name).ok().and_then(|name| Key::new(name).ok()).ok_or_else(|| damaged("value"))?;
    Ok(KeyedEntry { key, entry: Entry { value: bytes, revision } })
}

fn damaged(record: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a {record} record of the store is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_and_damage_is_detected() {
        let revision = Revision::new(0x0102_0304_0506_0708);
        let bucket = BucketRecord { last: revision, live_bytes: 77 };
        assert_eq!(BucketRecord::decode(&bucket.encode()).unwrap(), bucket);
        let key = KeyRecord { revision, value_bytes: 9 };
        assert_eq!(KeyRecord::decode(&key.encode()).unwrap(), key);
        let name = Key::new("journal.a").unwrap();
        let value = Bytes::from(encode_value(&name, b"value"));
        let found = decode_value(revision, value.clone()).unwrap();
        assert_eq!((found.key, &found.entry.value[..], found.entry.revision), (name, &b"value"[..], revision));

        for cut in 0..16 {
            assert!(BucketRecord::decode(&bucket.encode()[..cut]).is_err());
        }
        for cut in 0..12 {
            assert!(KeyRecord::decode(&key.encode()[..cut]).is_err());
        }
        for cut in 0..11 {
            assert_eq!(decode_value(revision, value.slice(..cut)).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        assert!(decode_value(revision, Bytes::from_static(b"\x00\x02a\xff")).is_err());
    }
}
