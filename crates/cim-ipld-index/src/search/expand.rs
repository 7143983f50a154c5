//! From what many words have in common to their lists.

use super::source::{Handle, Source};
use crate::error::Result;
use crate::fetch::Fetcher;
use crate::guide::{Guide, Onward, PrefixGuide};
use crate::page::{PageClass, PageId};
use crate::segment::{Entries, Segment};

impl<'a> Source<'a> {
    /// Adds the lists of all words that a guide wants; what is not at hand is noted by the fetcher and left out.
    pub(super) fn expand(
        &self,
        fetcher: &Fetcher<'_>,
        guide: &mut impl Guide,
        handles: &mut Vec<Handle<'a>>,
    ) -> Result<()> {
        match self {
            Self::Memtable(view, _) => {
                view.walk(guide, |term| handles.extend(view.list_of(term).map(Handle::Memtable)));
                Ok(())
            }
            Self::Segment(segment, _) => walk(segment, fetcher, PageClass::Dictionary, guide, |_, value| {
                handles.push(Handle::of_value(value, segment)?);
                Ok(())
            }),
        }
    }
}

/// Visits the entries of a table whose keys start with `prefix`; pages that are not at hand are noted and left out.
pub(super) fn visit_prefix(
    segment: &Segment,
    fetcher: &Fetcher<'_>,
    class: PageClass,
    prefix: &[u8],
    each: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    walk(segment, fetcher, class, &mut PrefixGuide(prefix), each)
}

/// Visits the entries of a table that a guide wants. Only pages that can hold one are asked for; those that are not at
/// hand are noted and left out.
fn walk(
    segment: &Segment,
    fetcher: &Fetcher<'_>,
    class: PageClass,
    guide: &mut impl Guide,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let top = segment.header().table(class);
    let mut ordinal = 0;
    while ordinal < top.page_count() {
        let mut onward = guide.look(top.first_key(ordinal as usize));
        match onward {
            Onward::End => break,
            // The last page whose first key is at most the target: those before it end below the target.
            Onward::Seek => ordinal = top.page_of(guide.target()).unwrap_or(0).max(ordinal),
            Onward::Match | Onward::Next => {}
        }
        let id = PageId::new(class, ordinal);
        ordinal += 1;
        let Some(page) = fetcher.page(segment.id(), id) else { continue };
        let mut visit = || -> Result<()> {
            let mut entries = Entries::new(page.payload(id)?)?;
            loop {
                let value = match onward {
                    Onward::End => return Ok(()),
                    Onward::Seek => entries.next_from(guide.target())?,
                    Onward::Match | Onward::Next => entries.next()?,
                };
                let Some(value) = value else { return Ok(()) };
                onward = guide.look(&entries.key);
                if onward == Onward::Match {
                    each(&entries.key, value)?;
                }
            }
        };
        visit().map_err(|error| error.at(segment.id(), id))?;
    }
    Ok(())
}
