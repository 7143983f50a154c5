//! Searches a read view.
//!
//! A search runs in stages, each of which first requests all pages that it can determine: the
//! dictionary and tables; the lists, lengths and sets; the stored documents of the hits. If all
//! pages are available, one call completes it.

mod bulk_scorer;
pub(crate) mod collection;
mod cursor;
mod document_sets;
mod evaluator;
mod evaluator_builder;
mod exhaustive;
mod facets;
mod levenshtein;
mod multi_phrase;
mod name_filter;
mod name_resolution;
pub(crate) mod options;
pub(crate) mod order;
pub(crate) mod paging;
mod phrase;
mod phrase_count;
mod plan;
mod pool;
mod rank;
pub(crate) mod results;
mod snippet;
mod sort;
mod source;
mod statistics;
mod top_k;
mod union;
mod window;

pub(crate) use cursor::{Cursor, END};
pub(crate) use plan::{Leaf, TermSelector};
pub(crate) use rank::Candidate;
pub(crate) use source::{Handle, NormCache, Source};

use bulk_scorer::Collector;
use evaluator::Evaluator;
use evaluator_builder::EvaluatorBuilder;
use name_resolution::Resolution;
use plan::{Planned, SetSelector};
use snippet::SnippetGenerator;
use sort::Sorter;
use statistics::CollectionStatistics;
use top_k::TopK;
use window::Window;

use crate::analysis::Analyzer;
use crate::budget::limits::Cancellation;
use crate::budget::meter::{Account, Meter, Part};
use crate::encoding::docset::BitSet;
use crate::error::{Error, ErrorKind, Result};
use crate::page::fetch::Fetcher;
use crate::page::{DocId, PageSource, Progress};
use crate::query::Query;
use crate::score::Scale;
use crate::search::collection::Collection;
use crate::search::options::{Facet, FacetCounts, SearchOptions, Total};
use crate::search::order::{Sort, SortBy, SortOrder};
use crate::search::paging::SearchCursor;
use crate::search::results::SearchResults;
use crate::segment;

/// The maximum sum of limit and offset of a search.
pub const MAX_RESULT_WINDOW: usize = 100_000;

/// The top documents of a search, in order, and the total number of matches.
pub(crate) struct TopDocs<'a> {
    pub(crate) total: u64,
    pub(crate) best: Vec<Candidate>,
    pub(crate) sources: Vec<Source<'a>>,
    facets: Vec<FacetCounts>,
    planned: Planned,
    collection: Collection,
}

/// Creates the fetcher of a search, which counts its work.
pub(crate) fn fetcher<'p>(
    options: &SearchOptions,
    cancellation: Option<&Cancellation>,
    pages: &'p dyn PageSource,
) -> Result<Fetcher<'p>> {
    let meter = Meter::new(&options.limits, cancellation.cloned());
    meter.look(Part::Query).map_err(|error| error.about(|| "the query".to_owned()))?;
    Ok(Fetcher::metered(pages, meter))
}

pub(crate) fn search(
    sources: Vec<Source<'_>>,
    analyzer: &Analyzer,
    query: &Query,
    options: &SearchOptions,
    fetcher: &Fetcher<'_>,
) -> Result<Progress<SearchResults>> {
    let Some(found) = find(sources, analyzer, query, options, fetcher)? else { return Ok(fetcher.need()) };
    let generator = options.snippet.as_ref().map(|how| SnippetGenerator::new(how, &found.planned, analyzer));
    fetcher.meter().enter(Part::Hits);
    let hits = rank::hits(&found.sources, &found.best, generator.as_ref(), fetcher);
    let hits = hits.map_err(|error| error.about(|| found.planned.describe(fetcher.meter().exceeded())))?;
    if fetcher.has_missing() {
        return Ok(fetcher.need());
    }
    // Only a sort by score depends on the statistics.
    let collection = if options.sort.by == SortBy::Score { found.collection } else { Collection::default() };
    let last = found.best.last().zip(hits.last()).filter(|_| hits.len() == options.limit);
    let next = last.map(|(candidate, hit)| SearchCursor::new(&options.sort, candidate.rank, hit.cid, collection));
    Ok(Progress::Ready(SearchResults { total: found.total, hits, next, facets: found.facets }))
}

