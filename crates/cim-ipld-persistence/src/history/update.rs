//! The one place that changes the manifest: a compare-and-set against what it descends from, and
//! what becomes of it.

use std::sync::Arc;

use cim_ipld_backend::{Entry, Precondition, Revision};
use cim_ipld_envelope::SealOptions;
use tokio::time::Instant;

use super::manifest::{self, ManifestVersion, manifest_address, seal_manifest, store_node};
use super::order::Order;
use super::remains;
use super::shared::Shared;
use super::state::{Origin, Replacement};
use crate::format::digest::Digest;
use crate::format::manifest::{Manifest, SegmentEntry, SnapshotEntry, Watermark, WindowEntry};
use crate::format::window::{DigestChunk, RETAINED_CHUNKS, Window, chunk_digest, chunk_to_bytes, window_digest};
use crate::objects::segment_writer::{BuiltSegment, Stored};
use crate::objects::{Backoff, Objects, kind};
use crate::rules::Rule;
use crate::{Error, ErrorKind, Result};

/// What a new manifest says; everything it names is stored.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) watermark: Watermark,
    pub(crate) epoch: u64,
    pub(crate) window: Option<WindowEntry>,
    pub(crate) segments: Vec<SegmentEntry>,
    pub(crate) snapshots: Vec<SnapshotEntry>,
}

impl Proposal {
    /// A manifest that says the same as `current`, to be changed.
    pub(crate) fn again(current: &Manifest) -> Self {
        Self {
            watermark: current.watermark.clone(),
            epoch: current.epoch,
            window: current.window.clone(),
            segments: current.segments.clone(),
            snapshots: current.snapshots.clone(),
        }
    }

    /// The same at the position of `order`.
    pub(crate) fn at(mut self, order: &Order, window: Option<WindowEntry>) -> Self {
        (self.watermark, self.epoch, self.window) = (order.watermark(), order.epoch(), window);
        self
    }
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is the manifest, or an ancestor of it, and this process follows it.
    Published,
    /// Another one came first.
    Superseded,
}

/// Publishes the proposal as the successor of `current`, which this process follows, and waits
/// until it follows that. What replaces segments is taken over without reading it back.
///
/// # Errors
/// `OutcomeUnknown` when it may have been published, and what the store answers.
pub(crate) async fn publish(
    shared: &Shared,
    current: &ManifestVersion,
    proposal: Proposal,
    replacement: Option<(Option<BuiltSegment>, Origin)>,
) -> Result<Outcome> {
    try_publish(shared, current, proposal, replacement).await.map_err(|failed| failed.error)
}

/// Why a manifest was not published, or is not known to have been.
struct Failed {
    error: Error,
    /// Whether it may be in the store.
    may_stand: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let may_stand = error.kind() == ErrorKind::OutcomeUnknown;
        Self { error, may_stand }
    }
}

async fn try_publish(
    shared: &Shared,
    current: &ManifestVersion,
    proposal: Proposal,
    replacement: Option<(Option<BuiltSegment>, Origin)>,
) -> Result<Outcome, Failed> {
    let objects = &shared.objects;
    if !wait_settled(shared, current, Instant::now() + shared.settings.write_timeout).await? {
        return Ok(Outcome::Superseded);
    }
    let next = succeed(objects, current, proposal).await?;
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
        // Whatever stops this process from following it: it is in the store.
        Ok(Outcome::Published) => {
            wait(shared, generation, digest).await.map_err(|error| Failed { error, may_stand: true })
        }
        Ok(Outcome::Superseded) => {
            shared.wait_generation(generation).await.map(|()| Outcome::Superseded).map_err(Failed::from)
        }
        // It may have been published all the same, which shows when it comes round.
        Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
            wait(shared, generation, digest).await.map_err(|_| Failed::from(error))
        }
        Err(error) => Err(error.into()),
    };
    shared.set_replacement(None);
    outcome
}

/// Waits while a newer manifest may still be put back, but not for ever: somebody may go on
/// disturbing the place. Returns false when there is a newer one now.
async fn wait_settled(shared: &Shared, current: &ManifestVersion, deadline: Instant) -> Result<bool> {
    loop {
        let (generation, until) = shared.progress.read(|progress| (progress.seen.generation, progress.unsettled_until));
        if generation > current.generation() {
            return Ok(false);
        }
        let until = until.filter(|_| shared.objects.rules.hold(Rule::Settle));
        match until.filter(|until| *until > Instant::now()).map(|until| until.min(deadline)) {
            Some(until) if Instant::now() < deadline => tokio::time::sleep_until(until).await,
            _ => return Ok(true),
        }
        shared.check()?;
    }
}

/// As [`publish`], and removes what was stored for the proposal when it came to nothing.
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

/// As [`publish_or_discard`], but keeps what was stored when another manifest came first, for
/// another proposal.
pub(crate) async fn publish_or_keep(
    shared: &Shared,
    current: &ManifestVersion,
    proposal: Proposal,
    replacement: Option<(Option<BuiltSegment>, Origin)>,
    stored: &mut Stored,
) -> Result<Outcome> {
    let published = try_publish(shared, current, proposal, replacement).await;
    match &published {
        // The manifest may name what was stored: garbage is better than loss.
        Ok(_) | Err(Failed { may_stand: true, .. }) => {}
        Err(_) => std::mem::take(stored).discard(&shared.objects).await,
    }
    published.map_err(|failed| failed.error)
}

