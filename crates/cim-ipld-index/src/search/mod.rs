//! Searching a snapshot.
//!
//! A search runs in stages, each of which first asks for all pages it can name: the dictionary and tables; the lists,
//! lengths and sets; the stored documents of the hits. With all pages at hand it runs through in one call.

mod collect;
mod cursor;
mod eval;
mod exhaustive;
mod fuzzy;
mod phrase;
mod plan;
mod rank;
mod sets;
mod snippet;
mod source;
mod top;
mod union;

pub(crate) use cursor::{Cursor, END};
pub(crate) use plan::{Leaf, Want};
pub(crate) use rank::Candidate;
pub(crate) use source::{Handle, NormCache, Source};

use collect::TopK;
use eval::{Bool, Eval, Term};
use phrase::Phrase;
use plan::{Plan, Planned, SetWant};
use top::Run;
use union::Union;

use crate::docset::BitSet;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Fetcher;
use crate::page::{DocId, PageSource, Progress};
use crate::query::Query;
use crate::score::{Saturation, Scale, TermScorer, term_weight};
use crate::snapshot::{SearchOptions, SearchResults, Snapshot, Total};

/// The most hits that limit and offset may reach.
pub const MAX_REACH: usize = 100_000;

/// The best documents of a search, in order, and how many match.
pub(crate) struct Found<'a> {
    pub(crate) total: u64,
    pub(crate) best: Vec<Candidate>,
    pub(crate) sources: Vec<Source<'a>>,
    leaves: Vec<Leaf>,
}

pub(crate) fn search(
    snapshot: &Snapshot,
    query: &Query,
    options: &SearchOptions,
    pages: &dyn PageSource,
) -> Result<Progress<SearchResults>> {
    let fetcher = Fetcher::new(pages);
    let Some(found) = find(snapshot, query, options, &fetcher)? else { return Ok(fetcher.need()) };
    let hits = rank::hits(&found.sources, &found.best, options, &found.leaves, snapshot.analyzer(), &fetcher)?;
    Ok(match fetcher.has_missing() {
        true => fetcher.need(),
        false => Progress::Ready(SearchResults { total: found.total, hits }),
    })
}

/// Finds the best documents without reading them; `None` if pages are missing, which the fetcher knows.
///
/// Where only the order of equal scores of several sources is not known yet, the best are given in any order and the
/// fetcher knows the pages that tell it: those of these documents.
pub(crate) fn find<'a>(
    snapshot: &'a Snapshot,
    query: &Query,
    options: &SearchOptions,
    fetcher: &Fetcher<'_>,
) -> Result<Option<Found<'a>>> {
    let reach = options.offset.saturating_add(options.limit);
    if reach > MAX_REACH {
        let detail = format!("limit and offset reach hit {reach}; at most {MAX_REACH} can be reached");
        return Err(Error::new(ErrorKind::InvalidQuery, detail));
    }
    let planned = plan::plan(query, snapshot.analyzer())?;
    let Planned { plan, leaves, .. } = &planned;
    let sources = snapshot.sources();
    let mut lists = Vec::with_capacity(sources.len());
    for source in &sources {
        lists.push(leaves.iter().map(|leaf| source.lists(fetcher, leaf)).collect::<Result<Vec<_>>>()?);
    }
    for source in &sources {
        planned.sets.iter().try_for_each(|want| source.ask_for_set(fetcher, want))?;
    }
    if fetcher.has_missing() {
        return Ok(None);
    }
    let statistics = CollectionStatistics::new(&sources, leaves, &lists, fetcher)?;
    let scale = Scale::for_ceiling(statistics.ceiling(plan));
    let mut evals = Vec::with_capacity(sources.len());
    let mut allowed = Vec::with_capacity(sources.len());
    for (source, lists) in sources.iter().zip(&lists) {
        let mut opener = Opener {
            source,
            lists,
            leaves,
            sets: &planned.sets,
            statistics: &statistics,
            scale,
            fetcher,
            norms: NormCache::default(),
        };
        evals.push(opener.open(plan)?);
        allowed.push(opener.allowed(&planned)?);
    }
    if fetcher.has_missing() {
        return Ok(None);
    }
    let mut total = 0;
    let mut candidates = Vec::new();
    for (index, (source, (eval, allowed))) in sources.iter().zip(evals.iter_mut().zip(&allowed)).enumerate() {
        let top = match source {
            // In a segment documents are numbered in the order of their CIDs.
            Source::Segment(..) => TopK::of_segment(reach),
            Source::Memtable(view, _) => TopK::of_memtable(reach, view),
        };
        let mut run = Run { allowed: allowed.as_ref(), top, is_counting: options.total == Total::Exact, total: 0 };
        run.evaluate(eval)?;
        total += run.total;
        candidates.extend(run.top.finish().into_iter().map(|(points, id)| Candidate {
            score: scale.score(points),
            source: index,
            document: DocId(id),
        }));
    }
    let best = rank::order(&sources, candidates, options, fetcher)?;
    Ok(Some(Found { total, best, sources, leaves: planned.leaves }))
}

