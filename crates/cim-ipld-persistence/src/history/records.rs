//! Seals and opens journal records and their spilled bodies.

use bytes::Bytes;
use cim_ipld_backend::{Key, KeyedEntry};
use cim_ipld_envelope::{ObjectKind, SealOptions};

use super::change::Change;
use super::order::OpenedRecord;
use crate::format::digest::{Digest, ShortDigest};
use crate::format::record::{self, Body, Operation, Record};
use crate::format::writer_id::WriterId;
use crate::objects::chunked::Chunked;
use crate::objects::layout::Layout;
use crate::objects::{Address, Objects, kind};
use crate::{Error, ErrorKind, Result};

fn address<'a>(layout: &'a Layout, key: &'a Key, sequence: u64) -> Address<'a> {
    Address { bucket: &layout.catalog, kind: ObjectKind::JOURNAL, name: key.as_str(), generation: sequence }
}

/// A record as this process sealed it.
#[derive(Clone)]
pub(crate) struct SealedRecord {
    pub(crate) key: Key,
    pub(crate) bytes: Bytes,
    pub(crate) digest: ShortDigest,
    plaintext: Bytes,
}

impl SealedRecord {
    /// Returns whether this is exactly the entry. The same bytes under another key are not a
    /// record.
    pub(crate) fn is(&self, entry: &KeyedEntry) -> bool {
        self.key == entry.key && self.bytes == entry.entry.value
    }
}

pub(crate) fn seal(
    objects: &Objects,
    key: Key,
    sequence: u64,
    record: &Record<&[Operation]>,
    options: &SealOptions,
) -> Result<SealedRecord> {
    let plaintext = Bytes::from(record.to_bytes());
    let bytes = objects.seal(&address(&objects.layout, &key, sequence), &plaintext, options)?;
    Ok(SealedRecord { key, digest: sealed_digest(&bytes), bytes, plaintext })
}

/// Returns the digest of a sealed record, from which the order is computed.
pub(crate) fn sealed_digest(sealed: &[u8]) -> ShortDigest {
    Digest::of("cim/v1/record", &[sealed]).short()
}

/// Opens an entry of the journal.
///
/// # Errors
/// `KeyRotated` if its data key is unknown, `UnsupportedVersion` if a holder of the key wrote it in
/// a newer format, and any other kind if it is not a record.
pub(crate) fn open(objects: &Objects, entry: &KeyedEntry) -> Result<OpenedRecord> {
    let (_, sequence) = place(entry)?;
    let context = address(&objects.layout, &entry.key, sequence);
    // The version in the header is not authenticated until the object is opened.
    let plaintext = objects.root().envelope.open(&context.context(), &entry.entry.value).map_err(|error| {
        let error = Error::from(error);
        match error.kind() {
            ErrorKind::KeyRotated => error,
            _ => {
                let message = format!("{} cannot be decrypted as a journal record", entry.key);
                Error::new(ErrorKind::Damaged, message).with_source(error)
            }
        }
    })?;
    decoded(objects, entry, sealed_digest(&entry.entry.value), &plaintext)
}

/// Opens an entry that is byte for byte the record `sealed` of this process, without hashing or
/// decrypting it again. The caller has checked this with [`SealedRecord::is`].
pub(crate) fn open_own(objects: &Objects, entry: &KeyedEntry, sealed: &SealedRecord) -> Result<OpenedRecord> {
    decoded(objects, entry, sealed.digest, &sealed.plaintext)
}

fn decoded(objects: &Objects, entry: &KeyedEntry, digest: ShortDigest, plaintext: &Bytes) -> Result<OpenedRecord> {
    let (writer, sequence) = place(entry)?;
    let epoch = objects.root().envelope.epoch_of(&entry.entry.value)?;
    let (revision, record) = (entry.entry.revision, Record::from_bytes(plaintext)?);
    Ok(OpenedRecord { writer, sequence, epoch, digest, revision, record })
}

fn place(entry: &KeyedEntry) -> Result<(WriterId, u64)> {
    Layout::parse_record_key(&entry.key)
        .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("{} is not the key of a journal record", entry.key)))
}

/// Returns the changes of a record, fetched from separate objects if they are spilled. Returns
/// `None` if a holder of the key sealed something other than changes; every process then returns
/// `None`.
///
/// # Errors
/// `Lost` or `Damaged` if the store does not hold the spilled body as it was written.
pub(crate) async fn changes(objects: &Objects, body: &Body) -> Result<Option<Vec<Change>>> {
    match body {
        Body::Inline(operations) => readable(decode(operations)),
        Body::Spilled { digest, .. } => {
            let chunked = chunked(body).expect("the body is spilled");
            let bytes = objects.fetch_chunked(&chunked).await?;
            if record::operations_digest(&bytes) != *digest {
                return Err(Error::new(
                    ErrorKind::Damaged,
                    "the body of a journal record differs from the one that the record names",
                ));
            }
            readable(record::operations_from_bytes(&Bytes::from(bytes)).and_then(|operations| decode(&operations)))
        }
    }
}

fn decode(operations: &[Operation]) -> Result<Vec<Change>> {
    operations.iter().map(Change::decode).collect()
}

fn readable(decoded: Result<Vec<Change>>) -> Result<Option<Vec<Change>>> {
    match decoded {
        // The meaning of a change by newer software is unknown.
        Err(error) if error.kind() == ErrorKind::UnsupportedVersion => Err(error),
        decoded => Ok(decoded.ok()),
    }
}

/// Stores operations that do not fit into a record in separate chunks, which the record names.
pub(crate) async fn spill<'a>(
    objects: &Objects,
    operations: &'a [Operation],
    options: &SealOptions,
) -> Result<Body<&'a [Operation]>> {
    let bytes = record::operations_to_bytes(operations);
    let Chunked { secret, chunk_count, .. } = objects.store_chunked(kind::JOURNAL_CHUNK, &bytes, options).await?;
    Ok(Body::Spilled { secret, chunk_count, digest: record::operations_digest(&bytes) })
}

/// Returns the reference to the chunks of a spilled body.
pub(crate) fn chunked(body: &Body) -> Option<Chunked> {
    match body {
        Body::Inline(_) => None,
        Body::Spilled { secret, chunk_count, .. } => {
            Some(Chunked { kind: kind::JOURNAL_CHUNK, secret: *secret, chunk_count: *chunk_count })
        }
    }
}

#[cfg(test)]
mod tests {
    use cim_ipld_backend::{Entry, Revision};

    use super::*;

    #[test]
    fn own_bytes_under_another_key_are_not_the_own_record() {
        let entry = |key: &str, value: &'static [u8]| KeyedEntry {
            key: Key::new(key).expect("a key"),
            entry: Entry { value: Bytes::from_static(value), revision: Revision::new(1) },
        };
        let key = Key::new("journal.0000000000000001.7").expect("a key");
        let bytes = Bytes::from_static(b"sealed");
        let sealed = SealedRecord { key, digest: sealed_digest(&bytes), bytes, plaintext: Bytes::new() };
        for (key, value, is_own) in [
            ("journal.0000000000000001.7", &b"sealed"[..], true),
            ("journal.0000000000000001.8", b"sealed", false),
            ("journal.0000000000000002.7", b"sealed", false),
            ("journal.0000000000000001.7", b"Sealed", false),
            ("journal.0000000000000001.7", b"sealed and more", false),
        ] {
            assert_eq!(sealed.is(&entry(key, value)), is_own, "{key}");
        }
    }
}
