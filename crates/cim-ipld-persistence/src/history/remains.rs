//! What the store still has of root and manifest. A process that knows better puts back what is gone from one of the two
//! places, or was replaced there by junk or an older state. Where neither holds anything of this index, the index is lost:
//! another one may have been made in its place, which nobody may write over.

use cim_ipld_backend::{Entry, ErrorKind as StoreErrorKind, Key, Precondition, Revision};

use super::manifest::{ManifestVersion, is_no_manifest, open_manifest};
use super::records;
use super::root::{self, RootChange};
use super::shared::Shared;
use crate::format::digest::Digest;
use crate::objects::layout::Layout;
use crate::objects::{Objects, Root};
use crate::{Error, ErrorKind, Result};

/// What is in one of the places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// What this process knows, or something newer.
    Sound(Revision),
    /// An older state of this index.
    Older(Revision),
    /// Nothing, or something that is not of this index.
    Foreign(Option<Revision>),
    /// Something that names this index and that this process has no key for.
    Unknown(Revision),
}

/// Puts what this process knows, which has read the catalog up to `seen`, into a place that holds junk, an older state or
/// nothing. Compare-and-set keeps it from replacing anything newer.
///
/// # Errors
/// `Lost` when neither place holds anything of this index, and the journal does not either; `KeyRotated` when both hold what
/// this process has no key for, `UnsupportedVersion` when a newer software wrote one of them.
pub(crate) async fn mend(
    shared: &Shared,
    known: &ManifestVersion,
    is_announced: impl Fn(&Digest) -> bool,
    seen: Revision,
) -> Result<()> {
    let objects = &shared.objects;
    let layout = &objects.layout;
    let (root, manifest) = places(objects, known, is_announced).await?;
    if let (Place::Unknown(_), Place::Unknown(_)) = (root, manifest) {
        // Never replaced: that would undo a rotation for good.
        return Err(root::rotated());
    }
    let record = match is_of_index(root) || is_of_index(manifest) {
        true => None,
        false => find_record(shared, known).await?,
    };
    if !is_of_index(root) && !is_of_index(manifest) && record.is_none() {
        let message =
            format!("bucket {} holds nothing of this index any more: it was emptied or made anew", layout.catalog);
        let lost = Error::new(ErrorKind::Lost, message);
        // Whoever finds it out: from here on nobody is answered as if the index were there.
        shared.progress.fail(lost.clone());
        return Err(lost);
    }
    // What announces a root comes before it: a root that nobody announced is junk only to whoever has read so far.
    let root = match root {
        Place::Unknown(revision) if revision > seen => Place::Sound(revision),
        root => root,
    };
    // What is put where nothing is, is fenced on the other place, or on a record where that is empty too: a bucket that is
    // emptied meanwhile stays empty.
    let mut root_fence = root.fence(&layout.root);
    if let Some(precondition) = root.replaced(manifest.fence(&layout.manifest).or(record)) {
        let record = objects.root().record.clone();
        if let Some(revision) = replace(objects, &layout.root, record, precondition).await? {
            objects.replace_root(Root { revision, ..(*objects.root()).clone() });
            root_fence = Some((layout.root.clone(), revision));
        }
    }
    if let Some(precondition) = manifest.replaced(root_fence) {
        replace(objects, &layout.manifest, known.sealed.clone(), precondition).await?;
    }
    Ok(())
}

/// Makes sure that the store still has this index.
///
/// # Errors
/// As for [`mend`].
pub(crate) async fn check(shared: &Shared) -> Result<()> {
    let view = shared.view();
    mend(shared, &view.manifest, |root| view.announced.contains(root), Revision::ZERO).await
}

