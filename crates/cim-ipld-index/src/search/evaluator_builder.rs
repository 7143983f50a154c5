//! Builds the evaluator of a plan over one source, with the collection statistics of the whole read
//! view.

use super::cursor::Cursor;
use super::evaluator::{Bool, Evaluator, Term};
use super::exhaustive;
use super::multi_phrase::MultiPhrase;
use super::phrase::Phrase;
use super::plan::{Leaf, Plan, Planned, SetSelector};
use super::source::{Handle, NormCache, Source};
use super::statistics::CollectionStatistics;
use crate::budget::meter::{Account, Part};
use crate::encoding::docset::BitSet;
use crate::error::Result;
use crate::page::fetch::Fetcher;
use crate::score::{Scale, TermScorer};
use crate::segment::TableEntry;

/// Builds the evaluators and opens the cursors of a plan over one source.
pub(super) struct EvaluatorBuilder<'s, 'a> {
    pub(super) source: &'s Source<'a>,
    pub(super) lists: &'s [Vec<Handle<'a>>],
    pub(super) leaves: &'s [Leaf],
    pub(super) sets: &'s [SetSelector],
    /// The source's table entries for sets that are single names.
    pub(super) entries: &'s [Option<TableEntry>],
    pub(super) statistics: &'s CollectionStatistics,
    pub(super) scale: Scale,
    pub(super) fetcher: &'s Fetcher<'s>,
    pub(super) norms: NormCache,
}

