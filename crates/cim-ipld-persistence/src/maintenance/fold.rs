//! Folds the journal into a segment: stores the pages, replaces the manifest by compare-and-set,
//! then trims the journal.
//!
//! A crash between any two steps leaves garbage but loses nothing, because the pages are
//! unreachable before the manifest is replaced and the journal is trimmed only afterwards.

use std::collections::HashSet;
use std::sync::Arc;

use cim_ipld_envelope::SealOptions;
use cim_ipld_index::build_segment;

use super::trim;
use crate::Result;
use crate::format::manifest::{DeletesEntry, Manifest, SegmentEntry};
use crate::format::name_secret::NameSecret;
use crate::history::follower::Frozen;
use crate::history::references::References;
use crate::history::shared::Shared;
use crate::history::state::{FoldInput, Origin};
use crate::history::update::{Outcome, Proposal, publish_or_discard, remove_order, store_order};
use crate::objects::Objects;
use crate::objects::segment_writer::{BuiltSegment, Stored, store_segment};

/// A stored segment, ready to be published.
pub(super) struct Prepared {
    pub(super) proposal: Proposal,
    segment: Option<BuiltSegment>,
    origin: Origin,
}

/// Folds the frozen memtable, unless another manifest is published first.
pub(crate) async fn run(shared: &Arc<Shared>, frozen: &Frozen) -> Result<()> {
    let mut stored = Stored::default();
    let (objects, text, manifest) = (&shared.objects, shared.text_options(), &frozen.manifest.manifest);
    let prepared = prepare(objects, &text, manifest, &frozen.input, &mut stored).await;
    let Prepared { proposal, segment, origin } = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            stored.discard(&shared.objects).await;
            return shared.wait_for_newer_manifest(frozen.manifest.generation(), error).await;
        }
    };
    let replacement = Some((segment, origin));
    let outcome = publish_or_discard(shared, &frozen.manifest, proposal, replacement, stored).await?;
    if outcome == Outcome::Published {
        shared.note_published();
        remove_superseded(shared, frozen).await;
        if let Err(error) = trim::run(shared).await {
            tracing::warn!(%error, "the journal was folded but not trimmed");
        }
    }
    Ok(())
}

/// Stores the new segment, the new deletes of older segments and the window of the order.
pub(super) async fn prepare(
    objects: &Objects,
    text: &SealOptions,
    manifest: &Manifest,
    input: &Arc<FoldInput>,
    stored: &mut Stored,
) -> Result<Prepared> {
    let input = Arc::clone(input);
    let mut built = store_segment(objects, text, stored, {
        let input = Arc::clone(&input);
        move |sink| Ok(build_segment(&input.memtable, &input.memtable_deletes, sink)?)
    })
    .await?;
    let mut proposal = Proposal::based_on(manifest);
    for (entry, deletes) in proposal.segments.iter_mut().zip(&input.segment_deletes) {
        if let Some(deletes) = deletes {
            let deletes = objects.store_deletes(deletes).await?;
            stored.add(&objects.layout.metadata, deletes.chunked().keys()?);
            entry.deletes = Some(deletes);
        }
    }
    let segment = built.segment.take();
    proposal.segments.extend(segment.iter().map(|segment| segment.handle.entry.clone()));
    let document_map = built.document_maps.pop().unwrap_or_default();
    let (window, blocks) = store_order(objects, &input.order, stored).await?;
    let proposal = proposal.at(&input.order, window);
    Ok(Prepared { proposal, segment, origin: Origin::Memtable { input, document_map, blocks } })
}

/// Removes the objects that the new manifest replaced: the older window and blocks of the order,
/// and the delete lists that are no longer reachable.
async fn remove_superseded(shared: &Shared, frozen: &Frozen) {
    let (objects, before) = (&shared.objects, &frozen.manifest.manifest);
    let bucket = &objects.layout.metadata;
    if !matches!(shared.holds_newest_manifest().await, Ok(true)) {
        tracing::warn!("superseded objects remain in the store because it does not hold the new manifest");
        return;
    }
    remove_order(shared, before, &frozen.input.order).await;
    let replaced = before.segments.iter().zip(&frozen.input.segment_deletes);
    let old = |(entry, new): (&SegmentEntry, &Option<_>)| new.as_ref().and(entry.deletes.clone());
    let old: Vec<DeletesEntry> = replaced.filter_map(old).collect();
    if old.is_empty() {
        return;
    }
    match named_deletes(shared).await {
        Ok(named) => {
            for entry in old.iter().filter(|entry| !named.contains(&entry.secret)) {
                if let Ok(keys) = entry.chunked().keys() {
                    objects.discard(bucket, &keys).await;
                }
            }
        }
        Err(error) => {
            tracing::warn!(%error, "superseded deletes remain in the store because the snapshots cannot be read")
        }
    }
}

/// Returns the secrets of all reachable deletes. Deletes that a fold replaced may have become
/// reachable again through a restored snapshot.
async fn named_deletes(shared: &Shared) -> Result<HashSet<NameSecret>> {
    let references = References::newest(shared).await?;
    let segments = references.segments()?.into_iter();
    Ok(segments.filter_map(|segment| segment.deletes.as_ref()).map(|deletes| deletes.secret).collect())
}
