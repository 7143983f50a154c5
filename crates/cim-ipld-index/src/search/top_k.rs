//! The top-k candidates of one source.

use std::cmp::Ordering;

use crate::memtable::MemtableView;
use crate::page::DocId;
use crate::score::Points;

/// Keeps the `limit` best documents: by decreasing points, then by increasing CID.
pub(crate) struct TopK<'a> {
    limit: usize,
    /// A binary heap with the worst kept document at its root.
    heap: Vec<(Points, u32)>,
    /// The memtable, whose CIDs break ties. For a segment it is `None`, because its documents are
    /// numbered in CID order.
    view: Option<&'a MemtableView>,
    floor: Points,
}

impl<'a> TopK<'a> {
    /// Creates a heap for documents of a segment.
    pub(crate) fn of_segment(limit: usize) -> Self {
        Self::new(limit, None)
    }

    /// Creates a heap for documents of a memtable.
    pub(crate) fn of_memtable(limit: usize, view: &'a MemtableView) -> Self {
        Self::new(limit, Some(view))
    }

    fn new(limit: usize, view: Option<&'a MemtableView>) -> Self {
        let floor = if limit == 0 { Points::MAX } else { 0 };
        Self { limit, heap: Vec::with_capacity(limit.min(1024)), view, floor }
    }

    /// Returns the maximum number of documents to keep.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the minimum points with which a document may be kept, in whatever order documents
    /// are offered.
    #[inline]
    pub(crate) fn floor(&self) -> Points {
        self.floor
    }

    /// Returns the minimum points with which a document is kept if its number is above all numbers
    /// offered so far.
    #[inline]
    pub(crate) fn floor_in_order(&self) -> Points {
        // In a segment, document numbers follow the CIDs, so a later document loses a tie.
        self.floor.saturating_add(Points::from(self.view.is_none() && self.heap.len() == self.limit))
    }

    #[inline]
    pub(crate) fn offer(&mut self, points: Points, document: u32) {
        if points >= self.floor {
            self.take((points, document));
        }
    }

    #[inline(never)]
    fn take(&mut self, entry: (Points, u32)) {
        if self.heap.len() < self.limit {
            self.heap.push(entry);
            self.sift_up(self.heap.len() - 1);
        } else if self.limit > 0 && self.is_worse(self.heap[0], entry) {
            self.heap[0] = entry;
            self.sift_down();
        }
        if self.limit > 0 && self.heap.len() == self.limit {
            self.floor = self.heap[0].0;
        }
    }

    /// Returns the kept (points, document) pairs, best first.
    pub(crate) fn finish(mut self) -> Vec<(Points, u32)> {
        let mut heap = std::mem::take(&mut self.heap);
        heap.sort_unstable_by(|a, b| self.order(*a, *b));
        heap
    }

    /// Orders better documents first.
    fn order(&self, a: (Points, u32), b: (Points, u32)) -> Ordering {
        b.0.cmp(&a.0).then_with(|| match self.view {
            None => a.1.cmp(&b.1),
            Some(view) => view.cid_bytes(DocId(a.1)).cmp(&view.cid_bytes(DocId(b.1))),
        })
    }

    fn is_worse(&self, a: (Points, u32), b: (Points, u32)) -> bool {
        self.order(a, b) == Ordering::Greater
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.is_worse(self.heap[at], self.heap[parent]) {
                break;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    fn sift_down(&mut self) {
        let mut at = 0;
        loop {
            let mut worst = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.is_worse(self.heap[child], self.heap[worst]) {
                    worst = child;
                }
            }
            if worst == at {
                break;
            }
            self.heap.swap(at, worst);
            at = worst;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_are_kept_in_order(
            scores in proptest::collection::vec(0u32..6, 0..60),
            limit in 0usize..12,
            backwards in any::<bool>(),
        ) {
            let mut top = TopK::of_segment(limit);
            let mut all: Vec<(Points, u32)> = scores.iter().copied().zip(0..).collect();
            if backwards {
                all.reverse();
            }
            for (points, document) in &all {
                let would_enter = *points >= if backwards { top.floor() } else { top.floor_in_order() };
                let before = top.heap.clone();
                top.offer(*points, *document);
                prop_assert!(would_enter || top.heap == before);
            }
            all.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            all.truncate(limit);
            prop_assert_eq!(top.finish(), all);
        }
    }
}
