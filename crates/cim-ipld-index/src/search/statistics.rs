//! How many documents, words and occurrences there are: what scores are made of, over all sources.
//!
//! Documents of a memtable count as long as they live, since a fold leaves out those that do not;
//! documents of a segment count until a merge leaves them out. A cursor carries the statistics of
//! the search that it is from, so that the pages of one search have one order whatever is folded,
//! merged, inserted or deleted between them.

use super::plan::{Leaf, Plan};
use super::source::{Handle, Source};
use crate::collection::Collection;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Fetcher;
use crate::score::{Saturation, term_weight};

/// Document frequencies and lengths over all sources.
pub(super) struct CollectionStatistics {
    pub(super) collection: Collection,
    /// Of the field of each leaf.
    saturations: Vec<Saturation>,
}

/// Counts over all sources.
fn count(
    sources: &[Source<'_>],
    leaves: &[Leaf],
    lists: &[Vec<Vec<Handle<'_>>>],
    fetcher: &Fetcher<'_>,
) -> Result<Collection> {
    let documents: u64 = sources.iter().map(|source| u64::from(source.counted_documents())).sum();
    let mut collection = Collection { documents, ..Collection::default() };
    for (index, leaf) in leaves.iter().enumerate() {
        let known = leaves[..index].iter().position(|known| known.field == leaf.field);
        let average = match known {
            Some(known) => collection.average_lengths[known],
            None => {
                let words = sources.iter().map(|source| source.counted_words(fetcher, &leaf.field));
                let words = words.collect::<Result<Vec<_>>>()?.into_iter().fold(0, u64::saturating_add);
                (words as f32 / documents.max(1) as f32).to_bits()
            }
        };
        collection.average_lengths.push(average);
        let frequencies = sources
            .iter()
            .zip(lists)
            .flat_map(|(source, lists)| lists[index].iter().map(|handle| u64::from(source.counted_frequency(handle))));
        collection.document_frequencies.push(frequencies.sum::<u64>().min(documents));
    }
    Ok(collection)
}

impl CollectionStatistics {
    /// Counts over all sources, unless the search goes on from a cursor that has counted.
    pub(super) fn new(
        sources: &[Source<'_>],
        leaves: &[Leaf],
        lists: &[Vec<Vec<Handle<'_>>>],
        after: Option<&Collection>,
        fetcher: &Fetcher<'_>,
    ) -> Result<Self> {
        let collection = match after {
            Some(known) if known.average_lengths.len() == leaves.len() => known.clone(),
            Some(_) => {
                return Err(Error::new(ErrorKind::InvalidQuery, "the cursor is of a search for other words"));
            }
            None => count(sources, leaves, lists, fetcher)?,
        };
        let mut saturations: Vec<Saturation> = Vec::with_capacity(leaves.len());
        for (index, average) in collection.average_lengths.iter().enumerate() {
            let known = collection.average_lengths[..index].iter().position(|known| known == average);
            saturations.push(match known {
                Some(known) => saturations[known].clone(),
                None => Saturation::new(f32::from_bits(*average)),
            });
        }
        Ok(Self { collection, saturations })
    }

    pub(super) fn saturation(&self, leaf: usize) -> Saturation {
        self.saturations[leaf].clone()
    }

    pub(super) fn weight(&self, leaf: usize, boost: f32) -> f32 {
        term_weight(self.collection.document_frequencies[leaf], self.collection.documents, boost)
    }

    /// Returns the weight of a phrase: rare is what all of its words are together.
    pub(super) fn phrase_weight(&self, leaves: &[(usize, u32)], boost: f32) -> f32 {
        leaves.iter().map(|(leaf, _)| self.weight(*leaf, boost)).sum()
    }

    /// Returns the most that a document can score.
    pub(super) fn ceiling(&self, plan: &Plan) -> f32 {
        let sum = |parts: &[Plan]| parts.iter().map(|part| self.ceiling(part)).sum::<f32>();
        match plan {
            Plan::Nothing | Plan::All | Plan::Set(_) => 0.0,
            Plan::Leaf { leaf, boost } => self.weight(*leaf, *boost),
            Plan::Phrase { leaves, boost, .. } => self.phrase_weight(leaves, *boost),
            Plan::Bool { must, should, .. } => sum(must) + sum(should),
        }
    }
}
