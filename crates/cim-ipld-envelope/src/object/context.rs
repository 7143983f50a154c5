use super::{Fields, ObjectKind};
use crate::primitives::hash::{Hash, sha256};
use crate::{Error, IndexId, OBJECT_VERSION, Result};

/// The place an object stands at. The reader rebuilds it from where it looked, never from the
/// object.
///
/// Together with the index id and the header it is bound into the object's key, commitment and tag,
/// so an object that is moved, swapped with another, or replayed from another index or generation
/// does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectContext<'a> {
    /// The bucket it is stored in.
    pub bucket: &'a str,
    /// What it is.
    pub kind: ObjectKind,
    /// Its name within the bucket.
    pub name: &'a str,
    /// Tells apart the values that one name holds over time; 0 where a name is written once.
    pub generation: u64,
}

impl<'a> ObjectContext<'a> {
    /// Names a place.
    #[must_use]
    pub const fn new(bucket: &'a str, kind: ObjectKind, name: &'a str, generation: u64) -> Self {
        Self { bucket, kind, name, generation }
    }

    /// Hashes the canonical encoding of header fields, index and place; docs/format.md gives it
    /// byte by byte.
    pub(crate) fn hash(&self, index: &IndexId, fields: &Fields) -> Result<Hash> {
        let bucket_bytes = length(self.bucket)?;
        let name_bytes = length(self.name)?;
        let mut fixed = [0; 49];
        fixed[..13].copy_from_slice(b"cim/v1/object");
        fixed[13..17].copy_from_slice(&[OBJECT_VERSION, fields.suite(), fields.flags(), self.kind.0]);
        fixed[17..25].copy_from_slice(fields.key_id.as_bytes());
        fixed[25..41].copy_from_slice(index.as_bytes());
        fixed[41..].copy_from_slice(&self.generation.to_le_bytes());
        Ok(sha256(&[&fixed, &bucket_bytes, self.bucket.as_bytes(), &name_bytes, self.name.as_bytes()]))
    }
}

fn length(text: &str) -> Result<[u8; 2]> {
    let bytes = u16::try_from(text.len()).map_err(|_| Error::limit("a bucket or object name is over 65535 bytes"))?;
    Ok(bytes.to_le_bytes())
}
