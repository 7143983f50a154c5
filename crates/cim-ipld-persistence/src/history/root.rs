//! The root record while an index is open: taken up when it is newer, never given up for what is older or does not open.

use cim_ipld_backend::{Entry, ErrorKind as StoreErrorKind, Precondition, Revision};
use cim_ipld_envelope::{Envelope, ErrorKind as KeyErrorKind};

use super::manifest::{ManifestVersion, manifest_address};
use super::order::{Ignored, Order};
use super::shared::Shared;
use crate::objects::{Objects, Root, root_digest};
use crate::{Error, ErrorKind, Result};

/// What an entry under the root's key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootChange {
    /// It is the known record.
    Known,
    /// It is a newer one, which this process goes by from now on.
    Taken,
    Ignored(Ignored),
    /// A newer one that this process has no key for.
    Rotated,
}

pub(crate) fn rotated() -> Error {
    Error::new(ErrorKind::KeyRotated, "the index was re-keyed by another process")
}

/// Examines what is under the root's key. One that does not open is a rotation when a record of `order` announced it, and
/// junk otherwise: without that, whoever can write to the store could lock everybody out.
pub(crate) fn examine(objects: &Objects, order: &Order, entry: &Entry) -> Result<RootChange> {
    let known = objects.root();
    if entry.value == known.record {
        seen_at(objects, entry);
        return Ok(RootChange::Known);
    }
    if let Some(next) = objects.next_root().filter(|next| next.record == entry.value) {
        objects.replace_root(Root { revision: entry.revision, ..next });
        return Ok(RootChange::Taken);
    }
    let Some(keyset) = known.envelope.keyset() else { return Ok(RootChange::Ignored(Ignored::Junk)) };
    match keyset.reopen(&entry.value) {
        Ok(newer) if newer.generation() > keyset.generation() => {
            objects.replace_root(Root::new(Envelope::encrypted(newer), entry.revision));
            Ok(RootChange::Taken)
        }
        Ok(_) => Ok(RootChange::Ignored(Ignored::Replayed)),
        Err(error) if error.kind() == KeyErrorKind::WrongKey && order.has_announced(&root_digest(&entry.value)) => {
            Ok(RootChange::Rotated)
        }
        Err(_) => Ok(RootChange::Ignored(Ignored::Junk)),
    }
}

/// Notes where in the catalog the known record was last seen.
pub(crate) fn seen_at(objects: &Objects, entry: &Entry) {
    objects.replace_root(Root { revision: entry.revision, ..(*objects.root()).clone() });
}

/// Reads the root again for an object that names an unknown data key. Returns whether a newer root was taken up.
pub(crate) async fn read_newer(shared: &Shared, order: &Order) -> Result<bool> {
    let objects = &shared.objects;
    let Some(entry) = objects.backend.get(&objects.layout.catalog, &objects.layout.root).await? else {
        return Ok(false);
    };
    match examine(objects, order, &entry)? {
        RootChange::Taken => Ok(true),
        RootChange::Rotated => Err(rotated()),
        RootChange::Known | RootChange::Ignored(_) => Ok(false),
    }
}

/// Makes sure that the store still has this index, after its catalog was found made anew or gone.
pub(crate) async fn check_store(shared: &Shared) -> Result<()> {
    let view = shared.view();
    check_remains(shared, &view.manifest).await
}

/// Makes sure that root and manifest are in the store. A single one of them that is missing is put back; without both the
/// index is lost, and only [`put_back`] brings it back.
pub(crate) async fn check_remains(shared: &Shared, known: &ManifestVersion) -> Result<()> {
    let objects = &shared.objects;
    let layout = &objects.layout;
    let read = |key| async move {
        match objects.backend.get(&layout.catalog, key).await {
            Err(error) if error.kind() == StoreErrorKind::BucketMissing => Ok(None),
            read => Ok::<_, Error>(read?),
        }
    };
    match (read(&layout.root).await?, read(&layout.manifest).await?) {
        (Some(_), Some(_)) => Ok(()),
        (None, None) => {
            let message = format!("bucket {} holds no index any more: it was emptied or made anew", layout.catalog);
            Err(Error::new(ErrorKind::Lost, message))
        }
        (None, Some(_)) => put_root(objects).await,
        (Some(_), None) => put_manifest(objects, known).await.map(drop),
    }
}

async fn put_root(objects: &Objects) -> Result<()> {
    let root = objects.root();
    let layout = &objects.layout;
    match objects.write(&layout.catalog, &layout.root, root.record.clone(), Precondition::Absent).await {
        Ok(revision) => {
            objects.replace_root(Root { revision, ..(*root).clone() });
            tracing::warn!("the root record was gone from the store and was put back");
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        Err(error) => Err(error),
    }
}

async fn put_manifest(objects: &Objects, known: &ManifestVersion) -> Result<Revision> {
    let address = manifest_address(&objects.layout);
    let key = address.key()?;
    match objects.write(address.bucket, &key, known.sealed.clone(), Precondition::Absent).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let there = objects.read(&address).await?.ok_or_else(|| address.lost())?;
            if there.value == known.sealed { Ok(there.revision) } else { Err(error) }
        }
        written => written,
    }
}

/// Puts root and manifest into a store that lost them. Returns the manifest's revision.
pub(crate) async fn put_back(shared: &Shared, known: &ManifestVersion) -> Result<Revision> {
    let objects = &shared.objects;
    for bucket in objects.layout.buckets() {
        objects.backend.create(bucket).await?;
    }
    let layout = &objects.layout;
    match objects.backend.get(&layout.catalog, &layout.root).await? {
        None => put_root(objects).await?,
        Some(there) if there.value == objects.root().record => {}
        Some(_) => {
            let message = "another index was made in the place of the one that was lost";
            return Err(Error::new(ErrorKind::IndexExists, message));
        }
    }
    put_manifest(objects, known).await
}
