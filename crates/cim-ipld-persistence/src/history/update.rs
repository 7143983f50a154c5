//! Publishes manifests. Every change of the manifest is a compare-and-set made here.

use std::sync::Arc;

use cim_ipld_backend::{Entry, Precondition, Revision};
use cim_ipld_envelope::SealOptions;
use tokio::time::Instant;

use super::manifest::{self, ManifestVersion, manifest_address, seal_manifest, store_node};
use super::order::Order;
use super::repair;
use super::shared::Shared;
use super::state::{Origin, Replacement};
use crate::format::digest::Digest;
use crate::format::manifest::{Manifest, SegmentEntry, SnapshotEntry, Watermark, WindowEntry};
use crate::format::window::{DigestBlock, RETAINED_BLOCKS, Window, block_digest, block_to_bytes, window_digest};
use crate::objects::segment_writer::{BuiltSegment, Stored};
use crate::objects::{Backoff, Objects, kind};
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// The content of a new manifest. Every object that it names is already stored.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) watermark: Watermark,
    pub(crate) collections: u64,
    pub(crate) epoch: u64,
    pub(crate) window: Option<WindowEntry>,
    pub(crate) segments: Vec<SegmentEntry>,
    pub(crate) snapshots: Vec<SnapshotEntry>,
}

impl Proposal {
    /// Returns a proposal with the content of `current`, to be modified.
    pub(crate) fn based_on(current: &Manifest) -> Self {
        Self {
            watermark: current.watermark.clone(),
            collections: current.collections,
            epoch: current.epoch,
            window: current.window.clone(),
            segments: current.segments.clone(),
            snapshots: current.snapshots.clone(),
        }
    }

    /// Moves the proposal to the position of `order`.
    pub(crate) fn at(mut self, order: &Order, window: Option<WindowEntry>) -> Self {
        (self.watermark, self.epoch, self.window) = (order.watermark(), order.epoch(), window);
        self
    }
}

/// The outcome of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The proposal was published: this process follows its manifest or a descendant of it.
    Published,
    /// Another manifest was published first.
    Superseded,
}

/// Publishes the proposal as the successor of `current`, which this process follows, and waits
/// until the process follows the new manifest. `replacement` is adopted without reading it back.
///
/// # Errors
/// `OutcomeUnknown` if it may have been published, and the errors of the store.
pub(crate) async fn publish(
    shared: &Shared,
    current: &ManifestVersion,
    proposal: Proposal,
    replacement: Option<(Option<BuiltSegment>, Origin)>,
) -> Result<Outcome> {
    try_publish(shared, current, proposal, replacement).await.map_err(|failed| failed.error)
}

/// The error of a manifest that was not published, or may not have been.
struct Failed {
    error: Error,
    /// Whether the manifest may be in the store.
    maybe_published: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let maybe_published = error.kind() == ErrorKind::OutcomeUnknown;
        Self { error, maybe_published }
    }
}

async fn try_publish(
    shared: &Shared,
    current: &ManifestVersion,
    proposal: Proposal,
    replacement: Option<(Option<BuiltSegment>, Origin)>,
) -> Result<Outcome, Failed> {
    let objects = &shared.objects;
    if !wait_for_grace_period(shared, current, Instant::now() + shared.settings.write_timeout).await? {
        return Ok(Outcome::Superseded);
    }
    let next = build_successor(objects, current, proposal).await?;
    let generation = next.generation;
    let sealed = seal_manifest(objects, &next)?;
    let digest = manifest::manifest_digest(&sealed);
    #[cfg(feature = "simulation")]
    objects.environment.observe(|| crate::observer::Event::Manifest {
        manifest: digest.0,
        parent: current.digest.0,
        position: next.watermark.position,
    });
    let replacement = replacement.map(|(segment, origin)| Arc::new(Replacement { manifest: digest, segment, origin }));
    shared.set_replacement(replacement);
    let swapped = swap(shared, current, sealed).await;
    let outcome = match swapped {
        // The manifest is in the store, even if this process cannot follow it.
        Ok(Outcome::Published) => {
            wait(shared, generation, digest).await.map_err(|error| Failed { error, maybe_published: true })
        }
        Ok(Outcome::Superseded) => {
            shared.wait_generation(generation).await.map(|()| Outcome::Superseded).map_err(Failed::from)
        }
        // If it was published, the follower will read it.
        Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
            wait(shared, generation, digest).await.map_err(|_| Failed::from(error))
        }
        Err(error) => Err(error.into()),
    };
    shared.set_replacement(None);
    outcome
}

