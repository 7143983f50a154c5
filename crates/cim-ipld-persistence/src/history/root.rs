//! The root record while an index is open: taken up when it is newer, never given up for what is
//! older or does not open.

use cim_ipld_backend::Entry;
use cim_ipld_envelope::{Envelope, ErrorKind as KeyErrorKind};

use super::announced::Announced;
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
    /// A record of this index that this process has no key for and that nobody announced: junk, or
    /// a rotation whose announcement is gone already.
    Unknown,
    /// A newer one that this process has no key for.
    Rotated,
}

pub(crate) fn rotated() -> Error {
    Error::new(ErrorKind::KeyRotated, "the index was re-keyed by another process")
}

/// Examines what is under the root's key. One that does not open is a rotation when a record
/// announced it, and junk otherwise: without that, whoever can write to the store could lock
/// everybody out.
///
/// # Errors
/// `UnsupportedVersion` when a newer software wrote it and announced that.
pub(crate) fn examine(objects: &Objects, announced: &Announced, entry: &Entry) -> Result<RootChange> {
    let known = objects.root();
    if entry.value == known.record {
        seen_at(objects, entry);
        return Ok(RootChange::Known);
    }
    if let Some(next) = objects.next_root().filter(|next| next.record == entry.value) {
        objects.replace_root(Root { revision: entry.revision, ..next });
        return Ok(RootChange::Taken);
    }
    let is_announced = || announced.has_root(&known.digest(), &root_digest(&entry.value));
    let Some(keyset) = known.envelope.keyset() else { return Ok(RootChange::Ignored(Ignored::Junk)) };
    match keyset.reopen(&entry.value) {
        Ok(newer) if newer.generation() > keyset.generation() => {
            objects.replace_root(Root::new(Envelope::encrypted(newer), entry.revision));
            Ok(RootChange::Taken)
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

/// Notes where in the catalog the known record was last seen.
pub(crate) fn seen_at(objects: &Objects, entry: &Entry) {
    objects.root_seen_at(&entry.value, entry.revision);
}

/// Reads the root again for an object that names an unknown data key. Returns whether a newer root
/// was taken up.
pub(crate) async fn read_newer(shared: &Shared, order: &Order) -> Result<bool> {
    let objects = &shared.objects;
    let Some(entry) = objects.backend.get(&objects.layout.catalog, &objects.layout.root).await? else {
        return Ok(false);
    };
    match examine(objects, &order.announced(), &entry)? {
        RootChange::Taken => Ok(true),
        RootChange::Rotated => Err(rotated()),
        RootChange::Known | RootChange::Unknown | RootChange::Ignored(_) => Ok(false),
    }
}
