//! Searching a snapshot.
//!
//! A search runs in stages, each of which first asks for all pages it can name: the dictionary and tables; the lists,
//! lengths and sets; the stored documents of the hits. With all pages at hand it runs through in one call.

mod collect;
mod cursor;
mod eval;
mod plan;
mod rank;
mod snippet;
mod source;

pub(crate) use cursor::{Cursor, END};
pub(crate) use plan::{Leaf, Want};
pub(crate) use source::{Handle, NormCache, Source};

use collect::TopK;
use eval::{Bool, Eval, Phrase, Term, Union, WINDOW, Window};
use plan::Plan;
use rank::Candidate;

use crate::docset::BitSet;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Fetcher;
use crate::page::{DocId, PageSource, Progress};
use crate::query::Query;
use crate::score::TermScorer;
use crate::snapshot::{SearchOptions, SearchResults, Snapshot};

/// The most hits that limit and offset may reach.
pub const MAX_REACH: usize = 100_000;

pub(crate) fn search(
    snapshot: &Snapshot,
    query: &Query,
    options: &SearchOptions,
    pages: &dyn PageSource,
) -> Result<Progress<SearchResults>> {
    let reach = options.offset.saturating_add(options.limit);
    if reach > MAX_REACH {
        let detail = format!("limit and offset reach hit {reach}; at most {MAX_REACH} can be reached");
        return Err(Error::new(ErrorKind::InvalidQuery, detail));
    }
    let fetcher = Fetcher::new(pages);
    let (plan, leaves) = plan::plan(query.root.as_ref(), snapshot.analyzer());
    let sources = snapshot.sources();
    let mut lists = Vec::with_capacity(sources.len());
    for source in &sources {
        lists.push(leaves.iter().map(|leaf| source.lists(&fetcher, leaf)).collect::<Result<Vec<_>>>()?);
    }
    let mut allowed = Vec::with_capacity(sources.len());
    for source in &sources {
        allowed.push(source.allowed(&fetcher, &query.filter)?);
    }
    if fetcher.has_missing() {
        return Ok(fetcher.need());
    }
    let statistics = CollectionStatistics::new(&sources, &leaves, &lists, &fetcher)?;
    let mut evals = Vec::with_capacity(sources.len());
    for (source, lists) in sources.iter().zip(&lists) {
        let mut opener = Opener {
            source,
            lists,
            leaves: &leaves,
            statistics: &statistics,
            fetcher: &fetcher,
            norms: NormCache::default(),
        };
        evals.push(if opener.can_match(&plan) { opener.open(&plan)? } else { Eval::Nothing });
    }
    if fetcher.has_missing() {
        return Ok(fetcher.need());
    }
    let mut total = 0;
    let mut candidates = Vec::new();
    for (index, (source, (eval, allowed))) in sources.iter().zip(evals.iter_mut().zip(&allowed)).enumerate() {
        let (count, best) = collect(source, eval, allowed.as_ref(), reach)?;
        total += count;
        candidates.extend(best.into_iter().map(|(score, id)| Candidate { score, source: index, document: DocId(id) }));
    }
    rank::hits(&sources, candidates, options, &leaves, snapshot.analyzer(), &fetcher)
        .map(|progress| progress.map(|hits| SearchResults { total, hits }))
}

/// Document frequencies and lengths over all sources.
struct CollectionStatistics {
    documents: u64,
    /// Of the field of each leaf.
    average_lengths: Vec<f32>,
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
        let mut average_lengths = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let words = sources.iter().map(|source| source.total_words(fetcher, &leaf.field));
            let words = words.collect::<Result<Vec<_>>>()?.into_iter().fold(0, u64::saturating_add);
            average_lengths.push(words as f32 / documents.max(1) as f32);
        }
        let frequency = |leaf: usize| {
            let handles = lists.iter().flat_map(|lists| &lists[leaf]);
            handles.map(|handle| u64::from(handle.document_frequency())).sum::<u64>().min(documents)
        };
        Ok(Self { documents, average_lengths, document_frequencies: (0..leaves.len()).map(frequency).collect() })
    }

    fn scorer(&self, leaf: usize, boost: f32) -> TermScorer {
        TermScorer::new(self.document_frequencies[leaf], self.documents, self.average_lengths[leaf], boost)
    }
}