/// Document frequencies and lengths over all sources.
struct CollectionStatistics {
    documents: u64,
    /// Of the field of each leaf.
    saturations: Vec<Saturation>,
    document_frequencies: Vec<u64>,
}

impl CollectionStatistics {
    fn new(
        sources: &[Source<'_>],
        leaves: &[Leaf],
        lists: &[Vec<Vec<Handle<'_>>>],
        fetcher: &Fetcher<'_>,
    ) -> Result<Self> {
        let documents: u64 = sources.iter().map(|source| u64::from(source.document_count())).sum();
        let mut saturations: Vec<Saturation> = Vec::with_capacity(leaves.len());
        for (index, leaf) in leaves.iter().enumerate() {
            if let Some(known) = leaves[..index].iter().position(|known| known.field == leaf.field) {
                saturations.push(saturations[known].clone());
                continue;
            }
            let words = sources.iter().map(|source| source.total_words(fetcher, &leaf.field));
            let words = words.collect::<Result<Vec<_>>>()?.into_iter().fold(0, u64::saturating_add);
            saturations.push(Saturation::new(words as f32 / documents.max(1) as f32));
        }
        let frequency = |leaf: usize| {
            let handles = lists.iter().flat_map(|lists| &lists[leaf]);
            handles.map(|handle| u64::from(handle.document_frequency())).sum::<u64>().min(documents)
        };
        Ok(Self { documents, saturations, document_frequencies: (0..leaves.len()).map(frequency).collect() })
    }

    fn weight(&self, leaf: usize, boost: f32) -> f32 {
        term_weight(self.document_frequencies[leaf], self.documents, boost)
    }

    /// Returns the weight of a phrase: rare is what all of its words are together.
    fn phrase_weight(&self, leaves: &[(usize, u32)], boost: f32) -> f32 {
        leaves.iter().map(|(leaf, _)| self.weight(*leaf, boost)).sum()
    }

    /// Returns the most that a document can score.
    fn ceiling(&self, plan: &Plan) -> f32 {
        let sum = |parts: &[Plan]| parts.iter().map(|part| self.ceiling(part)).sum::<f32>();
        match plan {
            Plan::Nothing | Plan::All | Plan::Set(_) => 0.0,
            Plan::Leaf { leaf, boost } => self.weight(*leaf, *boost),
            Plan::Phrase { leaves, boost, .. } => self.phrase_weight(leaves, *boost),
            Plan::Bool { must, should, .. } => sum(must) + sum(should),
        }
    }
}

/// Opens the cursors of a plan over one source.
struct Opener<'s, 'a> {
    source: &'s Source<'a>,
    lists: &'s [Vec<Handle<'a>>],
    leaves: &'s [Leaf],
    sets: &'s [SetWant],
    statistics: &'s CollectionStatistics,
    scale: Scale,
    fetcher: &'s Fetcher<'s>,
    norms: NormCache,
}

impl<'a> Opener<'_, 'a> {
    /// Says whether the source has the words it would take, so that no list is fetched in vain.
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

