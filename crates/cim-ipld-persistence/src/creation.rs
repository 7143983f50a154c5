//! Making an index: the root first, then the first manifest. A creation that a crash cut off between the two is finished
//! by the next one.

use std::sync::Arc;
use std::time::Duration;

use cim_ipld_backend::{Backend, Bucket, Key, KeyPrefix, Precondition, Revision};
use cim_ipld_envelope::{EncryptionAlgorithm, Envelope, IndexId, KeySource, Keyset, random};
use futures::StreamExt;

use crate::format::manifest::{Manifest, Watermark};
use crate::layout::Layout;
use crate::objects::Objects;
use crate::opening::Protection;
use crate::{Error, ErrorKind, Result, catalog};

/// Makes an index of `protection` in buckets that are there. Of several processes that do so at the same moment, the one
/// whose manifest stands has made it.
pub(crate) async fn create(
    backend: Arc<dyn Backend>,
    layout: Layout,
    protection: Protection,
    write_timeout: Duration,
) -> Result<Objects> {
    let envelope = new_envelope(&protection).await?;
    let mut objects = Objects::new(backend, layout, envelope, write_timeout);
    let root = objects.envelope().root_record();
    let written = objects.write(&objects.layout.catalog, &objects.layout.root, root, Precondition::Absent).await;
    match written {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            if !is_unfinished(&*objects.backend, &objects.layout).await? {
                return Err(exists());
            }
            let envelope = begun_envelope(&objects, &protection).await?;
            objects = Objects::new(objects.backend, objects.layout, envelope, write_timeout);
        }
        other => drop(other?),
    }
    let first = Manifest {
        generation: 1,
        previous: [0; 32],
        watermark: Watermark::At(0),
        names_secret: random(),
        segments: Vec::new(),
        snapshots: Vec::new(),
    };
    let sealed = catalog::seal_manifest(&objects, &first)?;
    let written = objects.write(&objects.layout.catalog, &objects.layout.manifest, sealed, Precondition::Absent).await;
    match written {
        Err(error) if error.kind() == ErrorKind::Conflict => Err(exists()),
        other => other.map(|_| objects),
    }
}

/// Tells whether there is a root and nothing else: an index whose creation was cut off, or is under way. Where anything
/// else is left, a manifest that is missing is lost.
pub(crate) async fn is_unfinished(backend: &dyn Backend, layout: &Layout) -> Result<bool> {
    if backend.get(&layout.catalog, &layout.manifest).await?.is_some() {
        return Ok(false);
    }
    for bucket in layout.buckets() {
        let root = (bucket == &layout.catalog).then_some(&layout.root);
        if has_other_than(backend, bucket, root).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn has_other_than(backend: &dyn Backend, bucket: &Bucket, known: Option<&Key>) -> Result<bool> {
    let mut entries = backend.scan(bucket, &KeyPrefix::all(), Revision::ZERO);
    while let Some(entry) = entries.next().await {
        if known != Some(&entry?.key) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn new_envelope(protection: &Protection) -> Result<Envelope> {
    Ok(match protection {
        Protection::Encrypted { algorithm, key } => {
            Envelope::encrypted(Keyset::create(IndexId::random(), *algorithm, key).await?)
        }
        Protection::Plaintext => Envelope::plaintext(IndexId::random()),
    })
}

/// Opens the root of a creation that was begun. It is never replaced: whoever began may be about to seal a manifest
/// under it.
async fn begun_envelope(objects: &Objects, protection: &Protection) -> Result<Envelope> {
    let (algorithm, key): (Option<EncryptionAlgorithm>, Option<&KeySource>) = match protection {
        Protection::Encrypted { algorithm, key } => (Some(*algorithm), Some(key)),
        Protection::Plaintext => (None, None),
    };
    let root = objects.backend.get(&objects.layout.catalog, &objects.layout.root).await?.ok_or_else(exists)?;
    let envelope = Envelope::open_root(&root.value, key).await?;
    let begun = envelope.keyset().map(Keyset::algorithm);
    if begun != algorithm {
        let message = format!("an index was begun here with {begun:?} and is not finished: create it with that");
        return Err(Error::new(ErrorKind::IndexExists, message));
    }
    Ok(envelope)
}

fn exists() -> Error {
    Error::new(ErrorKind::IndexExists, "there is an index at this place already")
}
