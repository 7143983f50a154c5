//! Resolves the names in a query: each is an attribute, or plain text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::{self, SetSelector};
use super::source::{Source, visit_prefix};
use crate::analysis::Analyzer;
use crate::encoding::docset::BitSet;
use crate::error::Result;
use crate::page::fetch::Fetcher;
use crate::query::Query;

/// How far the names of a query are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolution {
    Complete,
    /// It is known which tables contain the names, but not whether a live document has them.
    TablesOnly,
    Unknown,
}

/// Returns the query with each name resolved: an attribute if a live document has one of this name,
/// plain text otherwise.
///
/// If pages are missing, which the fetcher records, all names are treated as attributes.
pub(super) fn resolve<'q>(
    query: &'q Query,
    sources: &[Source<'_>],
    fetcher: &Fetcher<'_>,
) -> Result<(Cow<'q, Query>, Resolution)> {
    let names = query.unresolved_names();
    if names.is_empty() {
        return Ok((query.resolved(&|_| true)?, Resolution::Complete));
    }
    let wants: Vec<(&Arc<str>, Vec<SetSelector>)> =
        names.iter().map(|name| (name, SetSelector::of_attribute(name).collect())).collect();
    for source in sources {
        for want in wants.iter().flat_map(|(_, wants)| wants) {
            source.request_set(fetcher, want)?;
        }
    }
    if fetcher.has_missing() {
        return Ok((query.resolved(&|_| true)?, Resolution::Unknown));
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
        return Ok((query.resolved(&|_| true)?, Resolution::TablesOnly));
    }
    Ok((query.resolved(&|name| found.get(name).copied().unwrap_or(true))?, Resolution::Complete))
}

/// Requests the pages that a query needs if none of its names is an attribute.
pub(super) fn request_plain(
    query: &Query,
    analyzer: &Analyzer,
    sources: &[Source<'_>],
    fetcher: &Fetcher<'_>,
) -> Result<()> {
    // Names that resemble fields are refused once it is known that they are not attributes.
    let Ok(plain) = query.resolved(&|_| false) else { return Ok(()) };
    for leaf in &plan::plan(&plain, analyzer, fetcher.meter().clauses())?.leaves {
        sources.iter().try_for_each(|source| source.lists(fetcher, leaf).map(drop))?;
    }
    Ok(())
}

impl Source<'_> {
    /// Returns whether a live document is in a set whose tables are available. If other pages are
    /// missing, which the fetcher records, the result is unspecified.
    fn has_live(&self, fetcher: &Fetcher<'_>, want: &SetSelector) -> Result<bool> {
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

    /// Returns whether an attribute has a value of the type that `want` selects, possibly only in
    /// deleted documents. In a segment, only the tables are read.
    fn has_entry(&self, fetcher: &Fetcher<'_>, want: &SetSelector) -> Result<bool> {
        match (self, want) {
            (Self::Segment(segment, _), SetSelector::NamesFrom(class, prefix)) => {
                let mut has_entry = false;
                visit_prefix(segment, fetcher, *class, prefix, |_, _| {
                    has_entry = true;
                    Ok(())
                })?;
                Ok(has_entry)
            }
            (Self::Segment(segment, _), SetSelector::Numbers(kind, name, _)) => {
                Ok(segment.find_column(fetcher, *kind, name)?.flatten().is_some())
            }
            _ => Ok(self.set(fetcher, want, None)?.next(0).is_some()),
        }
    }
}
