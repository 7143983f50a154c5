//! Keeps the number of segments small: several of one size class become one of the next, without what was deleted.
//!
//! Source: the tiered compaction of log-structured merge trees (O'Neil et al. 1996), as search engines use it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cim_ipld_index::{Deletes, MAX_SEGMENT_DOCUMENTS, Segment, merge_segments};

use crate::Result;
use crate::format::manifest::{SegmentEntry, Watermark};
use crate::pass::Pass;
use crate::publish::Publication;
use crate::segment_writer::{Stored, store_segment};
use crate::segments::SegmentHandle;
use crate::shared::Shared;
use crate::snapshots;
use crate::state::{Origin, View};

/// How many segments of one size class there may be; also how much larger the next class is.
const FAN_OUT: usize = 8;
/// Segments below this size are of the smallest class.
const SMALLEST_BYTES: u64 = 1 << 20;

/// Merges once if any class has too many segments; returns whether it did.
pub(crate) async fn step(shared: &Arc<Shared>) -> Result<bool> {
    let view = shared.view();
    let budget = shared.settings.cache_budget_bytes as u64;
    let Some(chosen) = choose(&view.manifest.manifest.segments, budget) else { return Ok(false) };
    let mut stored = Stored::default();
    let published = match prepare(shared, &view, &chosen, &mut stored).await {
        Ok(publication) => publication.publish(shared, stored).await?,
        Err(error) => {
            stored.discard(shared).await;
            return Err(error);
        }
    };
    if published {
        let old: Vec<SegmentEntry> = view.manifest.manifest.segments.clone();
        snapshots::remove_unnamed(shared, &old).await?;
    }
    Ok(published)
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
async fn prepare(shared: &Arc<Shared>, view: &View, chosen: &[usize], stored: &mut Stored) -> Result<Publication> {
    let manifest = &view.manifest.manifest;
    let (mut inputs, mut handles) = (Vec::with_capacity(chosen.len()), Vec::with_capacity(chosen.len()));
    for position in chosen {
        let handle = Arc::new(SegmentHandle::new(manifest.segments[*position].clone()));
        inputs.push(shared.objects.fetch_segment(&handle, shared.settings.parallel_transfers).await?);
        handles.push(handle);
    }
    let pass = Pass::new(shared, handles);
    let built = store_segment(shared, stored, move |sink| {
        let inputs: Vec<(&Segment, &Deletes)> = inputs.iter().map(|(segment, deletes)| (&**segment, deletes)).collect();
        pass.outcome(merge_segments(&inputs, &pass, sink))
    })
    .await?;
    let merged = chosen.iter().map(|position| manifest.segments[*position].id).collect();
    let mut segments: Vec<SegmentEntry> = Vec::with_capacity(manifest.segments.len());
    let mut new = built.segment;
    let mut segment = None;
    for (position, entry) in manifest.segments.iter().enumerate() {
        if !chosen.contains(&position) {
            segments.push(entry.clone());
        } else if let Some((opened, entry)) = new.take() {
            segments.push(entry);
            segment = Some(opened);
        }
    }
    let origin = Origin::Segments { merged, document_maps: built.document_maps };
    Ok(Publication {
        current: Arc::clone(&view.manifest),
        watermark: Watermark::At(view.manifest.watermark().number()),
        segments,
        segment,
        origin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::manifest::DeletesEntry;

    fn segment(bytes: u64, documents: u32, deleted: u32) -> SegmentEntry {
        let deletes = (deleted > 0).then_some(DeletesEntry { secret: [0; 32], chunks: 1, documents: deleted });
        SegmentEntry { id: [0; 16], secret: [0; 32], pages: Vec::new(), documents, bytes, deletes }
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
