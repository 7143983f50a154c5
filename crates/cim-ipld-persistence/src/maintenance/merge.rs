//! Merges segments, to keep their number small: several segments of one size class become one
//! segment of the next class, without the deleted documents.
//!
//! Source: the tiered compaction of log-structured merge trees (O'Neil et al. 1996), as search
//! engines use it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cim_ipld_index::{Deletes, DocId, MAX_SEGMENT_DOCUMENTS, Segment, merge_segments};

use crate::Result;
use crate::format::manifest::{Manifest, SegmentEntry};
use crate::history::references::remove_unnamed;
use crate::history::shared::Shared;
use crate::history::state::{Origin, View, remap_deletes};
use crate::history::update::{Outcome, Proposal, publish_or_keep};
use crate::objects::pass::Pass;
use crate::objects::segment_writer::{BuiltSegment, Stored, store_segment};
use crate::objects::segments::SegmentHandle;
use crate::rules::Rule;

/// The number of segments at which a size class is full, and the ratio between size classes.
const FAN_OUT: usize = 8;
/// The unit of the size classes: a segment below `FAN_OUT` times this size belongs to the smallest
/// class.
const SMALLEST_BYTES: u64 = 1 << 20;

/// The maximum number of times that one merge is proposed. It is proposed again if another process
/// published a manifest first, but left the inputs of the merge unchanged.
const PROPOSALS: usize = 16;

/// A stored merged segment that is not published yet.
struct Merged {
    /// The number of garbage collections of the index before the segment was stored.
    collections: u64,
    inputs: Vec<(SegmentEntry, Arc<Deletes>)>,
    /// `None` if no live document was left.
    segment: Option<BuiltSegment>,
    /// For each input, the new ids of its documents.
    document_maps: Vec<Vec<Option<DocId>>>,
}

/// Performs one merge if a size class is full or a segment consists mostly of deleted documents,
/// and returns whether there may be more to do. Unless forced, it does nothing while another
/// process is expected to merge.
pub(crate) async fn step(shared: &Arc<Shared>, is_forced: bool) -> Result<bool> {
    let view = shared.view();
    let budget = shared.settings.cache_budget_bytes as u64;
    let Some(chosen) = choose(&view.manifest.manifest.segments, budget) else { return Ok(false) };
    if !is_forced && !is_turn(shared, &view.manifest.manifest.segments, &chosen) {
        return Ok(false);
    }
    let mut stored = Stored::default();
    let merged = match merge(shared, &view, &chosen, &mut stored).await {
        Ok(merged) => merged,
        Err(error) => {
            stored.discard(&shared.objects).await;
            // Another process may have merged the same segments. The next step chooses again.
            return shared.wait_for_newer_manifest(view.manifest.generation(), error).await.map(|()| true);
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
        if publish_or_keep(shared, &view.manifest, proposal, replacement, &mut stored).await? == Outcome::Published {
            shared.note_published();
            remove_unnamed(shared, &view.manifest.manifest.segments).await?;
            return Ok(true);
        }
        stored.split_off(before).discard(&shared.objects).await;
    }
    stored.discard(&shared.objects).await;
    Ok(false)
}

/// Returns whether this process, which published last, should merge the chosen segments. The
/// process whose fold filled the class merges it. Processes that fold later wait for that process,
/// unless the class has become twice as full.
fn is_turn(shared: &Shared, segments: &[SegmentEntry], chosen: &[usize]) -> bool {
    if chosen.len() <= FAN_OUT || chosen.len() >= 2 * FAN_OUT {
        return true;
    }
    shared.merge_turn.wait(segments[chosen[0]].id, |took| shared.patience(took));
    shared.merge_turn.is_due()
}

/// Chooses the segments to merge, by index: a full size class, or one segment with mostly deleted
/// documents. The total size of the inputs is limited to `budget_bytes`, because writers may have
/// to wait for a merge. The total number of their documents is limited to what one segment can
/// hold.
fn choose(segments: &[SegmentEntry], budget_bytes: u64) -> Option<Vec<usize>> {
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (position, segment) in segments.iter().enumerate() {
        let deleted = segment.deletes.as_ref().map_or(0, |deletes| deletes.documents);
        if deleted > segment.documents / 2 && segment.bytes <= budget_bytes {
            return Some(vec![position]);
        }
        let class = (segment.bytes / SMALLEST_BYTES).max(1).ilog2() / FAN_OUT.ilog2();
        classes.entry(class).or_default().push(position);
    }
    classes.into_values().find(|positions| {
        let bytes: u64 = positions.iter().map(|position| segments[*position].bytes).sum();
        let documents: u64 = positions.iter().map(|position| u64::from(segments[*position].documents)).sum();
        positions.len() >= FAN_OUT && bytes <= budget_bytes && documents <= u64::from(MAX_SEGMENT_DOCUMENTS)
    })
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
    Ok(Merged { collections: manifest.collections, inputs, segment: built.segment, document_maps: built.document_maps })
}

impl Merged {
    fn origin(&self) -> Origin {
        let merged = self.inputs.iter().map(|(entry, _)| entry.id).collect();
        Origin::Segments { merged, document_maps: self.document_maps.clone() }
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
        for ((input, before), document_map) in self.inputs.iter().zip(&self.document_maps) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::digest::Digest;
    use crate::format::manifest::DeletesEntry;
    use crate::format::name_secret::NameSecret;

    fn segment(bytes: u64, documents: u32, deleted: u32) -> SegmentEntry {
        let deletes = (deleted > 0).then_some(DeletesEntry {
            secret: NameSecret([0; 32]),
            chunk_count: 1,
            documents: deleted,
            digest: Digest::default(),
        });
        SegmentEntry {
            id: [0; 16],
            secret: NameSecret([0; 32]),
            pages: Vec::new(),
            digests: Digest::default(),
            documents,
            bytes,
            deletes,
        }
    }

    #[test]
    fn chooses_a_full_class_or_a_mostly_deleted_segment() {
        let small = || segment(1000, 10, 0);
        let large = || segment(100 << 20, 10, 0);
        type Case = (&'static str, Vec<SegmentEntry>, u64, Option<Vec<usize>>);
        let cases: [Case; 7] = [
            ("nothing", vec![], 1 << 30, None),
            ("seven small", (0..7).map(|_| small()).collect(), 1 << 30, None),
            ("eight small", (0..8).map(|_| small()).collect(), 1 << 30, Some((0..8).collect())),
            ("eight of two classes", (0..4).flat_map(|_| [small(), large()]).collect(), 1 << 30, None),
            ("over the budget", (0..8).map(|_| large()).collect(), 256 << 20, None),
            ("too many documents", (0..8).map(|_| segment(1000, 1 << 22, 0)).collect(), 1 << 30, None),
            ("mostly deleted", vec![small(), segment(1000, 10, 6)], 1 << 30, Some(vec![1])),
        ];
        for (what, segments, budget, expected) in cases {
            assert_eq!(choose(&segments, budget), expected, "{what}");
        }
    }
}
