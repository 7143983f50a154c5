use bincode::de::{BorrowDecoder, Decode};
use bincode::enc::Encoder;
use bincode::error::{AllowedEnumVariants, DecodeError, EncodeError};
use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::announcement::Announcement;
use super::digest::{Digest, ShortDigest};
use super::name_secret::NameSecret;
use super::writer_id::WriterId;
use super::{MAX_CHUNKS, damaged, decode, encode};
use crate::Result;

const VERSION: u8 = 2;

/// The maximum number of writers closed by one record.
pub(crate) const MAX_CLOSED_WRITERS: usize = 16;

/// A journal record, which a writer appends to the order with a single put. Its key contains the
/// writer and the sequence number; its data key determines the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Record<O = Vec<Operation>> {
    /// The number of records that its writer had applied.
    pub(crate) seen: u64,
    /// The generation of the newest manifest known to its writer.
    pub(crate) generation: u64,
    /// Binds the record to that history, see [`attestation`].
    pub(crate) attest: ShortDigest,
    /// Writers that did not end cleanly. None of their records is accepted after this one.
    pub(crate) closes: Vec<WriterId>,
    /// The root that is about to replace the current one.
    pub(crate) announces: Option<Announcement>,
    pub(crate) body: Body<O>,
}

/// The operations of a record, or a reference to them if they do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) enum Body<O = Vec<Operation>> {
    Inline(O),
    /// Encoded operations in `chunk_count` objects of the metadata bucket, named by `secret`.
    Spilled {
        secret: NameSecret,
        chunk_count: u32,
        /// The digest of the encoded operations.
        digest: Digest,
    },
}

/// One change of the index. The bytes of a decoded operation are a slice of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation<B = Bytes> {
    /// Adds the encoded document, or replaces the one with the same CID.
    Put(B),
    /// Removes the document of this binary CID.
    Delete(B),
}

impl Operation {
    /// Returns its approximate size in a record, in bytes.
    pub(crate) fn encoded_bytes(&self) -> usize {
        match self {
            Self::Put(bytes) | Self::Delete(bytes) => bytes.len() + 8,
        }
    }
}

const PUT: u32 = 0;
const DELETE: u32 = 1;

impl<B: AsRef<[u8]>> Encode for Operation<B> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> std::result::Result<(), EncodeError> {
        let (variant, bytes) = match self {
            Self::Put(bytes) => (PUT, bytes),
            Self::Delete(bytes) => (DELETE, bytes),
        };
        variant.encode(encoder)?;
        bytes.as_ref().encode(encoder)
    }
}

impl<'a, C> BorrowDecode<'a, C> for Operation<&'a [u8]> {
    fn borrow_decode<D: BorrowDecoder<'a, Context = C>>(decoder: &mut D) -> std::result::Result<Self, DecodeError> {
        let variant = u32::decode(decoder)?;
        let bytes = <&[u8]>::borrow_decode(decoder)?;
        match variant {
            PUT => Ok(Self::Put(bytes)),
            DELETE => Ok(Self::Delete(bytes)),
            found => Err(DecodeError::UnexpectedVariant {
                type_name: "Operation",
                allowed: &AllowedEnumVariants::Range { min: PUT, max: DELETE },
                found,
            }),
        }
    }
}

impl<O: Encode> Record<O> {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(VERSION, self)
    }
}

impl Record {
    pub(crate) fn from_bytes(bytes: &Bytes) -> Result<Self> {
        let record: Record<Vec<Operation<&[u8]>>> = decode("a journal record", VERSION, bytes)?;
        if record.closes.len() > MAX_CLOSED_WRITERS {
            return Err(damaged("a journal record", "it closes too many writers"));
        }
        if matches!(record.body, Body::Spilled { chunk_count, .. } if chunk_count > MAX_CHUNKS) {
            return Err(damaged("a journal record", "its body has too many chunks"));
        }
        let Record { seen, generation, attest, closes, announces, body } = record;
        let body = match body {
            Body::Inline(operations) => Body::Inline(parts_of(bytes, operations)),
            Body::Spilled { secret, chunk_count, digest } => Body::Spilled { secret, chunk_count, digest },
        };
        Ok(Self { seen, generation, attest, closes, announces, body })
    }
}

/// Returns the attestation of a record: a digest of the order at the position that its writer had
/// applied, and of the manifest of the generation that it knew.
pub(crate) fn attestation(order: ShortDigest, manifest: Digest) -> ShortDigest {
    Digest::of("cim/v1/attestation", &[&order.0, &manifest.0]).short()
}

pub(crate) fn operations_to_bytes(operations: &[Operation]) -> Vec<u8> {
    encode(VERSION, &operations)
}

pub(crate) fn operations_from_bytes(bytes: &Bytes) -> Result<Vec<Operation>> {
    Ok(parts_of(bytes, decode("the body of a journal record", VERSION, bytes)?))
}

/// Makes the operations share `bytes`, from which they were decoded.
fn parts_of(bytes: &Bytes, operations: Vec<Operation<&[u8]>>) -> Vec<Operation> {
    let share = |operation| match operation {
        Operation::Put(part) => Operation::Put(bytes.slice_ref(part)),
        Operation::Delete(part) => Operation::Delete(bytes.slice_ref(part)),
    };
    operations.into_iter().map(share).collect()
}

pub(crate) fn operations_digest(bytes: &[u8]) -> Digest {
    Digest::of("cim/v1/operations", &[bytes])
}
