//! Keeps the number of segments small: several of one size class become one of the next, without what was deleted.
//!
//! Source: the tiered compaction of log-structured merge trees (O'Neil et al. 1996), as search engines use it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cim_ipld_index::{Deletes, MAX_SEGMENT_DOCUMENTS, Segment, merge_segments};

use crate::Result;
use crate::format::manifest::SegmentEntry;
use crate::history::references::remove_unnamed;
use crate::history::shared::Shared;
use crate::history::state::{Origin, View};
use crate::history::update::{Outcome, Proposal, publish_or_discard};
use crate::objects::pass::Pass;
use crate::objects::segment_writer::{BuiltSegment, Stored, store_segment};
use crate::objects::segments::SegmentHandle;

/// How many segments of one size class there may be; also how much larger the next class is.
const FAN_OUT: usize = 8;
/// Segments below this size are of the smallest class.
const SMALLEST_BYTES: u64 = 1 << 20;

/// Merges once if any class has too many segments; returns whether there may be more to do.
pub(crate) async fn step(shared: &Arc<Shared>) -> Result<bool> {
    let view = shared.view();
    let budget = shared.settings.cache_budget_bytes as u64;
    let Some(chosen) = choose(&view.manifest.manifest.segments, budget) else { return Ok(false) };
    let mut stored = Stored::default();
    let (proposal, segment, origin) = match prepare(shared, &view, &chosen, &mut stored).await {
        Ok(prepared) => prepared,
        Err(error) => {
            stored.discard(&shared.objects).await;
            // Another process may have merged the same segments: what is chosen then is chosen anew.
            return shared.move_on(view.manifest.generation(), error).await.map(|()| true);
        }
    };
    let replacement = Some((segment, origin));
    let outcome = publish_or_discard(shared, &view.manifest, proposal, replacement, stored).await?;
    if outcome == Outcome::Published {
        shared.note_published();
        remove_unnamed(shared, &view.manifest.manifest.segments).await?;
    }
    Ok(outcome == Outcome::Published)
}

/// Chooses what to merge, by position: a full size class, or one segment of which most is deleted. Writers may have to
/// wait for a merge, so its inputs together are no larger than `budget_bytes`; what comes of it is one segment, which has
/// room for so many documents only.
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

/// Stores the merged segment. It holds the inputs as of the manifest: what the journal deleted since is marked when the
/// follower takes the new manifest up, so that a snapshot of that manifest misses nothing.
async fn prepare(
    shared: &Arc<Shared>,
    view: &View,
    chosen: &[usize],
    stored: &mut Stored,
) -> Result<(Proposal, Option<BuiltSegment>, Origin)> {
    let (manifest, objects) = (&view.manifest.manifest, &shared.objects);
    let (mut inputs, mut handles) = (Vec::with_capacity(chosen.len()), Vec::with_capacity(chosen.len()));
    for position in chosen {
        let handle = Arc::new(SegmentHandle::new(manifest.segments[*position].clone()));
        let segment = objects.fetch_segment(&handle).await?;
        inputs.push((segment, objects.fetch_deletes(handle.entry.deletes.as_ref()).await?));
        handles.push(handle);
    }
    let pass = Pass::new(objects, handles).await?;
    let built = store_segment(objects, &shared.text_options(), stored, move |sink| {
        let inputs: Vec<(&Segment, &Deletes)> = inputs.iter().map(|(segment, deletes)| (&**segment, deletes)).collect();
        pass.outcome(merge_segments(&inputs, &pass, sink))
    })
    .await?;
    let merged = chosen.iter().map(|position| manifest.segments[*position].id).collect();
    let mut segments: Vec<SegmentEntry> = Vec::with_capacity(manifest.segments.len());
    let mut new = built.segment.iter().map(|segment| segment.handle.entry.clone());
    for (position, entry) in manifest.segments.iter().enumerate() {
        if chosen.contains(&position) {
            segments.extend(new.next());
        } else {
            segments.push(entry.clone());
        }
    }
    let origin = Origin::Segments { merged, document_maps: built.document_maps };
    Ok((Proposal { segments, ..Proposal::again(manifest) }, built.segment, origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::digest::Digest;
    use crate::format::manifest::DeletesEntry;

    fn segment(bytes: u64, documents: u32, deleted: u32) -> SegmentEntry {
        let deletes = (deleted > 0).then_some(DeletesEntry {
            secret: [0; 32],
            chunks: 1,
            documents: deleted,
            digest: Digest::default(),
        });
        SegmentEntry {
            id: [0; 16],
            secret: [0; 32],
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