    fn open(&mut self, plan: &Plan) -> Result<Eval<'a>> {
        if !self.can_match(plan) {
            return Ok(Eval::Nothing);
        }
        Ok(match plan {
            Plan::Nothing => Eval::Nothing,
            Plan::All => Eval::All(self.source.document_count()),
            Plan::Leaf { leaf, boost } => self.leaf(*leaf, *boost)?,
            Plan::Set(set) => Eval::Set(self.source.set(self.fetcher, &self.sets[*set])?),
            Plan::Phrase { leaves, slop, boost } => self.phrase(leaves, *slop, *boost)?,
            Plan::Bool { must, should, must_not } => {
                let mut open = |parts: &[Plan]| parts.iter().map(|part| self.open(part)).collect::<Result<Vec<_>>>();
                let (must, should, must_not) = (open(must)?, open(should)?, open(must_not)?);
                if must.is_empty() && must_not.is_empty() {
                    Eval::Any(should)
                } else {
                    Eval::Bool(Box::new(Bool::new(must, should, must_not)))
                }
            }
        })
    }

    fn leaf(&mut self, leaf: usize, boost: f32) -> Result<Eval<'a>> {
        let scorer = self.scorer(leaf, self.statistics.weight(leaf, boost));
        let handles = &self.lists[leaf];
        if let [handle] = &handles[..] {
            let cursor = self.source.open(self.fetcher, handle, &self.leaves[leaf], &mut self.norms)?;
            return Ok(cursor.map_or(Eval::Nothing, |cursor| Eval::Term(Box::new(Term { cursor, scorer }))));
        }
        let mut union = Union::new(self.source.document_count(), scorer);
        for handle in handles {
            self.source.gather(self.fetcher, handle, &self.leaves[leaf], &mut self.norms, &mut union)?;
        }
        Ok(Eval::Union(Box::new(union)))
    }

    /// Returns the live documents that pass the filter; `None` for all documents.
    ///
    /// What is not at hand is noted by the fetcher; the answer then means nothing.
    fn allowed(&mut self, planned: &Planned) -> Result<Option<BitSet>> {
        let deletes = self.source.deletes();
        if planned.wanted.is_empty() && planned.unwanted.is_empty() && deletes.is_empty() {
            return Ok(None);
        }
        let mut allowed = BitSet::full(self.source.document_count());
        for wanted in &planned.wanted {
            allowed.intersect(&self.matches(wanted)?);
        }
        for unwanted in &planned.unwanted {
            allowed.subtract(&self.matches(unwanted)?);
        }
        allowed.subtract_deletes(deletes);
        Ok(Some(allowed))
    }

    /// Returns all documents that a plan matches, deleted ones included.
    fn matches(&mut self, plan: &Plan) -> Result<BitSet> {
        let mut eval = match self.open(plan)? {
            Eval::Set(set) => return Ok(set),
            eval => eval,
        };
        let mut matches = BitSet::empty(self.source.document_count());
        if !self.fetcher.has_missing() {
            exhaustive::visit(&mut eval, None, |start, window| matches.insert_words(start / 64, &window.mask))?;
        }
        Ok(matches)
    }

    fn phrase(&mut self, leaves: &[(usize, u32)], slop: u32, boost: f32) -> Result<Eval<'a>> {
        let mut cursors = Vec::with_capacity(leaves.len());
        for (leaf, place) in leaves {
            for handle in &self.lists[*leaf] {
                let cursor = self.source.open(self.fetcher, handle, &self.leaves[*leaf], &mut self.norms)?;
                cursors.extend(cursor.map(|cursor| (cursor, *place)));
            }
        }
        if cursors.len() < leaves.len() {
            // A page is not at hand; the fetcher knows.
            return Ok(Eval::Nothing);
        }
        let scorer = self.scorer(leaves[0].0, self.statistics.phrase_weight(leaves, boost));
        Ok(Eval::Phrase(Box::new(Phrase::new(cursors, slop, scorer))))
    }

    fn scorer(&self, leaf: usize, weight: f32) -> TermScorer {
        TermScorer::new(weight, self.statistics.saturations[leaf].clone(), self.scale)
    }
}
