use super::{Fields, ObjectKind};
use crate::primitives::hash::{Hash, sha256};
use crate::{Error, IndexId, OBJECT_VERSION, Result};

/// The location of an object. The reader constructs it from where it looked, never from the object
/// itself.
///
/// Together with the index id and the header, it is bound into the key, commitment and tag of the
/// object. An object that was moved, swapped, or replayed from another index or generation cannot
/// be opened.
///
/// ```
/// use cim_ipld_envelope::{Envelope, ErrorKind, IndexId, ObjectContext, ObjectKind, SealOptions};
///
/// let envelope = Envelope::plaintext(IndexId::random());
/// let first = ObjectContext::new("catalog_v1", ObjectKind::MANIFEST, "manifest", 1);
/// let object = envelope.seal(&first, b"state", &SealOptions::default())?;
///
/// let second = ObjectContext { generation: 2, ..first };
/// assert_eq!(envelope.open(&second, &object).unwrap_err().kind(), ErrorKind::Damaged);
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectContext<'a> {
    /// The bucket in which it is stored.
    pub bucket: &'a str,
    /// The kind of object.
    pub kind: ObjectKind,
    /// Its name in the bucket.
    pub name: &'a str,
    /// Distinguishes the successive values of a name; 0 for a name that is written once.
    pub generation: u64,
}

impl<'a> ObjectContext<'a> {
    /// Returns the context of a location.
    #[must_use]
    pub const fn new(bucket: &'a str, kind: ObjectKind, name: &'a str, generation: u64) -> Self {
        Self { bucket, kind, name, generation }
    }

    /// Hashes the canonical encoding of header fields, index and location, which docs/format.md
    /// specifies.
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
    let bytes =
        u16::try_from(text.len()).map_err(|_| Error::limit("a bucket or object name is longer than 65535 bytes"))?;
    Ok(bytes.to_le_bytes())
}