impl<'a> EvaluatorBuilder<'_, 'a> {
    /// Returns whether the source has the words that a match requires, so that no list is fetched
    /// in vain.
    fn can_match(&self, plan: &Plan) -> bool {
        match plan {
            Plan::Nothing => false,
            Plan::All | Plan::Set(_) => self.source.document_count() > 0,
            Plan::Leaf { leaf, .. } => !self.lists[*leaf].is_empty(),
            Plan::Phrase { leaves, .. } => leaves.iter().all(|(leaf, _)| !self.lists[*leaf].is_empty()),
            Plan::Bool { must, should, .. } if must.is_empty() => should.iter().any(|part| self.can_match(part)),
            Plan::Bool { must, .. } => must.iter().all(|part| self.can_match(part)),
        }
    }

    pub(super) fn open(&mut self, plan: &Plan) -> Result<Evaluator<'a>> {
        if !self.can_match(plan) {
            return Ok(Evaluator::Nothing);
        }
        Ok(match plan {
            Plan::Nothing => Evaluator::Nothing,
            Plan::All => Evaluator::All(self.source.document_count()),
            Plan::Leaf { leaf, boost } => self.leaf(*leaf, *boost)?,
            Plan::Set(set) => {
                self.fetcher.meter().enter(Part::Set(*set));
                Evaluator::Set(self.source.set(self.fetcher, &self.sets[*set], self.entries[*set].as_ref())?)
            }
            Plan::Phrase { leaves, slop, boost } => self.phrase(leaves, *slop, *boost)?,
            Plan::Bool { must, should, must_not } => {
                let mut open = |parts: &[Plan]| parts.iter().map(|part| self.open(part)).collect::<Result<Vec<_>>>();
                let (must, should, must_not) = (open(must)?, open(should)?, open(must_not)?);
                let account = self.account(Part::Query);
                if must.is_empty() && must_not.is_empty() {
                    Evaluator::Any(should, account)
                } else {
                    Evaluator::Bool(Box::new(Bool::new(must, should, must_not, account)))
                }
            }
        })
    }

    fn leaf(&mut self, leaf: usize, boost: f32) -> Result<Evaluator<'a>> {
        let scorer = self.scorer(leaf, self.statistics.weight(leaf, boost));
        let handles = &self.lists[leaf];
        let account = self.account(Part::Leaf(leaf));
        if let [handle] = &handles[..] {
            account.hold(Cursor::BYTES)?;
            let cursor = self.source.open(self.fetcher, handle, &self.leaves[leaf], &mut self.norms, &account)?;
            return Ok(cursor.map_or(Evaluator::Nothing, |cursor| Evaluator::Term(Box::new(Term { cursor, scorer }))));
        }
        let union = self.source.unite(self.fetcher, handles, &self.leaves[leaf], &mut self.norms, scorer, &account)?;
        Ok(union.map_or(Evaluator::Nothing, |union| Evaluator::Union(Box::new(union))))
    }

    /// Returns the live documents that pass the filters, or `None` for all documents.
    ///
    /// If pages are missing, which the fetcher records, the result is unspecified.
    pub(super) fn allowed(&mut self, planned: &Planned) -> Result<Option<BitSet>> {
        let deletes = self.source.deletes();
        if planned.wanted.is_empty() && planned.unwanted.is_empty() && deletes.is_empty() {
            return Ok(None);
        }
        let mut wanted = planned.wanted.iter();
        let mut allowed = match wanted.next() {
            Some(first) => self.matches(first)?,
            None => BitSet::full(self.source.document_count()),
        };
        for wanted in wanted {
            allowed.intersect(&self.matches(wanted)?);
        }
        for unwanted in &planned.unwanted {
            allowed.subtract(&self.matches(unwanted)?);
        }
        if !deletes.is_empty() {
            deletes.subtract_from(&mut allowed);
        }
        Ok(Some(allowed))
    }

    /// Returns all documents that a plan matches, including deleted ones.
    fn matches(&mut self, plan: &Plan) -> Result<BitSet> {
        let mut eval = match self.open(plan)? {
            Evaluator::Set(set) => return Ok(set),
            eval => eval,
        };
        let mut matches = BitSet::empty(self.source.document_count());
        if !self.fetcher.has_missing() {
            exhaustive::visit(&mut eval, None, &self.account(Part::Query), |start, window| {
                matches.insert_words(start / 64, &window.mask)
            })?;
        }
        Ok(matches)
    }

    fn phrase(&mut self, leaves: &[(usize, u32)], slop: u32, boost: f32) -> Result<Evaluator<'a>> {
        let scorer = self.scorer(leaves[0].0, self.statistics.phrase_weight(leaves, boost));
        let account = self.account(Part::Phrase(leaves[0].0));
        // The leaves of the slots. A repeated word has one slot.
        let mut opened: Vec<usize> = Vec::new();
        let mut words = Vec::with_capacity(leaves.len());
        for (leaf, place) in leaves {
            let known = opened.iter().position(|own| own == leaf);
            words.push((known.unwrap_or(opened.len()), *place));
            if known.is_none() {
                opened.push(*leaf);
            }
        }
        if opened.iter().any(|leaf| self.lists[*leaf].len() > 1) {
            let slots = opened.iter().map(|leaf| self.cursors(*leaf, &account)).collect::<Result<Vec<_>>>()?;
            let is_complete = slots.iter().zip(&opened).all(|(own, leaf)| own.len() == self.lists[*leaf].len());
            // A page that is missing has been recorded.
            return match is_complete {
                true => Ok(Evaluator::MultiPhrase(Box::new(MultiPhrase::new(slots, words, slop, scorer, account)?))),
                false => Ok(Evaluator::Nothing),
            };
        }
        if opened.len() == 1 {
            opened.push(opened[0]);
            words.iter_mut().skip(1).for_each(|(cursor, _)| *cursor = 1);
        }
        let mut cursors = Vec::with_capacity(opened.len());
        for leaf in &opened {
            cursors.append(&mut self.cursors(*leaf, &account)?);
        }
        if cursors.len() < opened.len() {
            return Ok(Evaluator::Nothing);
        }
        Ok(Evaluator::Phrase(Box::new(Phrase::new(cursors, words, slop, scorer, account))))
    }

    /// Opens the lists of a leaf, except those of which a page is missing.
    fn cursors(&mut self, leaf: usize, account: &Account) -> Result<Vec<Cursor<'a>>> {
        account.hold(self.lists[leaf].len() * Cursor::BYTES)?;
        let mut cursors = Vec::with_capacity(self.lists[leaf].len());
        for handle in &self.lists[leaf] {
            cursors.extend(self.source.open(self.fetcher, handle, &self.leaves[leaf], &mut self.norms, account)?);
        }
        Ok(cursors)
    }

    fn account(&self, part: Part) -> Account {
        Account::new(self.fetcher.meter(), part)
    }

    fn scorer(&self, leaf: usize, weight: f32) -> TermScorer {
        TermScorer::new(weight, self.statistics.saturation(leaf), self.scale)
    }
}
