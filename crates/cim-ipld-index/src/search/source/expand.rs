//! Expands prefixes, patterns and fuzzy words to the lists of all matching words.

use super::super::cursor::Cursor;
use super::super::plan::Leaf;
use super::super::union::Union;
use super::{Handle, NormCache, Source};
use crate::automaton::{AcceptStatus, Automaton, PrefixAutomaton};
use crate::budget::meter::{Account, Metered};
use crate::error::Result;
use crate::page::fetch::Fetcher;
use crate::page::{PageClass, PageId};
use crate::score::TermScorer;
use crate::segment::{Entries, InlineList, ListPlace, PlaceKind, Segment};

impl<'a> Source<'a> {
    /// Adds the lists of all words that an automaton accepts, which needs `units` of work for each
    /// word that it examines. Missing pages are recorded by the fetcher and skipped.
    pub(super) fn expand(
        &self,
        fetcher: &Fetcher<'_>,
        automaton: impl Automaton,
        units: u64,
        handles: &mut Vec<Handle<'a>>,
    ) -> Result<()> {
        let meter = fetcher.meter();
        let known = handles.len();
        match self {
            Self::Memtable(view, _) => {
                let mut automaton = Metered::new(automaton, units, meter);
                view.walk(&mut automaton, |term| {
                    let document_frequency = view.document_frequency(term);
                    if document_frequency > 0 {
                        handles.push(Handle::Term { term, document_frequency });
                    }
                });
                automaton.finish()?;
                meter.expand((handles.len() - known) as u64)?;
            }
            Self::Segment(segment, _) => {
                walk(segment, fetcher, PageClass::Dictionary, automaton, units, |_, value| {
                    meter.expand(1)?;
                    handles.push(Handle::of_value(value, segment)?);
                    Ok(())
                })?
            }
        }
        meter.hold_current(((handles.len() - known) * size_of::<Handle<'_>>()) as u64)
    }

    /// Merges the postings of many lists. Returns `None` if a page is missing, which the fetcher
    /// records.
    pub(in crate::search) fn unite(
        &self,
        fetcher: &Fetcher<'_>,
        handles: &[Handle<'a>],
        leaf: &Leaf,
        norms: &mut NormCache,
        scorer: TermScorer,
        account: &Account,
    ) -> Result<Option<Union>> {
        let documents = self.document_count();
        account.charge(documents as usize / 8)?;
        account.hold(Union::bytes(documents, matches!(self, Self::Memtable(..))))?;
        let mut union = Union::new(documents, scorer);
        let mut is_complete = true;
        for handle in handles {
            account.charge(1 + handle.document_frequency() as usize)?;
            match (self, handle) {
                (Self::Memtable(view, _), Handle::Term { term, .. }) => union.add_term(view, *term),
                (Self::Segment(..), Handle::Segment { value, document_frequency }) => {
                    match ListPlace::decode(value.bytes(), documents)?.kind {
                        PlaceKind::Inline(bytes) => {
                            // The common case needs no cursor.
                            let add = |document, frequency, _| union.add(document, frequency);
                            InlineList::visit(bytes, *document_frequency, documents, add)?;
                        }
                        PlaceKind::Streams { .. } => {
                            let cursor = self.open(fetcher, handle, leaf, norms, account)?;
                            is_complete &= cursor.map(|cursor| add_list(cursor, &mut union)).transpose()?.is_some();
                        }
                    }
                }
                _ => unreachable!("a word has a list or a term, and a handle belongs to the source that created it"),
            }
        }
        if let Self::Segment(segment, _) = self {
            match norms.fetch(segment, fetcher, &leaf.field)? {
                Some(norms) => union.set_norms(&norms),
                None => is_complete = false,
            }
        }
        Ok(is_complete.then_some(union))
    }
}

fn add_list(mut cursor: Cursor<'_>, union: &mut Union) -> Result<()> {
    for block in 0..cursor.block_count() {
        cursor.enter_block(block)?;
        let (documents, frequencies, _) = cursor.weights()?;
        documents.iter().zip(frequencies).for_each(|(document, frequency)| union.add(*document, *frequency));
    }
    if let Some(norms) = cursor.norms() {
        union.set_norms(norms);
    }
    Ok(())
}

/// Visits the entries of a table whose keys start with `prefix`. Missing pages are recorded and
/// skipped.
pub(in crate::search) fn visit_prefix(
    segment: &Segment,
    fetcher: &Fetcher<'_>,
    class: PageClass,
    prefix: &[u8],
    each: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    walk(segment, fetcher, class, PrefixAutomaton(prefix), 1, each)
}

/// Visits the entries of a table that an automaton accepts, which needs `units` of work for each
/// entry that it examines. Only pages that can contain one are requested; missing ones are recorded
/// and skipped.
fn walk(
    segment: &Segment,
    fetcher: &Fetcher<'_>,
    class: PageClass,
    automaton: impl Automaton,
    units: u64,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let mut automaton = Metered::new(automaton, units, fetcher.meter());
    let top = segment.header().table(class);
    let mut ordinal = 0;
    while ordinal < top.page_count() {
        let mut status = automaton.accept(top.first_key(ordinal as usize));
        match status {
            AcceptStatus::End => break,
            // Continues at the last page whose first key is at most the target: earlier pages end
            // below the target.
            AcceptStatus::Seek => ordinal = top.page_of(automaton.target()).unwrap_or(0).max(ordinal),
            AcceptStatus::Accept | AcceptStatus::Reject => {}
        }
        let id = PageId::new(class, ordinal);
        ordinal += 1;
        let Some(page) = fetcher.page(segment.id(), id) else { continue };
        let mut visit = || -> Result<()> {
            let mut entries = Entries::new(page.payload(id)?)?;
            loop {
                let value = match status {
                    AcceptStatus::End => return Ok(()),
                    AcceptStatus::Seek => entries.next_from(automaton.target())?,
                    AcceptStatus::Accept | AcceptStatus::Reject => entries.next()?,
                };
                let Some(value) = value else { return Ok(()) };
                status = automaton.accept(&entries.key);
                if status == AcceptStatus::Accept {
                    each(&entries.key, value)?;
                }
            }
        };
        visit().map_err(|error| error.at(segment.id(), id))?;
    }
    automaton.finish()
}