async fn places(
    objects: &Objects,
    known: &ManifestVersion,
    is_announced: impl Fn(&Digest) -> bool,
) -> Result<(Place, Place)> {
    let layout = &objects.layout;
    let root = match read(objects, &layout.root).await? {
        None => Place::Foreign(None),
        Some(entry) => match root::examine(objects, is_announced, &entry)? {
            RootChange::Known | RootChange::Taken => Place::Sound(entry.revision),
            RootChange::Rotated => return Err(root::rotated()),
            RootChange::Ignored(super::order::Ignored::Replayed) => Place::Older(entry.revision),
            RootChange::Ignored(_) => Place::Foreign(Some(entry.revision)),
            RootChange::Unknown => Place::Unknown(entry.revision),
        },
    };
    let manifest = match read(objects, &layout.manifest).await? {
        None => Place::Foreign(None),
        Some(entry) if entry.value == known.sealed => Place::Sound(entry.revision),
        Some(entry) => match open_manifest(objects, &entry) {
            Ok(there) if there.generation() > known.generation() && there.epoch >= known.manifest.epoch => {
                Place::Sound(entry.revision)
            }
            Ok(_) => Place::Older(entry.revision),
            // Sealed under a data key that is not known yet.
            Err(error) if error.kind() == ErrorKind::KeyRotated && matches!(root, Place::Sound(_)) => {
                Place::Sound(entry.revision)
            }
            Err(error) if error.kind() == ErrorKind::KeyRotated => Place::Unknown(entry.revision),
            Err(error) if is_no_manifest(&error) => Place::Foreign(Some(entry.revision)),
            // Never replaced: it is newer than what this software can read.
            Err(error) => return Err(error),
        },
    };
    Ok((root, manifest))
}

async fn read(objects: &Objects, key: &Key) -> Result<Option<Entry>> {
    match objects.backend.get(&objects.layout.catalog, key).await {
        Err(error) if error.kind() == StoreErrorKind::BucketMissing => Ok(None),
        read => Ok(read?),
    }
}

fn is_of_index(place: Place) -> bool {
    matches!(place, Place::Sound(_) | Place::Older(_))
}

/// Finds a record of the journal that this process knows: then root and manifest were replaced in a bucket that is this
/// index's all the same.
async fn find_record(shared: &Shared, known: &ManifestVersion) -> Result<Option<(Key, Revision)>> {
    let objects = &shared.objects;
    for mark in [shared.view().last, known.manifest.watermark.record].into_iter().flatten() {
        let key = Layout::record(mark.writer, mark.sequence)?;
        let entry = read(objects, &key).await?;
        if let Some(entry) = entry.filter(|entry| records::sealed_digest(&entry.value) == mark.digest) {
            return Ok(Some((key, entry.revision)));
        }
    }
    Ok(None)
}

impl Place {
    /// What is there, for others to depend on.
    fn fence(self, key: &Key) -> Option<(Key, Revision)> {
        match self {
            Self::Sound(revision) | Self::Older(revision) | Self::Unknown(revision) | Self::Foreign(Some(revision)) => {
                Some((key.clone(), revision))
            }
            Self::Foreign(None) => None,
        }
    }

    /// On what condition it is replaced, an empty one as long as `fence` is as it was; `None` when it is not.
    fn replaced(self, fence: Option<(Key, Revision)>) -> Option<Precondition> {
        match self {
            Self::Sound(_) => None,
            Self::Foreign(None) => fence.map(|(key, revision)| Precondition::AbsentWhile { key, revision }),
            Self::Older(revision) | Self::Unknown(revision) | Self::Foreign(Some(revision)) => {
                Some(Precondition::Unchanged(revision))
            }
        }
    }
}

/// Returns the new revision, or `None` when somebody else was faster.
async fn replace(
    objects: &Objects,
    key: &Key,
    value: bytes::Bytes,
    precondition: Precondition,
) -> Result<Option<Revision>> {
    match objects.write(&objects.layout.catalog, key, value, precondition).await {
        Ok(revision) => {
            tracing::warn!(%key, "what had been put in its place, or taken away, was put back");
            Ok(Some(revision))
        }
        // Whoever may not write leaves it to others.
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Denied) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts root and manifest into a store that lost them. Returns the manifest's revision.
///
/// # Errors
/// `IndexExists` when there is another index now.
pub(crate) async fn put_back(shared: &Shared, known: &ManifestVersion) -> Result<Revision> {
    let objects = &shared.objects;
    for bucket in objects.layout.buckets() {
        objects.backend.create(bucket).await?;
    }
    let layout = &objects.layout;
    let root = objects.root();
    let revision = put_once(objects, &layout.root, root.record.clone()).await?;
    objects.replace_root(Root { revision, ..(*root).clone() });
    put_once(objects, &layout.manifest, known.sealed.clone()).await
}

async fn put_once(objects: &Objects, key: &Key, value: bytes::Bytes) -> Result<Revision> {
    match objects.write(&objects.layout.catalog, key, value.clone(), Precondition::Absent).await {
        Err(error) if error.kind() == ErrorKind::Conflict => match read(objects, key).await? {
            Some(there) if there.value == value => Ok(there.revision),
            _ => {
                let message = "another index was made in the place of the one that was lost";
                Err(Error::new(ErrorKind::IndexExists, message))
            }
        },
        written => written,
    }
}
