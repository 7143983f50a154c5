//! Merges segments, to keep their number small: several segments of one size class become one
//! segment of the next class, without the deleted documents.
//!
//! A merge reads and builds segments beside writes and folds. Only its publication takes a turn
//! with them, so that the manifests of one process do not compete.
//!
//! Source: the tiered compaction of log-structured merge trees (O'Neil et al. 1996), as search
//! engines use it.

mod choice;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cim_ipld_index::{Deletes, DocId, Segment, merge_segments};

use super::{Maintenance, closed};
use crate::format::manifest::{Manifest, SegmentEntry};
use crate::history::references::remove_unnamed;
use crate::history::shared::Shared;
use crate::history::state::{Origin, View, remap_deletes};
use crate::history::update::{Outcome, Proposal, publish_or_keep};
use crate::objects::Backoff;
use crate::objects::pass::Pass;
use crate::objects::segment_writer::{BuiltSegment, Stored, store_segment};
use crate::objects::segments::SegmentHandle;
use crate::rules::Rule;
use crate::{ErrorKind, Result};
use choice::{BEHIND, Choice, FAN_OUT, choose};

/// The maximum number of times that one merge is proposed. It is proposed again if another process
/// published a manifest first, but left the inputs of the merge unchanged.
const PROPOSALS: usize = 16;

/// The rate at which another process is expected to merge, in bytes per second. A slower one may be
/// overtaken, which wastes work but is correct.
const EXPECTED_RATE: u64 = 8 << 20;

/// When a merge is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A size class is full, and it is the turn of this process.
    Turn,
    /// A size class is full.
    Full,
    /// A size class is so full that writes wait until it is merged.
    Behind,
}

/// The segments that merges of this process are reading.
#[derive(Debug, Default)]
pub(super) struct Inputs(Mutex<HashSet<[u8; 16]>>);

/// Segments that no other merge of this process takes until this is dropped.
struct Reserved<'a> {
    inputs: &'a Inputs,
    ids: Vec<[u8; 16]>,
}

impl Inputs {
    /// Chooses segments that no other merge of this process is reading, and reserves them.
    fn reserve(&self, segments: &[SegmentEntry], least: usize, max_documents: u32) -> Option<(Choice, Reserved<'_>)> {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let choice = choose(segments, least, max_documents, |segment| !reading.contains(&segment.id))?;
        let ids: Vec<[u8; 16]> = choice.positions.iter().map(|position| segments[*position].id).collect();
        reading.extend(&ids);
        Some((choice, Reserved { inputs: self, ids }))
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut reading = self.inputs.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.retain(|id| !self.ids.contains(id));
    }
}

/// A stored merged segment that is not published yet.
struct Merged {
    /// The number of garbage collections of the index before the segment was stored.
    collections: u64,
    inputs: Vec<(SegmentEntry, Arc<Deletes>)>,
    /// `None` if no live document was left.
    segment: Option<BuiltSegment>,
    /// For each input, the new ids of its documents.
    document_maps: Arc<[Vec<Option<DocId>>]>,
}

