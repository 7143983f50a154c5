//! What the store still has of root and manifest. A process that knows better puts back what is
//! gone from one of the two places, or was replaced there by junk or an older state. Where neither
//! holds anything of this index, the index is lost: another one may have been made in its place,
//! which nobody may write over.

use cim_ipld_backend::{Entry, ErrorKind as StoreErrorKind, Key, Precondition, Revision};

use super::announced::Announced;
use super::manifest::{ManifestVersion, is_no_manifest, open_manifest};
use super::records;
use super::root::{self, RootChange};
use super::shared::Shared;
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

/// How far a process has read the catalog: what tells a rotation comes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The last revision that was looked at.
    pub(crate) seen: Revision,
    /// Whether nothing before that was passed over.
    pub(crate) is_whole: bool,
}

impl Reading {
    /// That of somebody who does not follow the catalog.
    pub(crate) const NONE: Self = Self { seen: Revision::ZERO, is_whole: false };
}

/// Puts what this process knows into a place that holds junk, an older state or nothing.
/// Compare-and-set keeps it from replacing anything newer. Where that fails, it is left to whoever
/// looks next.
///
/// # Errors
/// `Lost` when neither place holds anything of this index, and the journal does not either;
/// `KeyRotated` when the index was re-keyed, `UnsupportedVersion` when a newer software wrote in
/// one of the places.
pub(crate) async fn mend(
    shared: &Shared,
    known: &ManifestVersion,
    announced: &Announced,
    reading: Reading,
) -> Result<()> {
    let objects = &shared.objects;
    let layout = &objects.layout;
    let (root, manifest) = places(objects, known, announced).await?;
    let has_record = is_of_index(root) || is_of_index(manifest) || has_record(shared, known).await?;
    if matches!((root, manifest), (Place::Unknown(_), Place::Unknown(_))) && !(reading.is_whole && has_record) {
        // What announced the root may have been passed over, or removed. Never replaced: that would
        // undo a rotation for good.
        return Err(root::rotated());
    }
    if !has_record {
        let message =
            format!("bucket {} holds nothing of this index any more: it was emptied or made anew", layout.catalog);
        let lost = Error::new(ErrorKind::Lost, message);
        // Whoever finds it out: from here on nobody is answered as if the index were there.
        shared.progress.fail(lost.clone());
        return Err(lost);
    }
    // What announces a root comes before it: what nobody announced is junk only to whoever has read
    // so far.
    let judged = |place| match place {
        Place::Unknown(revision) if revision > reading.seen => Place::Sound(revision),
        place => place,
    };
    if let Some(precondition) = judged(root).replaced() {
        let record = objects.root().record.clone();
        if let Some(revision) = replace(objects, &layout.root, record.clone(), precondition).await? {
            objects.root_seen_at(&record, revision);
        }
    }
    if let Some(precondition) = judged(manifest).replaced() {
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
    mend(shared, &view.manifest, &view.announced, Reading::NONE).await
}

/// What is in the places of root and manifest. The manifest is read first: one under a new data key
/// comes after the root that has it.
async fn places(objects: &Objects, known: &ManifestVersion, announced: &Announced) -> Result<(Place, Place)> {
    let layout = &objects.layout;
    let manifest = read(objects, &layout.manifest).await?;
    let root = match read(objects, &layout.root).await? {
        None => Place::Foreign(None),
        Some(entry) => match root::examine(objects, announced, &entry)? {
            RootChange::Known | RootChange::Taken => Place::Sound(entry.revision),
            RootChange::Rotated => return Err(root::rotated()),
            RootChange::Ignored(super::order::Ignored::Replayed) => Place::Older(entry.revision),
            RootChange::Ignored(_) => Place::Foreign(Some(entry.revision)),
            RootChange::Unknown => Place::Unknown(entry.revision),
        },
    };
    let manifest = match manifest {
        None => Place::Foreign(None),
        Some(entry) if entry.value == known.sealed => Place::Sound(entry.revision),
        Some(entry) => match open_manifest(objects, &entry) {
            Ok(there) if there.generation() > known.generation() && there.epoch >= known.manifest.epoch => {
                Place::Sound(entry.revision)
            }
            Ok(_) => Place::Older(entry.revision),
            Err(error) if is_no_manifest(&error) => Place::Foreign(Some(entry.revision)),
            Err(error) if error.kind() == ErrorKind::KeyRotated => {
                if announced.has_key_of(&objects.root().digest(), &entry.value) {
                    return Err(error);
                }
                // The root that was read after it does not have its key.
                match root {
                    Place::Sound(_) => Place::Foreign(Some(entry.revision)),
                    _ => Place::Unknown(entry.revision),
                }
            }
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

/// Whether the journal still has a record that this process knows: then root and manifest were
/// replaced in a bucket that is this index's all the same.
async fn has_record(shared: &Shared, known: &ManifestVersion) -> Result<bool> {
    let objects = &shared.objects;
    for mark in [shared.view().last, known.manifest.watermark.record].into_iter().flatten() {
        let entry = read(objects, &Layout::record(mark.writer, mark.sequence)?).await?;
        if entry.is_some_and(|entry| records::sealed_digest(&entry.value) == mark.digest) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Place {
    /// On what condition it is replaced; `None` when it is not.
    fn replaced(self) -> Option<Precondition> {
        match self {
            Self::Sound(_) => None,
            Self::Foreign(None) => Some(Precondition::Absent),
            Self::Older(revision) | Self::Unknown(revision) | Self::Foreign(Some(revision)) => {
                Some(Precondition::Unchanged(revision))
            }
        }
    }
}

/// Returns the new revision, or `None` when somebody else was faster, or the store does not take it
/// now.
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
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        // Whoever cannot write leaves it to others, or to the next look: a reader goes on.
        Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Full | ErrorKind::OutcomeUnknown) => {
            tracing::warn!(%key, %error, "what had been put in its place, or taken away, was not put back");
            Ok(None)
        }
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
