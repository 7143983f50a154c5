//! Merges the best of each source into the hits, ordered by score and then by CID.

use cid::Cid;

use super::snippet::SnippetGenerator;
use super::source::Source;
use crate::budget::meter::Meter;
use crate::document::codec;
use crate::error::Result;
use crate::page::DocId;
use crate::page::fetch::Fetcher;
use crate::search::options::SearchOptions;
use crate::search::results::Hit;

/// The number of bytes of a stored document that are read for a unit of work.
const BYTES_PER_UNIT: usize = 16;

/// A document that may be a hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) score: f32,
    /// The sort rank; smaller ranks come first.
    pub(crate) rank: u128,
    pub(crate) source: usize,
    pub(crate) document: DocId,
}

/// Sorts the candidates and returns those that the options select.
///
/// The candidates of one source are already in final order. CIDs are compared only to break ties
/// between sources.
pub(super) fn order(
    sources: &[Source<'_>],
    mut candidates: Vec<Candidate>,
    options: &SearchOptions,
    fetcher: &Fetcher<'_>,
) -> Result<Vec<Candidate>> {
    let reach = options.offset + options.limit;
    if candidates.iter().all(|candidate| candidate.source == candidates[0].source) {
        candidates.truncate(reach);
        candidates.drain(..options.offset.min(candidates.len()));
        return Ok(candidates);
    }
    // The sort is stable, so ties within a source keep their order.
    candidates.sort_by_key(|candidate| candidate.rank);
    let mut ordered: Vec<Candidate> = Vec::with_capacity(reach.min(candidates.len()));
    for group in candidates.chunk_by(|a, b| a.rank == b.rank) {
        if ordered.len() >= reach {
            break;
        }
        if group.iter().all(|candidate| candidate.source == group[0].source) {
            ordered.extend(group);
        } else {
            ordered.extend(by_cid(sources, group, fetcher)?);
        }
    }
    ordered.truncate(reach);
    ordered.drain(..options.offset.min(ordered.len()));
    Ok(ordered)
}

/// Reads the documents of the hits. Missing pages are recorded by the fetcher and their hits
/// skipped.
pub(super) fn hits(
    sources: &[Source<'_>],
    best: &[Candidate],
    snippets: Option<&SnippetGenerator<'_>>,
    fetcher: &Fetcher<'_>,
) -> Result<Vec<Hit>> {
    let mut hits = Vec::with_capacity(best.len());
    for candidate in best {
        if let Some(encoded) = sources[candidate.source].encoded(fetcher, candidate.document)? {
            fetcher.meter().charge_current((encoded.len() / BYTES_PER_UNIT) as u64)?;
            hits.push(hit(&encoded, candidate.score, snippets, fetcher.meter())?);
        }
    }
    Ok(hits)
}

fn by_cid(sources: &[Source<'_>], group: &[Candidate], fetcher: &Fetcher<'_>) -> Result<Vec<Candidate>> {
    let mut keyed: Vec<(Vec<u8>, Candidate)> = Vec::with_capacity(group.len());
    for candidate in group {
        let encoded = sources[candidate.source].encoded(fetcher, candidate.document)?;
        // Without its page, a candidate's order does not matter: the search will be repeated.
        let cid = encoded.map(|encoded| codec::decode_cid(&encoded)).transpose()?;
        keyed.push((cid.as_ref().map(Cid::to_bytes).unwrap_or_default(), *candidate));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(keyed.into_iter().map(|(_, candidate)| candidate).collect())
}

fn hit(encoded: &[u8], score: f32, snippets: Option<&SnippetGenerator<'_>>, meter: &Meter) -> Result<Hit> {
    let (document, mut tail) = codec::decode_head(encoded)?;
    let snippet = match snippets {
        Some(generator) => tail.text()?.map(|text| generator.cut(text, meter)).transpose()?.flatten(),
        None => None,
    };
    Ok(Hit {
        cid: document.cid,
        score,
        title: document.title,
        author: document.author,
        tags: document.tags,
        content_type: document.content_type,
        kind: document.kind,
        created_at: document.created_at,
        modified_at: document.modified_at,
        size: document.size,
        attributes: document.attributes,
        snippet,
    })
}
