//! The catalog's objects, opened: the root, the manifest, journal records.

use bytes::Bytes;
use cim_ipld_backend::{Entry, Key, KeyedEntry, Precondition};
use cim_ipld_envelope::{ObjectKind, ObjectNames, SealOptions, random};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::format::manifest::Manifest;
use crate::format::record::{self, Body, Operation, Record};
use crate::layout::Layout;
use crate::objects::{Address, Objects, kind};
use crate::state::ManifestVersion;
use crate::{Error, ErrorKind, Result};

pub(crate) fn manifest_address(layout: &Layout) -> Address<'_> {
    Address { bucket: &layout.catalog, kind: ObjectKind::MANIFEST, name: layout.manifest.as_str(), generation: 0 }
}

pub(crate) fn open_manifest(objects: &Objects, entry: &Entry) -> Result<ManifestVersion> {
    let opened = objects.open(&manifest_address(&objects.layout), entry.value.clone())?;
    let manifest = Manifest::from_bytes(&opened)?;
    Ok(ManifestVersion { manifest, revision: entry.revision, hash: *blake3::hash(&entry.value).as_bytes() })
}

pub(crate) fn seal_manifest(objects: &Objects, manifest: &Manifest) -> Result<Bytes> {
    objects.seal(&manifest_address(&objects.layout), &manifest.to_bytes(), &SealOptions::default())
}

pub(crate) async fn read_manifest(objects: &Objects) -> Result<ManifestVersion> {
    let address = manifest_address(&objects.layout);
    let entry = objects.read(&address).await?.ok_or_else(|| address.lost())?;
    open_manifest(objects, &entry)
}

fn record_address<'a>(layout: &'a Layout, key: &'a Key, sequence: u64) -> Address<'a> {
    Address { bucket: &layout.catalog, kind: ObjectKind::JOURNAL, name: key.as_str(), generation: sequence }
}

pub(crate) fn seal_record(
    objects: &Objects,
    key: &Key,
    sequence: u64,
    record: &Record,
    options: &SealOptions,
) -> Result<Bytes> {
    objects.seal(&record_address(&objects.layout, key, sequence), &record.to_bytes(), options)
}

pub(crate) fn open_record(objects: &Objects, entry: KeyedEntry) -> Result<Record> {
    let KeyedEntry { key, entry } = entry;
    let sequence = Layout::record_sequence(&key)
        .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("{key} stands in the journal and is no journal key")))?;
    Record::from_bytes(&objects.open(&record_address(&objects.layout, &key, sequence), entry.value)?)
}

/// The operations of a record, fetched when they were too many to stand in it.
pub(crate) async fn operations(objects: &Objects, body: Body) -> Result<Vec<Operation>> {
    match body {
        Body::Inline(operations) => Ok(operations),
        Body::Spilled { secret, chunks } => {
            let chunks: Vec<Bytes> = stream::iter(chunk_names(secret, chunks))
                .map(|name| async move { objects.fetch(&chunk_address(&objects.layout, &name)).await })
                .buffered(4)
                .try_collect()
                .await?;
            record::operations_from_bytes(&chunks.concat())
        }
    }
}

/// Stores operations that are too large for one record as chunks that the record then names.
pub(crate) async fn spill(objects: &Objects, operations: &[Operation], options: &SealOptions) -> Result<Body> {
    let bytes = record::operations_to_bytes(operations);
    let limits = objects.backend.limits();
    let parts: Vec<&[u8]> = bytes.chunks(limits.preferred_value_bytes.min(limits.max_value_bytes / 2)).collect();
    let chunks = u32::try_from(parts.len())
        .map_err(|_| Error::new(ErrorKind::InvalidInput, "a batch of this size cannot be written: split it"))?;
    let secret = random();
    stream::iter(chunk_names(secret, chunks).zip(parts).map(Ok))
        .try_for_each_concurrent(4, |(name, part)| async move {
            let sealed = objects.seal(&chunk_address(&objects.layout, &name), part, options)?;
            objects.write(&objects.layout.metadata, &Key::new(&name)?, sealed, Precondition::Absent).await.map(|_| ())
        })
        .await?;
    Ok(Body::Spilled { secret, chunks })
}

/// The keys of the chunks that a record names, to be removed with it.
pub(crate) fn chunk_keys(body: &Body) -> Result<Vec<Key>> {
    match body {
        Body::Inline(_) => Ok(Vec::new()),
        Body::Spilled { secret, chunks } => chunk_names(*secret, *chunks).map(|name| Ok(Key::new(&name)?)).collect(),
    }
}

fn chunk_names(secret: [u8; 32], chunks: u32) -> impl Iterator<Item = String> {
    let names = ObjectNames::from_secret(secret);
    (0..chunks).map(move |chunk| names.name(0, chunk))
}

fn chunk_address<'a>(layout: &'a Layout, name: &'a str) -> Address<'a> {
    Address { bucket: &layout.metadata, kind: kind::JOURNAL_CHUNK, name, generation: 0 }
}