impl Maintenance {
    /// Merges beside writes whenever it is woken, until the engine is closed.
    pub(crate) async fn run_merges(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        loop {
            self.merges_due.notified().await;
            loop {
                match self.merge_once(Due::Turn).await {
                    Ok(true) => {
                        backoff = Backoff::new();
                        self.worked.notify_one();
                    }
                    Ok(false) => break,
                    Err(error) if error.kind() == ErrorKind::Closed || self.shared.progress.is_closed() => return,
                    Err(error) => {
                        tracing::warn!(%error, "merging segments failed; retrying");
                        backoff.wait().await;
                        if self.shared.check().is_err() {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Merges segments until no size class holds too many of them.
    pub(crate) async fn merge(&self) -> Result<()> {
        while self.merge_once(Due::Full).await? {}
        Ok(())
    }

    /// Performs one merge unless another one is under way, and returns whether there may be more to
    /// do.
    pub(super) async fn merge_once(&self, due: Due) -> Result<bool> {
        let _merging = self.merges.acquire().await.map_err(|_| closed())?;
        self.merge_if(due).await
    }

    /// Performs a merge if a size class is so full that writes have to wait for it, even if a merge
    /// of other segments is under way.
    pub(super) async fn merge_if_behind(&self) -> Result<bool> {
        self.shared.is_merging_first.store(true, Ordering::Relaxed);
        let merged = self.merge_if(Due::Behind).await;
        self.shared.is_merging_first.store(false, Ordering::Relaxed);
        merged
    }

    async fn merge_if(&self, due: Due) -> Result<bool> {
        let shared = &self.shared;
        let view = shared.view();
        let segments = &view.manifest.manifest.segments;
        let least = if due == Due::Behind { BEHIND } else { FAN_OUT };
        let max_documents = shared.settings.budget().merge_documents();
        let Some((choice, _reserved)) = self.merge_inputs.reserve(segments, least, max_documents) else {
            return Ok(false);
        };
        if due == Due::Turn && !(shared.published_last() && is_turn(shared, segments, &choice)) {
            return Ok(false);
        }
        let mut stored = Stored::default();
        let merged = match merge(shared, &view, &choice.positions, &mut stored).await {
            Ok(merged) => merged,
            Err(error) => {
                stored.discard(&shared.objects).await;
                // Another process may have merged the same segments. The next step chooses again.
                return shared.wait_for_newer_manifest(view.manifest.generation(), error).await.map(|()| true);
            }
        };
        self.publish_merged(merged, stored).await
    }

    async fn publish_merged(&self, merged: Merged, mut stored: Stored) -> Result<bool> {
        let shared = &self.shared;
        let turn = match self.turn().await {
            Ok(turn) => turn,
            Err(error) => {
                stored.discard(&shared.objects).await;
                return Err(error);
            }
        };
        for _ in 0..PROPOSALS {
            let view = shared.view();
            if merged.is_collected(shared, &view.manifest.manifest) {
                stored.discard(&shared.objects).await;
                return Ok(true);
            }
            let before = stored.len();
            let proposal = match merged.propose(shared, &view.manifest.manifest, &mut stored).await {
                Ok(Some(proposal)) => proposal,
                Ok(None) => break,
                Err(error) => {
                    stored.discard(&shared.objects).await;
                    return shared.wait_for_newer_manifest(view.manifest.generation(), error).await.map(|()| true);
                }
            };
            let replacement = Some((merged.segment.clone(), merged.origin()));
            // If another manifest was published first, the merge is proposed again: most concurrent
            // manifests are folds, which only add a segment.
            if publish_or_keep(shared, &view.manifest, proposal, replacement, &mut stored).await? == Outcome::Published
            {
                shared.note_published();
                drop(turn);
                remove_unnamed(shared, &view.manifest.manifest.segments).await?;
                return Ok(true);
            }
            stored.split_off(before).discard(&shared.objects).await;
        }
        stored.discard(&shared.objects).await;
        Ok(false)
    }
}

/// Returns whether this process, which published last, should merge the chosen segments. The
/// process whose fold filled the class merges it. Processes that fold later wait for that process,
/// unless the class has become twice as full.
fn is_turn(shared: &Shared, segments: &[SegmentEntry], choice: &Choice) -> bool {
    if choice.waiting <= FAN_OUT || choice.waiting >= 2 * FAN_OUT {
        return true;
    }
    let bytes: u64 = choice.positions.iter().map(|position| segments[*position].bytes).sum();
    let merging = Duration::from_secs(bytes / EXPECTED_RATE);
    shared.merge_turn.wait(segments[choice.positions[0]].id, |took| shared.patience(took) + merging);
    shared.merge_turn.is_due()
}

/// Merges the chosen segments as of the manifest of the view, and stores the result.
async fn merge(shared: &Arc<Shared>, view: &View, chosen: &[usize], stored: &mut Stored) -> Result<Merged> {
    let (manifest, objects) = (&view.manifest.manifest, &shared.objects);
    let (mut inputs, mut segments, mut handles) = (Vec::new(), Vec::new(), Vec::new());
    for position in chosen {
        let handle = Arc::new(SegmentHandle::new(manifest.segments[*position].clone()));
        segments.push(objects.fetch_segment(&handle).await?);
        let deletes = objects.fetch_deletes(handle.entry.deletes.as_ref()).await?;
        inputs.push((handle.entry.clone(), Arc::new(deletes)));
        handles.push(handle);
    }
    let pass = Pass::new(objects, handles).await?;
    let deletes: Vec<Arc<Deletes>> = inputs.iter().map(|(_, deletes)| Arc::clone(deletes)).collect();
    let built = store_segment(objects, &shared.text_options(), stored, move |sink| {
        let inputs: Vec<(&Segment, &Deletes)> =
            segments.iter().zip(&deletes).map(|(segment, deletes)| (&**segment, &**deletes)).collect();
        pass.outcome(merge_segments(&inputs, &pass, sink))
    })
    .await?;
    let document_maps = built.document_maps.into();
    Ok(Merged { collections: manifest.collections, inputs, segment: built.segment, document_maps })
}

impl Merged {
    fn origin(&self) -> Origin {
        let merged = self.inputs.iter().map(|(entry, _)| entry.id).collect();
        Origin::Segments { merged, document_maps: Arc::clone(&self.document_maps) }
    }

    /// Returns whether a garbage collection may have removed the stored segment: one was published,
    /// by the time of `manifest`, after the merge began.
    fn is_collected(&self, shared: &Shared, manifest: &Manifest) -> bool {
        manifest.collections != self.collections && shared.objects.rules.enforces(Rule::CollectionFence)
    }

    /// Returns the proposal that follows `manifest`: it names the merged segment instead of the
    /// inputs. Documents that `manifest` has deleted from the inputs since the merge are marked as
    /// deleted in the merged segment. Documents deleted by later journal records are marked when
    /// the follower adopts the new manifest, so that a snapshot of that manifest contains exactly
    /// the records up to its watermark.
    ///
    /// Returns `None` if `manifest` no longer names one of the inputs, or if documents that were
    /// already deleted from an input when it was merged are live again in `manifest`, because a
    /// snapshot was restored.
    async fn propose(&self, shared: &Shared, manifest: &Manifest, stored: &mut Stored) -> Result<Option<Proposal>> {
        let objects = &shared.objects;
        let mut deleted = Deletes::new();
        for ((input, before), document_map) in self.inputs.iter().zip(&*self.document_maps) {
            let Some(now) = manifest.segments.iter().find(|entry| entry.id == input.id) else { return Ok(None) };
            if now.deletes == input.deletes {
                continue;
            }
            let deletes = objects.fetch_deletes(now.deletes.as_ref()).await?;
            if !before.iter().all(|document| deletes.contains(document)) {
                return Ok(None);
            }
            remap_deletes(&deletes, document_map, &mut deleted);
        }
        let mut new = self.segment.as_ref().map(|segment| segment.handle.entry.clone());
        if let Some(entry) = new.as_mut().filter(|_| !deleted.is_empty()) {
            let deletes = objects.store_deletes(&deleted).await?;
            stored.add(&objects.layout.metadata, deletes.chunked().keys()?);
            entry.deletes = Some(deletes);
        }
        let is_input = |entry: &SegmentEntry| self.inputs.iter().any(|(input, _)| input.id == entry.id);
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for entry in &manifest.segments {
            if is_input(entry) {
                segments.extend(new.take());
            } else {
                segments.push(entry.clone());
            }
        }
        Ok(Some(Proposal { segments, ..Proposal::based_on(manifest) }))
    }
}
