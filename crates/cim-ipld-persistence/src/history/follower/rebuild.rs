//! Rebuilds the state from a newer manifest until it may be published.

use std::cmp::Ordering;

use cim_ipld_backend::{Revision, WatchStream};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::missing::{Fault, Gap, Missing};
use super::{Follower, PATIENCE, watch};
use crate::history::manifest::{self, ManifestVersion, Succession, check_digest, is_missing_or_invalid};
use crate::history::order::Ignored;
use crate::history::progress::RESTORE_GRACE_PERIOD;
use crate::history::records;
use crate::history::repair::{self, Reading};
use crate::history::root;
use crate::history::shared::Shared;
use crate::history::state::State;
use crate::objects::layout::Layout;
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

impl Follower {
    pub(super) async fn caught_up(&mut self) -> Result<()> {
        // Entries that existed when the watch began may have been trimmed since. In that case, a
        // newer manifest covers them.
        let current = self.rebuilding.as_ref().unwrap_or(&self.live);
        let mut there = Ordering::Equal;
        if self.shared.objects.rules.enforces(Rule::CaughtUpRead) {
            there = compare_manifest(&self.shared, current, self.rebuilding.is_none()).await?;
        }
        if there.is_gt() {
            return self.resync(None).await;
        }
        if let Some(rebuilt) = &self.rebuilding {
            if self.shared.objects.rules.enforces(Rule::ReachFormer) {
                let (live, digest) = (self.live.order.position(), self.live.order.digest());
                let former = (Gap::Records(live), live, digest);
                let pinned = self.pinned.map(|(position, digest)| (Gap::Pinned(position), position, digest));
                for (gap, position, digest) in [former].into_iter().chain(pinned) {
                    if rebuilt.order.position() < position {
                        let manifest = rebuilt.manifest.generation();
                        return self.resync_for_missing(Missing { record: Revision::ZERO, gap, manifest }).await;
                    }
                    let found = manifest::digest_at(&self.shared.objects, &rebuilt.order, position).await?;
                    check_digest(position, found, digest)?;
                }
            }
            self.pinned = None;
            self.live = self.rebuilding.take().expect("checked above");
            self.shared.journal().forget(self.live.manifest.manifest.previous_position);
        }
        self.catching_up = false;
        self.missing = None;
        if there.is_lt() {
            // The manifest in the store was replaced with an older one in the meantime.
            self.ignored.count(Ignored::Replayed);
            self.grace_until = Some(Instant::now() + RESTORE_GRACE_PERIOD);
            self.repair(self.live.last_seen).await?;
        }
        self.publish()
    }

    /// Rereads the manifest because something is missing. If it is missing again, an opening fails
    /// immediately and a running engine after [`PATIENCE`].
    pub(super) async fn resync_for_missing(&mut self, missing: Missing) -> Result<()> {
        let mut since = Instant::now();
        if let Some((_, known)) = self.missing.filter(|(known, _)| missing.is_same_as(known)) {
            since = known;
            if !self.is_open || since.elapsed() >= PATIENCE {
                return Err(missing.into_error());
            }
            tokio::time::sleep(PATIENCE / 20).await;
        }
        self.resync(None).await?;
        // Set only after the manifest was reread successfully.
        self.missing = Some((missing, since));
        Ok(())
    }

    /// Restarts from the manifest in the store, or from `seen` if `seen` is newer. `seen` is a
    /// successor of the current manifest that the watch has shown; it may have been overwritten
    /// with an older one since. The published view remains in use until the rebuilt state has
    /// caught up.
    pub(super) async fn resync(&mut self, seen: Option<ManifestVersion>) -> Result<()> {
        let there = match manifest::read_manifest(&self.shared.objects).await {
            Err(error) if error.kind() == ErrorKind::KeyRotated || is_missing_or_invalid(&error) => {
                root::read_newer(&self.shared, &self.live.order).await?;
                match repair_and_reread(&self.shared, &self.live, false).await? {
                    Some(newer) => newer,
                    None => (*self.live.manifest).clone(),
                }
            }
            read => read?,
        };
        let manifest = match seen {
            Some(seen) if seen.generation() > there.generation() => seen,
            _ => there,
        };
        self.shared.progress.note_following(manifest.generation());
        let (rebuilding, catalog) = open_newest(&self.shared, manifest, Some(&self.live)).await?;
        self.rebuilding = Some(rebuilding);
        self.catalog = catalog;
        self.catching_up = true;
        Ok(())
    }
}

