//! Decoding the records of a damaged store; shared by the tests here and by the fuzz target in
//! `fuzz/`.

#[allow(dead_code, reason = "not every item of the module is used here")]
#[path = "../../../src/record.rs"]
mod record;

use bytes::Bytes;
use cim_ipld_backend::{ErrorKind, Revision};
use record::{BucketRecord, KeyRecord};

/// Decodes the record whose kind the first byte selects; an accepted record encodes to the same
/// bytes again.
pub(crate) fn embedded_record(data: &[u8]) -> bool {
    let Some((kind, record)) = data.split_first() else { return false };
    let decoded = match kind % 4 {
        0 => BucketRecord::decode(record).map(|decoded| decoded.encode().to_vec()),
        1 => KeyRecord::decode(record).map(|decoded| decoded.encode().to_vec()),
        2 => record::decode_revision(record).map(|decoded| record::revision_key(decoded).to_vec()),
        _ => record::decode_value(Revision::new(7), Bytes::copy_from_slice(record)).map(|decoded| {
            assert_eq!(decoded.entry.revision, Revision::new(7));
            record::encode_value(&decoded.key, &decoded.entry.value)
        }),
    };
    match decoded {
        Ok(encoded) => {
            assert_eq!(encoded, record);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            false
        }
    }
}