/// Opens the cursors of a plan over one source.
struct Opener<'s, 'a> {
    source: &'s Source<'a>,
    lists: &'s [Vec<Handle<'a>>],
    leaves: &'s [Leaf],
    statistics: &'s CollectionStatistics,
    fetcher: &'s Fetcher<'s>,
    norms: NormCache,
}

impl<'a> Opener<'_, 'a> {
    /// Says whether the source has the words it would take, so that no list is fetched in vain.
    fn can_match(&self, plan: &Plan) -> bool {
        match plan {
            Plan::Nothing => false,
            Plan::All => self.source.document_count() > 0,
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
            Plan::Leaf { leaf, boost } => {
                let scorer = self.statistics.scorer(*leaf, *boost);
                let mut cursors = self.cursors(*leaf)?;
                match (cursors.pop(), cursors.is_empty()) {
                    (Some(cursor), true) => Eval::Term(Box::new(Term { cursor, scorer })),
                    (Some(last), false) => {
                        cursors.push(last);
                        Eval::Union(Box::new(Union::new(cursors)), scorer)
                    }
                    (None, _) => Eval::Nothing,
                }
            }
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

    fn phrase(&mut self, leaves: &[(usize, u32)], slop: u32, boost: f32) -> Result<Eval<'a>> {
        let mut cursors = Vec::with_capacity(leaves.len());
        let mut scorers = Vec::with_capacity(leaves.len());
        for (leaf, place) in leaves {
            scorers.push(self.statistics.scorer(*leaf, boost));
            cursors.extend(self.cursors(*leaf)?.into_iter().map(|cursor| (cursor, *place)));
        }
        if cursors.len() < leaves.len() {
            // A page is not at hand; the fetcher knows.
            return Ok(Eval::Nothing);
        }
        let scorer = TermScorer::sum(&scorers);
        Ok(Eval::Phrase(Box::new(Phrase::new(cursors, slop, scorer))))
    }

    fn cursors(&mut self, leaf: usize) -> Result<Vec<Cursor<'a>>> {
        let mut cursors = Vec::with_capacity(self.lists[leaf].len());
        for handle in &self.lists[leaf] {
            cursors.extend(self.source.open(self.fetcher, handle, &self.leaves[leaf], &mut self.norms)?);
        }
        Ok(cursors)
    }
}

/// Evaluates over one source: the exact number of matches, and the best of them.
fn collect(
    source: &Source<'_>,
    eval: &mut Eval<'_>,
    allowed: Option<&BitSet>,
    reach: usize,
) -> Result<(u64, Vec<(f32, u32)>)> {
    match source {
        // In a segment documents are numbered in the order of their CIDs.
        Source::Segment(..) => collect_by(eval, allowed, TopK::new(reach), |document| document),
        Source::Memtable(view, _) => {
            collect_by(eval, allowed, TopK::new(reach), |document| view.cid_bytes(DocId(document)).unwrap_or_default())
        }
    }
}

fn collect_by<K: Ord>(
    eval: &mut Eval<'_>,
    allowed: Option<&BitSet>,
    mut top: TopK<K>,
    key: impl Fn(u32) -> K,
) -> Result<(u64, Vec<(f32, u32)>)> {
    let mut window = Window::new();
    let mut total = 0;
    let mut from = 0;
    loop {
        let document = eval.next(from)?;
        if document == END {
            break;
        }
        let start = document / WINDOW * WINDOW;
        eval.eval(start, &mut window)?;
        let mut mask = window.mask;
        if let Some(allowed) = allowed {
            let words = allowed.words().get((start / 64) as usize..).unwrap_or_default();
            for (index, word) in mask.iter_mut().enumerate() {
                *word &= words.get(index).copied().unwrap_or(0);
            }
        }
        Window::places(&mask, |place| {
            total += 1;
            top.offer(window.scores[place], start + place as u32, &key);
        });
        window.clear();
        from = start + WINDOW;
    }
    Ok((total, top.finish()))
}
