//! The root record of an open index. A newer root is adopted; one that is older or cannot be
//! decrypted never replaces the known root.

use cim_ipld_backend::Entry;
use cim_ipld_envelope::{Envelope, ErrorKind as KeyErrorKind};

use super::announced::Announced;
use super::order::{Ignored, Order};
use super::shared::Shared;
use crate::objects::{Objects, Root, root_digest};
use crate::{Error, ErrorKind, Result};

/// The meaning of a root entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootChange {
    /// It is the known record.
    Known,
    /// It is a newer record, which this process has adopted.
    Adopted,
    Ignored(Ignored),
    /// It is an unannounced root of this index under an unknown key: junk, or the root of a
    /// rotation whose announcement has already been removed.
    Unknown,
    /// It is an announced root under an unknown key.
    Rotated,
}

pub(crate) fn rotated() -> Error {
    Error::new(ErrorKind::KeyRotated, "another process changed the key of the index")
}

/// Examines a root entry. A root that cannot be decrypted belongs to a rotation if a record has
/// announced it, and is junk otherwise. If no announcement were required, anyone who can write to
/// the store could lock out all processes.
///
/// # Errors
/// `UnsupportedVersion` if newer software wrote the root and announced it.
pub(crate) fn examine(objects: &Objects, announced: &Announced, entry: &Entry) -> Result<RootChange> {
    let known = objects.root();
    if entry.value == known.record {
        seen_at(objects, entry);
        return Ok(RootChange::Known);
    }
    if let Some(next) = objects.next_root().filter(|next| next.record == entry.value) {
        objects.replace_root(Root { revision: entry.revision, ..next });
        return Ok(RootChange::Adopted);
    }
    let is_announced = || announced.has_root(&known.digest(), &root_digest(&entry.value));
    let Some(keyset) = known.envelope.keyset() else { return Ok(RootChange::Ignored(Ignored::Junk)) };
    match keyset.reopen(&entry.value) {
        Ok(newer) if newer.generation() > keyset.generation() => {
            objects.replace_root(Root::new(Envelope::encrypted(newer), entry.revision));
            Ok(RootChange::Adopted)
        }
        Ok(_) => Ok(RootChange::Ignored(Ignored::Replayed)),
        Err(error) if error.kind() == KeyErrorKind::WrongKey && is_announced() => Ok(RootChange::Rotated),
        Err(error) if matches!(error.kind(), KeyErrorKind::UnsupportedVersion { .. }) && is_announced() => {
            Err(error.into())
        }
        Err(error) if error.kind() == KeyErrorKind::WrongKey => Ok(RootChange::Unknown),
        Err(_) => Ok(RootChange::Ignored(Ignored::Junk)),
    }
}

/// Sets the revision at which the known record was last seen.
pub(crate) fn seen_at(objects: &Objects, entry: &Entry) {
    objects.root_seen_at(&entry.value, entry.revision);
}

/// Rereads the root because an object names an unknown data key. Returns whether a newer root was
/// adopted.
pub(crate) async fn read_newer(shared: &Shared, order: &Order) -> Result<bool> {
    let objects = &shared.objects;
    let Some(entry) = objects.backend.get(&objects.layout.catalog, &objects.layout.root).await? else {
        return Ok(false);
    };
    match examine(objects, &order.announced(), &entry)? {
        RootChange::Adopted => Ok(true),
        RootChange::Rotated => Err(rotated()),
        RootChange::Known | RootChange::Unknown | RootChange::Ignored(_) => Ok(false),
    }
}