/// Finds the top documents without reading them. Returns `None` if pages are missing, which the
/// fetcher records.
///
/// If all that is missing is the CIDs that break ties between sources, returns the top documents
/// with these ties in arbitrary order. The fetcher then records the missing pages, which are those
/// of the tied documents.
pub(crate) fn find<'a>(
    sources: Vec<Source<'a>>,
    analyzer: &Analyzer,
    query: &Query,
    options: &SearchOptions,
    fetcher: &Fetcher<'_>,
) -> Result<Option<TopDocs<'a>>> {
    let mut planned = Planned::default();
    let found = find_planned(sources, analyzer, query, options, fetcher, &mut planned);
    match found {
        Ok(found) => Ok(found.map(|found| TopDocs { planned, ..found })),
        Err(error) => Err(error.about(|| planned.describe(fetcher.meter().exceeded()))),
    }
}

/// Like [`find`], but puts the plan in `planned`, where it describes the parts of the query if the
/// search fails.
fn find_planned<'a>(
    sources: Vec<Source<'a>>,
    analyzer: &Analyzer,
    query: &Query,
    options: &SearchOptions,
    fetcher: &Fetcher<'_>,
    planned: &mut Planned,
) -> Result<Option<TopDocs<'a>>> {
    let reach = reach(options)?;
    let meter = fetcher.meter();
    let (resolved, resolution) = name_resolution::resolve(query, &sources, fetcher)?;
    *planned = plan::plan(&resolved, analyzer, meter.clauses())?;
    let (lists, entries) = look_up(&sources, planned, options, fetcher)?;
    if resolution == Resolution::Unknown {
        name_resolution::request_plain(query, analyzer, &sources, fetcher)?;
    }
    // With `TablesOnly`, the search goes on as if every name were an attribute, so that its pages
    // are requested in the same round.
    if fetcher.has_missing() && resolution != Resolution::TablesOnly {
        return Ok(None);
    }
    let is_by_score = options.sort.by == SortBy::Score;
    let statistics = CollectionStatistics::new(
        &sources,
        &planned.leaves,
        &lists,
        // Until all names are resolved, the words of the plan may differ from those for which the
        // cursor carries statistics, so the cursor's statistics are not used yet.
        options.after.as_ref().filter(|_| is_by_score && !fetcher.has_missing()).map(SearchCursor::collection),
        fetcher,
    )?;
    let scale = Scale::for_ceiling(statistics.ceiling(&planned.plan));
    let mut evaluations = Vec::with_capacity(sources.len());
    for ((source, lists), entries) in sources.iter().zip(&lists).zip(&entries) {
        let mut builder = EvaluatorBuilder {
            source,
            lists,
            leaves: &planned.leaves,
            sets: &planned.sets,
            entries,
            statistics: &statistics,
            scale,
            fetcher,
            norms: NormCache::default(),
        };
        let (eval, allowed) = (builder.open(&planned.plan)?, builder.allowed(planned)?);
        let sorter = options.needs_every_match().then(|| Sorter::open(source, options, fetcher)).transpose()?;
        meter.enter(Part::Facets);
        for (class, prefix) in options.facets.iter().map(Facet::names) {
            source.request_names(fetcher, class, &prefix)?;
        }
        evaluations.push(Evaluation { eval, allowed, sorter, account: Account::new(meter, Part::Query) });
    }
    if fetcher.has_missing() {
        return Ok(None);
    }
    let Found { total, candidates, matches } = evaluate(&sources, evaluations, scale, reach, options)?;
    meter.enter(Part::Facets);
    let facets = options.facets.iter().map(|facet| facets::count(facet, &sources, &matches, fetcher));
    let facets = facets.collect::<Result<_>>()?;
    meter.enter(Part::Hits);
    let best = rank::order(&sources, candidates, options, fetcher)?;
    let (collection, planned) = (statistics.collection, Planned::default());
    Ok(Some(TopDocs { total, best, sources, facets, planned, collection }))
}

/// What the evaluations of all sources find.
struct Found {
    total: u64,
    candidates: Vec<Candidate>,
    matches: Vec<BitSet>,
}

fn evaluate<'a>(
    sources: &[Source<'a>],
    evaluations: Vec<Evaluation<'a>>,
    scale: Scale,
    reach: usize,
    options: &SearchOptions,
) -> Result<Found> {
    let mut found = Found { total: 0, candidates: Vec::new(), matches: Vec::new() };
    for (index, (source, evaluation)) in sources.iter().zip(evaluations).enumerate() {
        let (count, best) = match evaluation.sorter.is_some() {
            true => evaluation.sorted(source, scale, &mut found.matches)?,
            false => evaluation.best(source, scale, reach, options.total)?,
        };
        found.total += count;
        found.candidates.extend(best.into_iter().map(|candidate| Candidate { source: index, ..candidate }));
    }
    Ok(found)
}