/// Waits while another process may still restore a newer manifest, but at most until `deadline`,
/// since an attacker may overwrite the entry again and again. Returns false if a newer manifest is
/// known by then.
async fn wait_for_grace_period(shared: &Shared, current: &ManifestVersion, deadline: Instant) -> Result<bool> {
    loop {
        let (generation, until) = shared.progress.read(|progress| (progress.seen.generation, progress.grace_until));
        if generation > current.generation() {
            return Ok(false);
        }
        let until = until.filter(|_| shared.objects.rules.enforces(Rule::GracePeriod));
        match until.filter(|until| *until > Instant::now()).map(|until| until.min(deadline)) {
            Some(until) if Instant::now() < deadline => tokio::time::sleep_until(until).await,
            _ => return Ok(true),
        }
        shared.check()?;
    }
}

/// Like [`publish`], but removes the objects stored for the proposal if it was superseded.
pub(crate) async fn publish_or_discard(
    shared: &Shared,
    current: &ManifestVersion,
    proposal: Proposal,
    replacement: Option<(Option<BuiltSegment>, Origin)>,
    mut stored: Stored,
) -> Result<Outcome> {
    let outcome = publish_or_keep(shared, current, proposal, replacement, &mut stored).await;
    if let Ok(Outcome::Superseded) = outcome {
        stored.discard(&shared.objects).await;
    }
    outcome
}

/// Like [`publish_or_discard`], but keeps the stored objects for another proposal if this one was
/// superseded.
pub(crate) async fn publish_or_keep(
    shared: &Shared,
    current: &ManifestVersion,
    proposal: Proposal,
    replacement: Option<(Option<BuiltSegment>, Origin)>,
    stored: &mut Stored,
) -> Result<Outcome> {
    let published = try_publish(shared, current, proposal, replacement).await;
    match &published {
        // The manifest may name the stored objects: garbage is better than loss.
        Ok(_) | Err(Failed { maybe_published: true, .. }) => {}
        Err(_) => std::mem::take(stored).discard(&shared.objects).await,
    }
    published.map_err(|failed| failed.error)
}

/// Publishes the successor of `current` without following the catalog: for the repair of an index
/// that cannot be opened. Returns the published manifest, or `None` if another one was published
/// first.
pub(crate) async fn publish_unfollowed(
    objects: &Objects,
    current: &ManifestVersion,
    proposal: Proposal,
) -> Result<Option<ManifestVersion>> {
    let next = build_successor(objects, current, proposal).await?;
    let sealed = seal_manifest(objects, &next)?;
    let layout = &objects.layout;
    let precondition = Precondition::Unchanged(current.revision);
    match objects.write(&layout.catalog, &layout.manifest, sealed.clone(), precondition).await {
        Ok(revision) => manifest::open_manifest(objects, &Entry { value: sealed, revision }).map(Some),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        Err(error) => Err(error),
    }
}

/// Builds the successor of `current`, and stores the completed nodes of its ancestry.
pub(crate) async fn build_successor(
    objects: &Objects,
    current: &ManifestVersion,
    proposal: Proposal,
) -> Result<Manifest> {
    let known = &current.manifest;
    let mut ancestry = known.ancestry.clone();
    for (place, node) in ancestry.push(current.digest) {
        store_node(objects, known.names_secret, place, &node).await?;
    }
    let moved = proposal.watermark.position != known.watermark.position;
    let root = objects.root();
    Ok(Manifest {
        generation: known.generation + 1,
        parent: current.digest,
        ancestry,
        previous_position: if moved { known.watermark.position } else { known.previous_position },
        watermark: proposal.watermark,
        collections: proposal.collections,
        epoch: proposal.epoch,
        keyset_generation: root.generation(),
        root_digest: root.digest(),
        window: proposal.window,
        names_secret: known.names_secret,
        analyzer: known.analyzer.clone(),
        segments: proposal.segments,
        snapshots: proposal.snapshots,
    })
}

