//! The best candidates of one source.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Keeps the `limit` best documents: score from high to low, equal scores by key from low to high.
pub(crate) struct TopK<K> {
    limit: usize,
    /// The worst of the best is on top.
    heap: BinaryHeap<Entry<K>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry<K> {
    score: f32,
    key: K,
    document: u32,
}

impl<K: Ord> TopK<K> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::with_capacity(limit.min(1024) + 1) }
    }

    /// Returns the score below which a document cannot enter.
    #[inline]
    pub(crate) fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.limit => worst.score,
            _ => f32::NEG_INFINITY,
        }
    }

    #[inline]
    pub(crate) fn offer(&mut self, score: f32, document: u32, key: impl FnOnce(u32) -> K) {
        if score < self.threshold() || self.limit == 0 {
            return;
        }
        let entry = Entry { score, key: key(document), document };
        if self.heap.len() < self.limit {
            self.heap.push(entry);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && entry < *worst
        {
            *worst = entry;
        }
    }

    /// Returns (score, document), best first.
    pub(crate) fn finish(self) -> Vec<(f32, u32)> {
        self.heap.into_sorted_vec().into_iter().map(|entry| (entry.score, entry.document)).collect()
    }
}

impl<K: Ord> Ord for Entry<K> {
    /// Better is less.
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.key.cmp(&other.key))
    }
}

impl<K: Ord> PartialOrd for Entry<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: PartialEq> Eq for Entry<K> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_are_kept_in_order(scores in proptest::collection::vec(0u8..6, 0..60), limit in 0usize..12) {
            let mut top = TopK::new(limit);
            let mut all: Vec<(f32, u32)> = Vec::new();
            for (document, score) in scores.iter().enumerate() {
                top.offer(f32::from(*score), document as u32, |document| 1000 - document);
                all.push((f32::from(*score), document as u32));
            }
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
            all.truncate(limit);
            prop_assert_eq!(top.finish(), all);
        }
    }
}