/// Returns the number of best documents that are needed.
fn reach(options: &SearchOptions) -> Result<usize> {
    let reach = options.offset.saturating_add(options.limit);
    if reach > MAX_RESULT_WINDOW {
        let detail = format!("limit plus offset is {reach}; the maximum is {MAX_RESULT_WINDOW}");
        return Err(Error::new(ErrorKind::InvalidQuery, detail));
    }
    Ok(reach)
}

/// The lists of each source's leaves, and the table entries of its names.
type LookedUp<'a> = (Vec<Vec<Vec<Handle<'a>>>>, Vec<Vec<Option<segment::TableEntry>>>);

/// Looks up the leaves and names of a plan, and requests the tables that the options need.
fn look_up<'a>(
    sources: &[Source<'a>],
    planned: &Planned,
    options: &SearchOptions,
    fetcher: &Fetcher<'_>,
) -> Result<LookedUp<'a>> {
    let (mut lists, mut entries) = (Vec::with_capacity(sources.len()), Vec::with_capacity(sources.len()));
    for source in sources {
        let leaves = planned.leaves.iter().zip(0..).map(|(leaf, index)| {
            fetcher.meter().enter(Part::Leaf(index));
            source.lists(fetcher, leaf)
        });
        lists.push(leaves.collect::<Result<Vec<_>>>()?);
        let sets = planned.sets.iter().zip(0..).map(|(want, index)| {
            fetcher.meter().enter(Part::Set(index));
            source.request_set(fetcher, want)
        });
        entries.push(sets.collect::<Result<Vec<_>>>()?);
        fetcher.meter().enter(Part::Facets);
        sort::request_order(source, options, fetcher)?;
        for (class, prefix) in options.facets.iter().map(Facet::names) {
            source.request_set(fetcher, &SetSelector::NamesFrom(class, prefix))?;
        }
    }
    Ok((lists, entries))
}

impl SearchOptions {
    /// Returns whether every match must be visited, rather than only those that may be among the
    /// best.
    fn needs_every_match(&self) -> bool {
        self.sort != Sort::default() || self.after.is_some() || !self.facets.is_empty()
    }
}

/// The evaluation of a search over one source.
struct Evaluation<'a> {
    eval: Evaluator<'a>,
    /// The live documents that pass the filters, or `None` for all.
    allowed: Option<BitSet>,
    sorter: Option<Sorter<'a>>,
    account: Account,
}

impl<'a> Evaluation<'a> {
    /// Returns the number of matches, as far as they are counted, and the best of them.
    fn best(mut self, source: &Source<'a>, scale: Scale, reach: usize, total: Total) -> Result<(u64, Vec<Candidate>)> {
        let top = match source {
            // In a segment, documents are numbered in CID order.
            Source::Segment(..) => TopK::of_segment(reach),
            Source::Memtable(view, _) => TopK::of_memtable(reach, view),
        };
        let (allowed, is_counting) = (self.allowed.as_ref(), total == Total::Exact);
        let mut collector = Collector { allowed, top, is_counting, total: 0, account: self.account };
        collector.evaluate(&mut self.eval)?;
        let candidate = |(points, document)| {
            let score = scale.score(points);
            let rank = sort::rank_of_score(score, SortOrder::Descending);
            Candidate { score, rank, source: 0, document: DocId(document) }
        };
        Ok((collector.total, collector.top.finish().into_iter().map(candidate).collect()))
    }

    /// Returns the number of matches and the first of them in the requested order, and appends the
    /// set of all matches.
    fn sorted(mut self, source: &Source<'a>, scale: Scale, matches: &mut Vec<BitSet>) -> Result<(u64, Vec<Candidate>)> {
        let mut own = BitSet::empty(source.document_count());
        exhaustive::visit(&mut self.eval, self.allowed.as_ref(), &self.account, |start, window| {
            own.insert_words(start / 64, &window.mask);
            if let Some(sorter) = &mut self.sorter {
                let score = |place: usize| scale.score(window.points[place]);
                Window::places(&window.mask, |place| sorter.offer(start + place as u32, score(place)));
            }
        })?;
        let total = own.count();
        matches.push(own);
        let entries = self.sorter.map(Sorter::finish).unwrap_or_default();
        let candidate = |entry: sort::Entry<'_>| Candidate {
            score: entry.score,
            rank: entry.rank,
            source: 0,
            document: DocId(entry.document),
        };
        Ok((total, entries.into_iter().map(candidate).collect()))
    }
}