/// Reads the manifest and compares its generation with that of `state`. `is_gapless` is whether
/// `state` has read the catalog without gaps.
pub(super) async fn compare_manifest(shared: &Shared, state: &State, is_gapless: bool) -> Result<Ordering> {
    match manifest::read_manifest(&shared.objects).await {
        Ok(there) => Ok(there.generation().cmp(&state.manifest.generation())),
        Err(error) if error.kind() == ErrorKind::KeyRotated || is_missing_or_invalid(&error) => {
            root::read_newer(shared, &state.order).await?;
            let newer = repair_and_reread(shared, state, is_gapless).await?;
            Ok(if newer.is_some() { Ordering::Greater } else { Ordering::Equal })
        }
        Err(error) => Err(error),
    }
}

/// Restores the manifest, whose entry is missing or cannot be decrypted, and rereads it. Returns a
/// newer manifest if one was stored in the meantime.
async fn repair_and_reread(shared: &Shared, state: &State, is_gapless: bool) -> Result<Option<ManifestVersion>> {
    let reading = Reading { seen: state.last_seen, is_gapless };
    repair::repair_entries(shared, &state.manifest, &state.order.announced(), reading).await?;
    match manifest::read_manifest(&shared.objects).await {
        Ok(there) => Ok((there.generation() > state.manifest.generation()).then_some(there)),
        Err(error) if is_missing_or_invalid(&error) => Ok(None),
        Err(error) if error.kind() == ErrorKind::KeyRotated => {
            let message = "the manifest is sealed under a data key that is not known yet";
            Err(Error::new(ErrorKind::Unavailable, message).with_source(error))
        }
        Err(error) => Err(error),
    }
}

/// Opens the state of `manifest`, or of a newer manifest if objects of this one have been removed.
/// Returns the state, whose `last_seen` is the revision after which its journal begins, and a watch
/// of the catalog from there.
pub(super) async fn open_newest(
    shared: &Shared,
    mut manifest: ManifestVersion,
    live: Option<&State>,
) -> Result<(State, WatchStream)> {
    let objects = &shared.objects;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match open_once(shared, &mut manifest, live).await {
            Err(error) if Fault::of(&error).is_some() => error,
            opened => return opened,
        };
        let newest = match manifest::read_manifest(objects).await {
            Err(error) if live.is_some() && is_missing_or_invalid(&error) => None,
            newest => Some(newest?),
        };
        let Some(newest) = newest.filter(|newest| newest.generation() > manifest.generation()) else {
            if live.is_none() || Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(PATIENCE / 20).await;
            continue;
        };
        if live.is_none() && newest.ancestor(objects, manifest.generation()).await? != Some(manifest.digest) {
            return Err(Error::new(
                ErrorKind::Forked,
                "the manifest was replaced by one that does not descend from it",
            ));
        }
        manifest = newest;
    }
}

async fn open_once(
    shared: &Shared,
    manifest: &mut ManifestVersion,
    live: Option<&State>,
) -> Result<(State, WatchStream)> {
    let objects = &shared.objects;
    if let Some(live) = live {
        match live.manifest.succession(objects, &live.order, manifest).await? {
            Succession::Same | Succession::Newer => {}
            Succession::Older | Succession::Retired => *manifest = (*live.manifest).clone(),
        }
    }
    let opened = State::open(objects, manifest.clone(), &shared.analyzer, live);
    let (mut state, (after, catalog)) = futures::future::try_join(opened, open_journal(shared, manifest)).await?;
    state.last_seen = after;
    Ok((state, catalog))
}

/// Finds the record at the watermark, after which the journal begins, and watches the catalog from
/// there. If the record is no longer under the recorded revision, because the store renumbered its
/// entries or the record was stored again, the journal is read from the beginning.
///
/// The watch is started before the record is known to be there, to save a round trip.
async fn open_journal(shared: &Shared, manifest: &ManifestVersion) -> Result<(Revision, WatchStream)> {
    let Some(mark) = &manifest.manifest.watermark.record else {
        return Ok((Revision::ZERO, started(watch(shared, Revision::ZERO)).await));
    };
    let key = Layout::record(mark.writer, mark.sequence)?;
    let record = shared.objects.backend.get(&shared.objects.layout.catalog, &key);
    let after = Revision::new(mark.revision);
    let (record, catalog) = futures::future::join(record, started(watch(shared, after))).await;
    let is_there =
        record?.is_some_and(|entry| entry.revision == after && records::sealed_digest(&entry.value) == mark.digest);
    match is_there {
        true => Ok((after, catalog)),
        false => Ok((Revision::ZERO, watch(shared, Revision::ZERO))),
    }
}

/// Waits for the first event of a watch, and returns the watch with that event.
async fn started(mut watch: WatchStream) -> WatchStream {
    let first = watch.next().await;
    stream::iter(first).chain(watch).boxed()
}