/// Builds the successor of `current`; stores the nodes of its ancestry that became full.
async fn succeed(objects: &Objects, current: &ManifestVersion, proposal: Proposal) -> Result<Manifest> {
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

/// Puts the sealed manifest in the place of `current`, or of whatever else is there that is not
/// newer: junk, or an older manifest that somebody put there again.
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
                remains::check(shared).await?;
                objects.read(&manifest_address(layout)).await?.map_or(Revision::ZERO, |there| there.revision)
            }
            Some(there) if there.value == sealed => return Ok(Outcome::Published),
            Some(there) => match is_newer(objects, current, &there) {
                Ok(true) => return Ok(Outcome::Superseded),
                Ok(false) => there.revision,
                // Under a key that nobody has, or a rotation that this process comes to.
                Err(rotated) if rotated.kind() == ErrorKind::KeyRotated => {
                    shared.check()?;
                    let mended = remains::check(shared).await;
                    mended.or_else(|error| if error.kind() == ErrorKind::KeyRotated { Ok(()) } else { Err(error) })?;
                    backoff.wait().await;
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        // It may stand where a newer manifest stood that this process has not seen.
        if found != revision {
            shared.progress.disturb();
            if !wait_settled(shared, current, deadline).await? {
                return Ok(Outcome::Superseded);
            }
        }
        revision = found;
        backoff.wait().await;
    }
}

/// Whether what is in the manifest's place is newer than `current`; junk is not.
fn is_newer(objects: &Objects, current: &ManifestVersion, there: &Entry) -> Result<bool> {
    match manifest::open_manifest(objects, there) {
        Ok(other) => Ok(other.generation() > current.generation() && other.epoch >= current.manifest.epoch),
        Err(error) if manifest::is_no_manifest(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until this process follows the manifest, or has seen that it will not.
async fn wait(shared: &Shared, generation: u64, digest: Digest) -> Result<Outcome> {
    let reached = shared
        .progress
        .wait_until(|progress| progress.seen.generation >= generation || progress.refused == Some(digest));
    tokio::time::timeout(shared.settings.write_timeout, reached).await.unwrap_or_else(|_| {
        let message = "the manifest was written, but the store does not let it be read back";
        Err(Error::new(ErrorKind::OutcomeUnknown, message))
    })?;
    let manifest = Arc::clone(&shared.view().manifest);
    let is_ancestor = manifest.ancestor(&shared.objects, generation).await? == Some(digest);
    Ok(if is_ancestor { Outcome::Published } else { Outcome::Superseded })
}

/// Stores what a manifest at the position of `order` names of it. Returns the window's entry, and
/// the chunks in it.
pub(crate) async fn store_order(
    objects: &Objects,
    order: &Order,
    stored: &mut Stored,
) -> Result<(Option<WindowEntry>, Vec<DigestChunk>)> {
    if order.position() == 0 {
        return Ok((None, Vec::new()));
    }
    let bucket = &objects.layout.metadata;
    let known = order.chunks().last().map(|chunk| chunk.number);
    let mut chunks = Vec::new();
    for (number, digests) in order.full_chunks() {
        if known.is_some_and(|known| number <= known) {
            continue;
        }
        let bytes = chunk_to_bytes(&digests);
        let chunked = objects.store_chunked(kind::ORDER_CHUNK, &bytes, &SealOptions::default()).await?;
        stored.add(bucket, chunked.keys()?);
        let (secret, chunk_count, digest) = (chunked.secret, chunked.chunks, chunk_digest(&bytes));
        chunks.push(DigestChunk { number, secret, chunks: chunk_count, digest });
    }
    let window: Window = order.clone().window(chunks);
    let bytes = window.to_bytes();
    let chunked = objects.store_chunked(kind::WINDOW, &bytes, &SealOptions::default()).await?;
    stored.add(bucket, chunked.keys()?);
    let entry = WindowEntry { secret: chunked.secret, chunks: chunked.chunks, digest: window_digest(&bytes) };
    Ok((Some(entry), window.chunks))
}

/// Removes what a manifest with the order's newer past replaced in `before`: its window, and chunks
/// that are no longer retained.
pub(crate) async fn remove_order(shared: &Shared, before: &Manifest, order: &Order) {
    let objects = &shared.objects;
    let newest = shared.view().manifest.position() / objects.rules.window();
    let is_dropped = |chunk: &&DigestChunk| chunk.number + (RETAINED_CHUNKS as u64) < newest;
    let dropped = order.chunks().iter().filter(is_dropped).map(DigestChunk::chunked);
    for superseded in before.window.iter().map(WindowEntry::chunked).chain(dropped) {
        if let Ok(keys) = superseded.keys() {
            objects.discard(&objects.layout.metadata, &keys).await;
        }
    }
}
