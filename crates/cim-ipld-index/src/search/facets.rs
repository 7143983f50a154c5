//! Facets: the number of matches with each tag, content type or keyword.

use std::collections::HashMap;

use super::source::Source;
use crate::encoding::docset::BitSet;
use crate::error::{Error, Result};
use crate::keys;
use crate::page::PageClass;
use crate::page::fetch::Fetcher;
use crate::search::options::{Facet, FacetCounts, FacetField};

impl Facet {
    /// Returns the table of the facet's names and the prefix of their keys.
    pub(super) fn names(&self) -> (PageClass, Vec<u8>) {
        match &self.of {
            FacetField::Tags => (PageClass::Tags, keys::tag("")),
            FacetField::ContentTypes => (PageClass::Types, keys::content_type("")),
            FacetField::Attribute(name) => (PageClass::Tags, keys::keyword(name, "")),
        }
    }
}

/// Counts the names of a facet in the matches of every source. All pages must be available.
pub(super) fn count(
    facet: &Facet,
    sources: &[Source<'_>],
    matches: &[BitSet],
    fetcher: &Fetcher<'_>,
) -> Result<FacetCounts> {
    let (class, prefix) = facet.names();
    let mut sums: HashMap<Vec<u8>, u64> = HashMap::new();
    for (source, matches) in sources.iter().zip(matches) {
        source.count_names(fetcher, class, &prefix, matches, |key, count| {
            let name = &key[prefix.len()..];
            match sums.get_mut(name) {
                Some(sum) => *sum += count,
                None if count > 0 => drop(sums.insert(name.to_vec(), count)),
                None => {}
            }
        })?;
    }
    let distinct = sums.len() as u64;
    let mut counts: Vec<(Vec<u8>, u64)> = sums.into_iter().collect();
    let order = |a: &(Vec<u8>, u64), b: &(Vec<u8>, u64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0));
    if facet.limit > 0 && facet.limit < counts.len() {
        counts.select_nth_unstable_by(facet.limit - 1, order);
    }
    counts.truncate(facet.limit);
    counts.sort_unstable_by(order);
    let text = |name| String::from_utf8(name).map_err(|_| Error::damaged("a name is not UTF-8"));
    let counts = counts.into_iter().map(|(name, count)| Ok((text(name)?, count))).collect::<Result<_>>()?;
    Ok(FacetCounts { counts, distinct })
}
