//! Names: which of them a query asks for, and which are those of attributes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::{self, SetWant};
use super::source::{Source, visit_prefix};
use crate::analysis::Analyzer;
use crate::docset::BitSet;
use crate::error::Result;
use crate::fetch::Fetcher;
use crate::query::Query;

/// What is known of the names that may be those of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knows {
    All,
    /// Which tables have them, but not whether a live document does.
    AllButSets,
    Nothing,
}

/// Returns the query with each name settled: an attribute, if a live document has one of the name,
/// and else plain text.
///
/// Where pages are missing, which the fetcher then knows, all names are taken for those of
/// attributes.
pub(super) fn settle<'q>(
    query: &'q Query,
    sources: &[Source<'_>],
    fetcher: &Fetcher<'_>,
) -> Result<(Cow<'q, Query>, Knows)> {
    let names = query.unsettled_names();
    if names.is_empty() {
        return Ok((query.settled(&|_| true)?, Knows::All));
    }
    let wants: Vec<(&Arc<str>, Vec<SetWant>)> =
        names.iter().map(|name| (name, SetWant::of_attribute(name).collect())).collect();
    for source in sources {
        for want in wants.iter().flat_map(|(_, wants)| wants) {
            source.ask_for_set(fetcher, want)?;
        }
    }
    if fetcher.has_missing() {
        return Ok((query.settled(&|_| true)?, Knows::Nothing));
    }
    let mut found: BTreeMap<&str, bool> = BTreeMap::new();
    for (name, wants) in &wants {
        let mut is_attribute = false;
        for source in sources {
            for want in wants {
                is_attribute = is_attribute || source.has_live(fetcher, want)?;
            }
        }
        found.insert(name, is_attribute);
    }
    if fetcher.has_missing() {
        return Ok((query.settled(&|_| true)?, Knows::AllButSets));
    }
    Ok((query.settled(&|name| found.get(name).copied().unwrap_or(true))?, Knows::All))
}

/// Asks for what a query needs if none of its names is that of an attribute.
pub(super) fn ask_for_plain(
    query: &Query,
    analyzer: &Analyzer,
    sources: &[Source<'_>],
    fetcher: &Fetcher<'_>,
) -> Result<()> {
    // Names that resemble those of fields are refused once it is known that they are no attributes.
    let Ok(plain) = query.settled(&|_| false) else { return Ok(()) };
    for leaf in &plan::plan(&plain, analyzer)?.leaves {
        sources.iter().try_for_each(|source| source.lists(fetcher, leaf).map(drop))?;
    }
    Ok(())
}

impl Source<'_> {
    /// Says whether a live document is in a set, whose tables are at hand; without its pages, which
    /// the fetcher then knows, the answer means nothing.
    fn has_live(&self, fetcher: &Fetcher<'_>, want: &SetWant) -> Result<bool> {
        if !self.has_entry(fetcher, want)? {
            return Ok(false);
        }
        if self.deletes().is_empty() {
            return Ok(true);
        }
        let mut set: BitSet = self.set(fetcher, want, None)?;
        self.deletes().subtract_from(&mut set);
        Ok(set.next(0).is_some())
    }

    /// Says whether the tables have a set of what an attribute may be.
    fn has_entry(&self, fetcher: &Fetcher<'_>, want: &SetWant) -> Result<bool> {
        match (self, want) {
            (Self::Segment(segment, _), SetWant::NamesFrom(class, prefix)) => {
                let mut has_entry = false;
                visit_prefix(segment, fetcher, *class, prefix, |_, _| {
                    has_entry = true;
                    Ok(())
                })?;
                Ok(has_entry)
            }
            (Self::Segment(segment, _), SetWant::Numbers(kind, name, _)) => {
                Ok(segment.find_column(fetcher, *kind, name)?.flatten().is_some())
            }
            _ => Ok(self.set(fetcher, want, None)?.next(0).is_some()),
        }
    }
}
