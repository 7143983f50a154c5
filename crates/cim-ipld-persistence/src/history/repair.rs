//! Checks and repairs the root and the manifest in the store. A process that knows the newest state
//! restores an entry that was deleted, or overwritten with junk or an older state. If neither entry
//! belongs to this index and the journal holds no record known to this process, the index is lost.
//! Nothing is restored then, because another index may have been created in its place.

use cim_ipld_backend::{Entry, ErrorKind as StoreErrorKind, Key, Precondition, Revision};

use super::announced::Announced;
use super::manifest::{ManifestVersion, is_missing_or_invalid, open_manifest};
use super::records;
use super::root::{self, RootChange};
use super::shared::Shared;
use crate::objects::layout::Layout;
use crate::objects::{Objects, Root};
use crate::{Error, ErrorKind, Result};

/// What is stored in the entry of the root or the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryState {
    /// The state known to this process, or a newer one.
    Sound(Revision),
    /// An older state of this index.
    Older(Revision),
    /// Nothing, or something that does not belong to this index.
    Foreign(Option<Revision>),
    /// An entry that names this index and is sealed under an unknown key.
    Unknown(Revision),
}

/// How far a process has read the catalog. Because the announcement of a rotation precedes the new
/// root, this determines whether an announcement can have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The last revision processed.
    pub(crate) seen: Revision,
    /// Whether every entry up to that revision was read.
    pub(crate) is_gapless: bool,
}

impl Reading {
    /// Nothing is known to have been read. For checks that are not triggered by an entry of the
    /// watch.
    pub(crate) const NONE: Self = Self { seen: Revision::ZERO, is_gapless: false };
}

/// Restores the root and the manifest if their entries hold junk, an older state or nothing. A
/// compare-and-set ensures that nothing newer is overwritten. If the compare-and-set fails, the
/// repair is left to the next check.
///
/// # Errors
/// `Lost` if neither entry nor the journal belongs to this index, `KeyRotated` if the key was
/// changed, and `UnsupportedVersion` if newer software wrote one of the entries.
pub(crate) async fn repair_entries(
    shared: &Shared,
    known: &ManifestVersion,
    announced: &Announced,
    reading: Reading,
) -> Result<()> {
    let objects = &shared.objects;
    let layout = &objects.layout;
    let (root, manifest) = entry_states(objects, known, announced).await?;
    let has_record = is_of_index(root) || is_of_index(manifest) || has_record(shared, known).await?;
    if matches!((root, manifest), (EntryState::Unknown(_), EntryState::Unknown(_)))
        && !(reading.is_gapless && has_record)
    {
        // The announcement of the root may have been skipped or removed. The entries are not
        // replaced, because that could undo a rotation permanently.
        return Err(root::rotated());
    }
    if !has_record {
        let message =
            format!("bucket {} no longer holds anything of this index: it was emptied or recreated", layout.catalog);
        let lost = Error::new(ErrorKind::Lost, message);
        // From now on, every call fails with this error.
        shared.progress.fail(lost.clone());
        return Err(lost);
    }
    // An announcement precedes its root. Therefore an unannounced root is known to be junk only
    // once the catalog has been read up to that root.
    let judged = |state| match state {
        EntryState::Unknown(revision) if revision > reading.seen => EntryState::Sound(revision),
        state => state,
    };
    if let Some(precondition) = judged(root).overwrite_precondition() {
        let record = objects.root().record.clone();
        if let Some(revision) = replace(objects, &layout.root, record.clone(), precondition).await? {
            objects.root_seen_at(&record, revision);
        }
    }
    if let Some(precondition) = judged(manifest).overwrite_precondition() {
        replace(objects, &layout.manifest, known.sealed.clone(), precondition).await?;
    }
    Ok(())
}