/// Replaces `current` with the sealed manifest. If the entry now holds something else, that is
/// replaced too unless it is a newer manifest.
async fn swap(shared: &Shared, current: &ManifestVersion, sealed: bytes::Bytes) -> Result<Outcome> {
    let objects = &shared.objects;
    let layout = &objects.layout;
    let mut revision = current.revision;
    let deadline = Instant::now() + shared.settings.write_timeout;
    let mut backoff = Backoff::new();
    loop {
        let precondition = match revision {
            Revision::ZERO => Precondition::Absent,
            revision => Precondition::Unchanged(revision),
        };
        let error = match objects.write(&layout.catalog, &layout.manifest, sealed.clone(), precondition).await {
            Ok(_) => return Ok(Outcome::Published),
            Err(error) if error.kind() == ErrorKind::Conflict => error,
            Err(error) => return Err(error),
        };
        if Instant::now() >= deadline {
            return Err(error);
        }
        let found = match objects.read(&manifest_address(layout)).await? {
            None => {
                repair::check_and_repair(shared).await?;
                objects.read(&manifest_address(layout)).await?.map_or(Revision::ZERO, |there| there.revision)
            }
            Some(there) if there.value == sealed => return Ok(Outcome::Published),
            Some(there) => match is_newer(objects, current, &there) {
                Ok(true) => return Ok(Outcome::Superseded),
                Ok(false) => there.revision,
                // Either junk under an unknown key, or a rotation that the follower will process.
                Err(rotated) if rotated.kind() == ErrorKind::KeyRotated => {
                    shared.check()?;
                    let repaired = repair::check_and_repair(shared).await;
                    repaired
                        .or_else(|error| if error.kind() == ErrorKind::KeyRotated { Ok(()) } else { Err(error) })?;
                    backoff.wait().await;
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        // What the entry holds now may have replaced a newer manifest that this process has not
        // seen.
        if found != revision {
            shared.progress.begin_grace_period();
            if !wait_for_grace_period(shared, current, deadline).await? {
                return Ok(Outcome::Superseded);
            }
        }
        revision = found;
        backoff.wait().await;
    }
}

/// Returns whether the entry holds a newer manifest than `current`.
fn is_newer(objects: &Objects, current: &ManifestVersion, there: &Entry) -> Result<bool> {
    match manifest::open_manifest(objects, there) {
        Ok(other) => Ok(other.generation() > current.generation() && other.epoch >= current.manifest.epoch),
        Err(error) if manifest::is_missing_or_invalid(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until the follower has adopted or rejected the manifest.
async fn wait(shared: &Shared, generation: u64, digest: Digest) -> Result<Outcome> {
    let reached = shared
        .progress
        .wait_until(|progress| progress.seen.generation >= generation || progress.refused == Some(digest));
    tokio::time::timeout(shared.settings.write_timeout, reached).await.unwrap_or_else(|_| {
        let message = "the manifest was written, but it could not be read back in time";
        Err(Error::new(ErrorKind::OutcomeUnknown, message))
    })?;
    let manifest = Arc::clone(&shared.view().manifest);
    let is_ancestor = manifest.ancestor(&shared.objects, generation).await? == Some(digest);
    Ok(if is_ancestor { Outcome::Published } else { Outcome::Superseded })
}

/// Stores the window and the new blocks of `order` for a manifest at its position. Returns the
/// entry of the window and the blocks that the window names.
pub(crate) async fn store_order(
    objects: &Objects,
    order: &Order,
    stored: &mut Stored,
) -> Result<(Option<WindowEntry>, Vec<DigestBlock>)> {
    if order.position() == 0 {
        return Ok((None, Vec::new()));
    }
    let bucket = &objects.layout.metadata;
    let known = order.blocks().last().map(|block| block.index);
    let mut blocks = Vec::new();
    for (index, digests) in order.full_blocks() {
        if known.is_some_and(|known| index <= known) {
            continue;
        }
        let bytes = block_to_bytes(&digests);
        let chunked = objects.store_chunked(kind::DIGEST_BLOCK, &bytes, &SealOptions::default()).await?;
        stored.add(bucket, chunked.keys()?);
        let (secret, chunk_count, digest) = (chunked.secret, chunked.chunk_count, block_digest(&bytes));
        blocks.push(DigestBlock { index, secret, chunk_count, digest });
    }
    let window: Window = order.clone().window(blocks);
    let bytes = window.to_bytes();
    let chunked = objects.store_chunked(kind::WINDOW, &bytes, &SealOptions::default()).await?;
    stored.add(bucket, chunked.keys()?);
    let entry = WindowEntry { secret: chunked.secret, chunk_count: chunked.chunk_count, digest: window_digest(&bytes) };
    Ok((Some(entry), window.blocks))
}

/// Removes the objects of the order that a newer manifest no longer names: the window of `before`,
/// and the blocks that are no longer retained.
pub(crate) async fn remove_order(shared: &Shared, before: &Manifest, order: &Order) {
    let objects = &shared.objects;
    let newest = shared.view().manifest.position() / objects.rules.window();
    let is_dropped = |block: &&DigestBlock| block.index + (RETAINED_BLOCKS as u64) < newest;
    let dropped = order.blocks().iter().filter(is_dropped).map(DigestBlock::chunked);
    for superseded in before.window.iter().map(WindowEntry::chunked).chain(dropped) {
        if let Ok(keys) = superseded.keys() {
            objects.discard(&objects.layout.metadata, &keys).await;
        }
    }
}
