use crate::primitives::aead::TAG_BYTES;
use crate::sealing::{COMMITMENT_BYTES, Commitment, SALT_BYTES, Salt, Tag};
use crate::{DataKeyId, EncryptionAlgorithm, Error, ErrorKind, ObjectKind, Result};

const MAGIC: &[u8; 4] = b"CIMO";

/// The version of the object format that this build writes, and the newest that it reads.
pub const OBJECT_VERSION: u8 = 1;

/// The size of an object's header: magic, version, suite, flags, kind, key id, salt, commitment.
pub const HEADER_BYTES: usize = HEADER_PREFIX_BYTES + COMMITMENT_BYTES;

/// The size of the header without its commitment.
pub(crate) const HEADER_PREFIX_BYTES: usize = 16 + SALT_BYTES;

const PLAINTEXT_SUITE: u8 = 0;
const FLAG_COMPRESSED: u8 = 1;
const FLAG_PADDED: u8 = 2;

/// The unencrypted header of an object. Nothing in it is authenticated until the object is opened.
///
/// ```
/// use cim_ipld_envelope::{Envelope, IndexId, ObjectContext, ObjectHeader, ObjectKind, SealOptions};
///
/// let envelope = Envelope::plaintext(IndexId::random());
/// let context = ObjectContext::new("catalog_v1", ObjectKind::MANIFEST, "manifest", 1);
/// let object = envelope.seal(&context, b"content", &SealOptions::default())?;
/// let header = ObjectHeader::parse(&object)?;
/// assert_eq!(header.kind(), ObjectKind::MANIFEST);
/// assert_eq!(header.key_id(), None);
/// # Ok::<(), cim_ipld_envelope::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectHeader {
    fields: Fields,
}

impl ObjectHeader {
    /// Parses the header of an object.
    ///
    /// # Errors
    ///
    /// * [`Damaged`](ErrorKind::Damaged) if the bytes are not an object.
    /// * [`UnsupportedVersion`](ErrorKind::UnsupportedVersion) if they were written in a newer
    ///   format.
    pub fn parse(object: &[u8]) -> Result<Self> {
        Ok(Self { fields: ParsedHeader::read(object)?.fields })
    }

    /// Returns the kind of the object.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        self.fields.kind
    }

    /// Returns the algorithm, or `None` for an object of a plaintext store.
    #[must_use]
    pub fn algorithm(&self) -> Option<EncryptionAlgorithm> {
        self.fields.algorithm
    }

    /// Returns the id of the data key with which the object was sealed, or `None` for an object of
    /// a plaintext store.
    #[must_use]
    pub fn key_id(&self) -> Option<DataKeyId> {
        self.fields.algorithm.map(|_| self.fields.key_id)
    }

    /// Returns whether the content is compressed.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.fields.compressed
    }

    /// Returns whether the content is padded to a size class.
    #[must_use]
    pub fn is_padded(&self) -> bool {
        self.fields.padded
    }
}

/// The header fields before salt and commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    /// `None` for the plaintext suite, whose key id is all zeros.
    pub(crate) algorithm: Option<EncryptionAlgorithm>,
    pub(crate) compressed: bool,
    pub(crate) padded: bool,
    pub(crate) kind: ObjectKind,
    pub(crate) key_id: DataKeyId,
}

impl Fields {
    pub(crate) fn suite(&self) -> u8 {
        self.algorithm.map_or(PLAINTEXT_SUITE, EncryptionAlgorithm::suite)
    }

    pub(crate) fn flags(&self) -> u8 {
        (u8::from(self.compressed) * FLAG_COMPRESSED) | (u8::from(self.padded) * FLAG_PADDED)
    }

    /// Encodes everything before the commitment.
    pub(crate) fn encode(&self, salt: &Salt) -> [u8; HEADER_PREFIX_BYTES] {
        let mut prefix = [0; HEADER_PREFIX_BYTES];
        prefix[..4].copy_from_slice(MAGIC);
        prefix[4..8].copy_from_slice(&[OBJECT_VERSION, self.suite(), self.flags(), self.kind.0]);
        prefix[8..16].copy_from_slice(self.key_id.as_bytes());
        prefix[16..].copy_from_slice(salt);
        prefix
    }
}

struct ParsedHeader {
    fields: Fields,
    salt: Salt,
    commitment: Commitment,
}

impl ParsedHeader {
    fn read(object: &[u8]) -> Result<Self> {
        let not_an_object = || Error::damaged("the object");
        // The version is checked before the size, because a newer header may be shorter.
        let Some(&[m0, m1, m2, m3, version]) = object.first_chunk() else {
            return Err(not_an_object());
        };
        if [m0, m1, m2, m3] != *MAGIC {
            return Err(not_an_object());
        }
        if version > OBJECT_VERSION {
            return Err(Error::unsupported("the object", version, OBJECT_VERSION));
        }
        let header: &[u8; HEADER_BYTES] = object.first_chunk().ok_or_else(not_an_object)?;
        let [suite, flags, kind] = *header[5..].first_chunk().expect("3 of 67 bytes");
        let known = version == OBJECT_VERSION && flags & !(FLAG_COMPRESSED | FLAG_PADDED) == 0;
        if !known {
            return Err(not_an_object());
        }
        let algorithm = match suite {
            PLAINTEXT_SUITE => None,
            suite => Some(EncryptionAlgorithm::from_suite(suite).ok_or_else(not_an_object)?),
        };
        let fields = Fields {
            algorithm,
            compressed: flags & FLAG_COMPRESSED != 0,
            padded: flags & FLAG_PADDED != 0,
            kind: ObjectKind(kind),
            key_id: DataKeyId::from_bytes(*header[8..].first_chunk().expect("8 of 64 bytes")),
        };
        let salt = *header[16..].first_chunk().expect("24 of 56 bytes");
        let commitment = *header[HEADER_PREFIX_BYTES..].first_chunk().expect("32 of 32 bytes");
        Ok(Self { fields, salt, commitment })
    }
}

/// The parts of an object, not yet authenticated.
pub(crate) struct ParsedObject {
    pub(crate) fields: Fields,
    pub(crate) salt: Salt,
    pub(crate) commitment: Commitment,
    pub(crate) tag: Tag,
    /// The size of the ciphertext after the header.
    pub(crate) body_bytes: usize,
}

impl ParsedObject {
    pub(crate) fn read(object: &[u8]) -> Result<Self> {
        let ParsedHeader { fields, salt, commitment } = ParsedHeader::read(object)?;
        let rest = &object[HEADER_BYTES..];
        let (body_bytes, tag) = if fields.algorithm.is_some() {
            let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or_else(|| Error::damaged("the object"))?;
            (body.len(), *tag)
        } else {
            if fields.key_id.as_bytes() != &[0; 8] || salt != [0; SALT_BYTES] {
                return Err(Error::damaged("the object"));
            }
            (rest.len(), [0; TAG_BYTES])
        };
        if body_bytes > super::MAX_BODY_BYTES {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("the object of {body_bytes} bytes exceeds the limit of {}", super::MAX_BODY_BYTES),
            ));
        }
        Ok(Self { fields, salt, commitment, tag, body_bytes })
    }
}
