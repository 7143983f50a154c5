//! Chooses the segments that a merge combines.
//!
//! A size class is full once it has [`FAN_OUT`] segments, so an index has fewer than that many
//! segments in each class, and their number grows with the logarithm of its size.

use std::collections::BTreeMap;

use cim_ipld_index::MAX_SEGMENT_DOCUMENTS;

use crate::format::manifest::SegmentEntry;

/// The number of segments at which a size class is full, and the ratio between size classes.
pub(super) const FAN_OUT: usize = 8;
/// The number of segments in a size class at which writes wait for a merge.
pub(super) const BEHIND: usize = 4 * FAN_OUT;
/// The maximum number of segments that one merge reads.
const MAX_INPUTS: usize = 2 * FAN_OUT;
/// The unit of the size classes: a segment below `FAN_OUT` times this size belongs to the smallest
/// class.
const SMALLEST_BYTES: u64 = 1 << 20;

/// The inputs of a merge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The indices of the segments, ascending.
    pub(super) positions: Vec<usize>,
    /// The number of segments of the class that a merge could take, or 1 for a segment that is
    /// rewritten because most of its documents are deleted.
    pub(super) waiting: usize,
}

/// Chooses the inputs of a merge: a segment with mostly deleted documents, or the smallest segments
/// of the first size class with at least `least` of them. If that is more than a full class, writes
/// wait for the merge, and deleted documents do not matter.
///
/// A merge holds a few bytes for each document of its inputs, so it takes as many segments as have
/// at most `max_documents` together. A segment with more than half of that is left alone, and does
/// not count as part of its class: it is as large as merging makes it.
pub(super) fn choose(
    segments: &[SegmentEntry],
    least: usize,
    max_documents: u32,
    is_free: impl Fn(&SegmentEntry) -> bool,
) -> Option<Choice> {
    let max_documents = max_documents.min(MAX_SEGMENT_DOCUMENTS);
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (position, segment) in segments.iter().enumerate().filter(|(_, segment)| is_free(segment)) {
        let deleted = segment.deletes.as_ref().map_or(0, |deletes| deletes.documents);
        if deleted > segment.documents / 2 && least <= FAN_OUT {
            return Some(Choice { positions: vec![position], waiting: 1 });
        }
        if segment.documents <= max_documents / 2 {
            let class = (segment.bytes / SMALLEST_BYTES).max(1).ilog2() / FAN_OUT.ilog2();
            classes.entry(class).or_default().push(position);
        }
    }
    let mut class = classes.into_values().find(|class| class.len() >= least)?;
    let waiting = class.len();
    class.sort_by_key(|position| segments[*position].documents);
    let mut documents = 0;
    let fits = |position: &usize| {
        documents += u64::from(segments[*position].documents);
        documents <= u64::from(max_documents)
    };
    let mut positions: Vec<usize> = class.into_iter().take(MAX_INPUTS).take_while(fits).collect();
    positions.sort_unstable();
    Some(Choice { positions, waiting })
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
    fn chooses_the_segments_of_a_full_class_that_fit_or_a_mostly_deleted_segment() {
        let small = || segment(1000, 10, 0);
        let large = || segment(100 << 20, 10, 0);
        let huge = || segment(100 << 30, 1000, 0);
        let many = |documents: &[u32]| documents.iter().map(|documents| segment(1000, *documents, 0)).collect();
        type Case = (&'static str, Vec<SegmentEntry>, u32, Option<(Vec<usize>, usize)>);
        let cases: [Case; 11] = [
            ("nothing", vec![], 1000, None),
            ("seven small", (0..7).map(|_| small()).collect(), 1000, None),
            ("eight small", (0..8).map(|_| small()).collect(), 1000, Some(((0..8).collect(), 8))),
            ("eight of two classes", (0..4).flat_map(|_| [small(), large()]).collect(), 1000, None),
            (
                "two full classes",
                (0..8).flat_map(|_| [large(), small()]).collect(),
                1000,
                Some(((0..8).map(|n| 2 * n + 1).collect(), 8)),
            ),
            ("any size", (0..8).map(|_| huge()).collect(), 1 << 20, Some(((0..8).collect(), 8))),
            ("too many inputs", (0..40).map(|_| small()).collect(), 1000, Some(((0..16).collect(), 40))),
            ("too many documents", many(&[50, 10, 40, 10, 50, 10, 40, 10]), 100, Some((vec![1, 3, 5, 7, 2], 8))),
            ("full segments", many(&[51, 10, 51, 10, 51, 10, 51, 10]), 100, None),
            ("mostly deleted", vec![small(), segment(1000, 10, 6)], 1000, Some((vec![1], 1))),
            ("mostly deleted and huge", vec![segment(100 << 30, 1 << 20, 1 << 20)], 1000, Some((vec![0], 1))),
        ];
        for (what, segments, max_documents, expected) in cases {
            let expected = expected.map(|(mut positions, waiting)| {
                positions.sort_unstable();
                Choice { positions, waiting }
            });
            assert_eq!(choose(&segments, FAN_OUT, max_documents, |_| true), expected, "{what}");
        }
    }

    #[test]
    fn ignores_the_inputs_of_another_merge() {
        let mut segments: Vec<SegmentEntry> = (0..16).map(|_| segment(1000, 10, 0)).collect();
        segments[..8].iter_mut().for_each(|segment| segment.id = [1; 16]);
        let choice = choose(&segments, FAN_OUT, 1000, |segment| segment.id != [1; 16]);
        assert_eq!(choice, Some(Choice { positions: (8..16).collect(), waiting: 8 }));
    }

    #[test]
    fn writes_wait_only_for_a_merge_of_many_segments() {
        let mut segments: Vec<SegmentEntry> = (0..BEHIND - 1).map(|_| segment(1000, 10, 9)).collect();
        assert_eq!(choose(&segments, BEHIND, 1000, |_| true), None);
        segments.push(segment(1000, 10, 0));
        let choice = choose(&segments, BEHIND, 1000, |_| true).expect("a class is behind");
        assert_eq!((choice.positions.len(), choice.waiting), (MAX_INPUTS, BEHIND));
    }

    /// Folds ten thousand segments of random sizes, and merges whatever is chosen.
    #[test]
    fn leaves_few_segments_of_any_total_size() {
        for (max_documents, documents_of) in [(u32::MAX, 1000), (1 << 20, 1000), (1 << 20, 200_000)] {
            let mut segments: Vec<SegmentEntry> = Vec::new();
            let (mut merged_bytes, mut folded_bytes) = (0, 0);
            for fold in 0..10_000_u64 {
                let bytes = (3 << 20) + fold.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (2 << 20);
                folded_bytes += bytes;
                segments.push(segment(bytes, documents_of, 0));
                while let Some(choice) = choose(&segments, FAN_OUT, max_documents, |_| true) {
                    let inputs: Vec<SegmentEntry> =
                        choice.positions.iter().rev().map(|position| segments.remove(*position)).collect();
                    let bytes: u64 = inputs.iter().map(|input| input.bytes).sum();
                    let documents: u32 = inputs.iter().map(|input| input.documents).sum();
                    assert!(documents <= max_documents.min(MAX_SEGMENT_DOCUMENTS) && inputs.len() > 1);
                    merged_bytes += bytes;
                    segments.push(segment(bytes, documents, 0));
                }
            }
            let documents = 10_000 * u64::from(documents_of);
            let full = 2 * documents / u64::from(max_documents.min(MAX_SEGMENT_DOCUMENTS));
            let classes = u64::from((folded_bytes / SMALLEST_BYTES).ilog2() / FAN_OUT.ilog2()) + 1;
            let limit = full + (FAN_OUT as u64 - 1) * classes;
            assert!(segments.len() as u64 <= limit, "{} segments, {limit} allowed", segments.len());
            assert!(merged_bytes <= classes * folded_bytes, "{merged_bytes} of {folded_bytes} bytes merged");
        }
    }
}
