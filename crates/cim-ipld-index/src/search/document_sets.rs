//! The sets of documents with a tag, type, keyword or number.

use super::plan::SetSelector;
use super::source::{Source, insert_list, visit_list, visit_prefix};
use crate::encoding::docset::BitSet;
use crate::error::Result;
use crate::keys;
use crate::memtable::{MemtableList, MemtableView};
use crate::page::fetch::Fetcher;
use crate::page::{DocId, PageClass};
use crate::segment::TableEntry;

impl Source<'_> {
    /// Requests the table pages that a set needs, but not yet the pages they refer to. Returns the
    /// table entry of a single name.
    pub(super) fn request_set(&self, fetcher: &Fetcher<'_>, want: &SetSelector) -> Result<Option<TableEntry>> {
        let Self::Segment(segment, _) = self else { return Ok(None) };
        match want {
            SetSelector::Name(class, key) => return Ok(segment.find(fetcher, *class, key)?.flatten()),
            SetSelector::NamesFrom(class, prefix) | SetSelector::NamesLike(class, prefix, _) => {
                visit_prefix(segment, fetcher, *class, prefix, |_, _| Ok(()))?
            }
            SetSelector::Words(_) => {}
            SetSelector::Numbers(kind, name, _) => segment.find_column(fetcher, *kind, name).map(drop)?,
        }
        Ok(None)
    }

    /// Returns a set, including deleted documents. Missing pages are recorded by the fetcher and
    /// skipped.
    ///
    /// All tables must be available, and `entry` must be the result of
    /// [`request_set`](Self::request_set).
    pub(super) fn set(&self, fetcher: &Fetcher<'_>, want: &SetSelector, entry: Option<&TableEntry>) -> Result<BitSet> {
        let meter = fetcher.meter();
        let documents = u64::from(self.document_count());
        meter.charge_current(documents / 64)?;
        meter.hold_current(documents / 8)?;
        let mut set = BitSet::empty(self.document_count());
        match (self, want) {
            (Self::Segment(segment, _), SetSelector::Name(class, _)) => {
                if let Some(found) = entry {
                    segment.insert_set(fetcher, *class, found.value(), &mut set)?;
                }
            }
            (Self::Segment(segment, _), SetSelector::NamesFrom(class, prefix)) => {
                visit_prefix(segment, fetcher, *class, prefix, |_, value| {
                    segment.insert_set(fetcher, *class, value, &mut set).map(drop)
                })?;
            }
            (Self::Segment(segment, _), SetSelector::NamesLike(class, prefix, test)) => {
                visit_prefix(segment, fetcher, *class, prefix, |key, value| match test.accepts(key) {
                    true => segment.insert_set(fetcher, *class, value, &mut set).map(drop),
                    false => Ok(()),
                })?;
            }
            (Self::Segment(segment, _), SetSelector::Words(field)) => {
                meter.charge_current(documents)?;
                let norms = segment.norms(fetcher, *field)?;
                let documents = 0..segment.document_count();
                norms.into_iter().for_each(|norms| {
                    documents
                        .clone()
                        .filter(|document| norms.at(*document) > 0)
                        .for_each(|document| set.insert(document));
                });
            }
            (Self::Segment(segment, _), SetSelector::Numbers(kind, name, codes)) => {
                if let Some(Some(found)) = segment.find_column(fetcher, *kind, name)? {
                    meter.charge_current(documents)?;
                    let place = segment.column_place(*kind, found.value())?;
                    place.insert_range(&segment.column_fetch(fetcher), codes, &mut set)?;
                }
            }
            (Self::Memtable(view, _), SetSelector::Name(_, key)) => {
                meter.charge_current(documents)?;
                insert_list(view, key, &mut set);
            }
            (Self::Memtable(view, _), SetSelector::NamesFrom(_, prefix)) => {
                visit_names(fetcher, view, prefix, |_, list| visit_list(list, |document| set.insert(document)))?;
            }
            (Self::Memtable(view, _), SetSelector::NamesLike(_, prefix, test)) => {
                visit_names(fetcher, view, prefix, |key, list| {
                    if test.accepts(key) {
                        visit_list(list, |document| set.insert(document));
                    }
                })?;
            }
            (Self::Memtable(view, _), SetSelector::Words(field)) => {
                meter.charge_current(documents)?;
                let has_words = |id: &u32| view.norms(DocId(*id)).is_some_and(|norms| norms[*field] > 0);
                (0..view.document_count()).filter(has_words).for_each(|document| set.insert(document));
            }
            (Self::Memtable(view, _), SetSelector::Numbers(kind, name, codes)) => {
                if let Some(list) = view.list(&keys::column(*kind, name)) {
                    meter.charge_current(u64::from(list.document_frequency()))?;
                    let numbers = list.numbers().filter(|(_, number)| codes.contains(number));
                    numbers.for_each(|(document, _)| set.insert(document));
                }
            }
        }
        Ok(set)
    }

    /// Requests the sets of all names whose keys start with `prefix`, as far as their tables are
    /// available.
    pub(super) fn request_names(&self, fetcher: &Fetcher<'_>, class: PageClass, prefix: &[u8]) -> Result<()> {
        let Self::Segment(segment, _) = self else { return Ok(()) };
        visit_prefix(segment, fetcher, class, prefix, |_, value| segment.request_set(fetcher, class, value))
    }

    /// Visits the names whose keys start with `prefix`, each with the number of `matches` that have
    /// it. All pages must be available.
    pub(super) fn count_names(
        &self,
        fetcher: &Fetcher<'_>,
        class: PageClass,
        prefix: &[u8],
        matches: &BitSet,
        mut each: impl FnMut(&[u8], u64),
    ) -> Result<()> {
        match self {
            Self::Segment(segment, _) => visit_prefix(segment, fetcher, class, prefix, |key, value| {
                let mut count = 0;
                segment.visit_set(fetcher, class, value, |document| count += u64::from(matches.contains(document)))?;
                each(key, count);
                Ok(())
            }),
            Self::Memtable(view, _) => visit_names(fetcher, view, prefix, |key, list| {
                let mut count = 0;
                visit_list(list, |document| count += u64::from(matches.contains(document)));
                each(key, count);
            }),
        }
    }
}

/// Visits the names in a memtable whose keys start with `prefix`, with their lists, until the
/// limit of work is reached.
fn visit_names(
    fetcher: &Fetcher<'_>,
    view: &MemtableView,
    prefix: &[u8],
    mut each: impl FnMut(&[u8], &MemtableList<'_>),
) -> Result<()> {
    let mut result = Ok(());
    view.keys(prefix, |key, term| {
        if result.is_ok()
            && let Some(list) = view.list_of(term)
        {
            result = fetcher.meter().charge_current(1 + u64::from(list.document_frequency()));
            each(key, &list);
        }
    });
    result
}
