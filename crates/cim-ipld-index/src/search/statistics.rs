//! Collection statistics over all sources: the number of documents, words and occurrences that
//! scores are based on.
//!
//! Deleted documents of a memtable are not counted, because sealing drops them. Deleted documents
//! of a segment are counted until a merge drops them. A cursor carries the statistics of its
//! search, so that the pages of one search have a consistent order whatever is sealed, merged,
//! inserted or deleted in the meantime.

use super::plan::{Leaf, Plan};
use super::source::{Handle, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::page::fetch::Fetcher;
use crate::score::{Saturation, term_weight};
use crate::search::collection::Collection;

/// Document frequencies and lengths over all sources.
pub(super) struct CollectionStatistics {
    pub(super) collection: Collection,
    /// The saturation constants of the field of each leaf.
    saturations: Vec<Saturation>,
}

/// Computes the statistics over all sources.
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
    /// Takes the statistics from a cursor if there is one, and counts them otherwise.
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
                return Err(Error::new(ErrorKind::InvalidQuery, "the cursor belongs to a search for other words"));
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

    /// Returns the weight of a phrase, the sum of the weights of its words.
    pub(super) fn phrase_weight(&self, leaves: &[(usize, u32)], boost: f32) -> f32 {
        leaves.iter().map(|(leaf, _)| self.weight(*leaf, boost)).sum()
    }

    /// Returns an upper bound of a document's score.
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
