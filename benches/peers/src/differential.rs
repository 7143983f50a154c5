//! Compares the hits of the index core with those of Tantivy.
//!
//! Tantivy scores every matching document. The index core must find the same documents with the
//! same scores, and its best ten must be the first ten by score and, among equal scores, by the
//! bytes of the CID.

use std::collections::HashMap;

use anyhow::Result;
use cid::Cid;
use cim_ipld_index::{Document, Hit, MAX_RESULT_WINDOW, SearchOptions, Total};

use crate::expanded;
use crate::ours::{self, Ours};
use crate::queries::Question;
use crate::tantivy_peer::Tantivy;

/// The largest difference between scores that count as equal.
pub const TOLERANCE: f32 = 1e-4;

/// Compares hits over documents that both engines have indexed.
pub struct Differential<'a> {
    tantivy: &'a Tantivy,
    numbers: HashMap<Cid, u32>,
    depth: usize,
}

impl<'a> Differential<'a> {
    /// Prepares comparisons of the first `depth` hits. `documents` are in the order in which
    /// Tantivy indexed them.
    pub fn new(documents: &[Document], tantivy: &'a Tantivy, depth: usize) -> Self {
        let numbers = documents.iter().enumerate().map(|(number, document)| (document.cid, number as u32)).collect();
        Self { tantivy, numbers, depth: depth.min(MAX_RESULT_WINDOW) }
    }

    /// Searches with both engines and describes the first difference, if there is one.
    ///
    /// # Errors
    ///
    /// The errors of the engines.
    pub fn compare(&self, ours: &Ours, question: &Question) -> Result<Option<String>> {
        let expected = self.expected(question)?;
        let query = ours::query(question);
        let all = ours.search(&query, &SearchOptions::default().limit(self.depth))?;
        if all.total != expected.len() as u64 {
            return Ok(Some(format!("{} matches, Tantivy has {}", all.total, expected.len())));
        }
        let counted = ours.search(&query, &SearchOptions::default())?;
        let uncounted = ours.search(&query, &SearchOptions::default().total(Total::AtLeast))?;
        let places = ours.top(&query)?.best;
        let difference = self.ranking(&all.hits, &expected);
        let difference = difference.or_else(|| same_start(&counted.hits, &all.hits));
        let difference = difference.or_else(|| same_start(&uncounted.hits, &all.hits));
        let scores = places.iter().map(|(_, score)| score.to_bits());
        let is_same = scores.eq(counted.hits.iter().map(|hit| hit.score.to_bits()));
        Ok(difference.or_else(|| (!is_same).then(|| "the best ten without stored fields do not have the scores of the best ten hits".to_owned())))
    }

    /// Returns every match and its expected score, by document number.
    fn expected(&self, question: &Question) -> Result<HashMap<u32, f32>> {
        let scores = match question {
            // Tantivy scores every match of these as 1, so the expected scores are computed from
            // its postings.
            Question::Prefix(_) | Question::Fuzzy(_) => {
                let scores = expanded::scores(self.tantivy, question)?;
                let matches = self.tantivy.all_scores(&*self.tantivy.query(question))?;
                assert_eq!(matches.len(), scores.len(), "Tantivy disagrees with its own postings on {question:?}");
                scores
            }
            _ => self.tantivy.all_scores(&*self.tantivy.query(question))?,
        };
        Ok(scores.into_iter().collect())
    }

    fn ranking(&self, hits: &[Hit], expected: &HashMap<u32, f32>) -> Option<String> {
        let wanted = expected.len().min(self.depth);
        if hits.len() != wanted {
            return Some(format!("{} hits instead of {wanted}", hits.len()));
        }
        let mut best: Vec<f32> = expected.values().copied().collect();
        best.sort_unstable_by(|a, b| b.total_cmp(a));
        for (place, (hit, best)) in hits.iter().zip(&best).enumerate() {
            let Some(score) = self.numbers.get(&hit.cid).and_then(|number| expected.get(number)) else {
                return Some(format!("hit {place} does not match in Tantivy"));
            };
            if (hit.score - score).abs() > TOLERANCE {
                return Some(format!("hit {place} scores {}, but {score} in Tantivy", hit.score));
            }
            if (hit.score - best).abs() > TOLERANCE {
                return Some(format!("hit {place} scores {}, but Tantivy's hit {place} scores {best}", hit.score));
            }
        }
        hits.windows(2).enumerate().find_map(|(place, pair)| {
            let in_order = pair[0].score > pair[1].score
                || (pair[0].score == pair[1].score && pair[0].cid.to_bytes() < pair[1].cid.to_bytes());
            (!in_order).then(|| format!("hits {place} and {} are not in order", place + 1))
        })
    }

    /// Checks Tantivy's best ten against the scores of all its matches, to make sure that the query
    /// that is timed is the query that is compared.
    ///
    /// # Errors
    ///
    /// The errors of Tantivy.
    pub fn peer_is_consistent(&self, question: &Question) -> Result<bool> {
        let query = self.tantivy.query(question);
        let all: HashMap<u32, f32> = self.tantivy.all_scores(&*query)?.into_iter().collect();
        let top = self.tantivy.top(&*query)?;
        let fits = |(score, address): &(f32, tantivy::DocAddress)| {
            all.get(&address.doc_id).is_some_and(|known| (known - score).abs() <= TOLERANCE)
        };
        Ok(top.len() == all.len().min(10) && top.iter().all(fits))
    }
}

/// Compares the best ten with the beginning of all hits.
fn same_start(best: &[Hit], all: &[Hit]) -> Option<String> {
    let key = |hit: &Hit| (hit.cid, hit.score.to_bits());
    let is_equal = best.len() == all.len().min(10) && best.iter().zip(all).all(|(a, b)| key(a) == key(b));
    (!is_equal).then(|| "the best ten are not the first ten of all".to_owned())
}