/// Checks that the store still holds this index, and repairs it.
///
/// # Errors
/// The same as for [`repair_entries`].
pub(crate) async fn check_and_repair(shared: &Shared) -> Result<()> {
    let view = shared.view();
    repair_entries(shared, &view.manifest, &view.announced, Reading::NONE).await
}

/// Reads the entries of the root and the manifest. The manifest is read first, because a manifest
/// under a new data key is stored after the root that contains the key.
async fn entry_states(
    objects: &Objects,
    known: &ManifestVersion,
    announced: &Announced,
) -> Result<(EntryState, EntryState)> {
    let layout = &objects.layout;
    let manifest = read(objects, &layout.manifest).await?;
    let root = match read(objects, &layout.root).await? {
        None => EntryState::Foreign(None),
        Some(entry) => match root::examine(objects, announced, &entry)? {
            RootChange::Known | RootChange::Adopted => EntryState::Sound(entry.revision),
            RootChange::Rotated => return Err(root::rotated()),
            RootChange::Ignored(super::order::Ignored::Replayed) => EntryState::Older(entry.revision),
            RootChange::Ignored(_) => EntryState::Foreign(Some(entry.revision)),
            RootChange::Unknown => EntryState::Unknown(entry.revision),
        },
    };
    let manifest = match manifest {
        None => EntryState::Foreign(None),
        Some(entry) if entry.value == known.sealed => EntryState::Sound(entry.revision),
        Some(entry) => match open_manifest(objects, &entry) {
            Ok(there) if there.generation() > known.generation() && there.epoch >= known.manifest.epoch => {
                EntryState::Sound(entry.revision)
            }
            Ok(_) => EntryState::Older(entry.revision),
            Err(error) if is_missing_or_invalid(&error) => EntryState::Foreign(Some(entry.revision)),
            Err(error) if error.kind() == ErrorKind::KeyRotated => {
                if announced.has_key_of(&objects.root().digest(), &entry.value) {
                    return Err(error);
                }
                // The root, which was read later, does not contain the key.
                match root {
                    EntryState::Sound(_) => EntryState::Foreign(Some(entry.revision)),
                    _ => EntryState::Unknown(entry.revision),
                }
            }
            // Not replaced: it has a newer format than this software can read.
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

fn is_of_index(state: EntryState) -> bool {
    matches!(state, EntryState::Sound(_) | EntryState::Older(_))
}

/// Returns whether the journal still holds a record known to this process. If so, the bucket
/// belongs to this index even if both the root and the manifest were replaced.
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

impl EntryState {
    /// Returns the precondition for overwriting the entry, or `None` if the entry must be kept.
    fn overwrite_precondition(self) -> Option<Precondition> {
        match self {
            Self::Sound(_) => None,
            Self::Foreign(None) => Some(Precondition::Absent),
            Self::Older(revision) | Self::Unknown(revision) | Self::Foreign(Some(revision)) => {
                Some(Precondition::Unchanged(revision))
            }
        }
    }
}

/// Returns the new revision, or `None` if another process was faster or the store rejected the
/// write.
async fn replace(
    objects: &Objects,
    key: &Key,
    value: bytes::Bytes,
    precondition: Precondition,
) -> Result<Option<Revision>> {
    match objects.write(&objects.layout.catalog, key, value, precondition).await {
        Ok(revision) => {
            tracing::warn!(%key, "a catalog entry that had been overwritten or deleted was restored");
            Ok(Some(revision))
        }
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        // A process that cannot write leaves the repair to others and continues to read.
        Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Full | ErrorKind::OutcomeUnknown) => {
            tracing::warn!(%key, %error, "a catalog entry that was overwritten or deleted could not be restored");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Restores the root and the manifest in a store that lost them. Returns the revision of the
/// manifest.
///
/// # Errors
/// `IndexExists` if the store now holds another index.
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
                let message = "another index was created in place of the lost one";
                Err(Error::new(ErrorKind::IndexExists, message))
            }
        },
        written => written,
    }
}
