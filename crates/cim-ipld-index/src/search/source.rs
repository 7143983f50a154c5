//! A source of a search: one segment or one memtable of a read view.

mod expand;
mod value;

use std::rc::Rc;

pub(super) use expand::visit_prefix;
use value::Value;

use super::cursor::{Cursor, List};
use super::plan::{Leaf, TermSelector};
use crate::automaton::{FilteredAutomaton, PrefixAutomaton};
use crate::budget::meter::Account;
use crate::deletes::Deletes;
use crate::document::text_field::Field;
use crate::encoding::docset::BitSet;
use crate::error::{Error, Result};
use crate::keys::{self, ColumnKind};
use crate::memtable::{BLOCK, MemtableList, MemtableView};
use crate::page::fetch::Fetcher;
use crate::page::{DocId, PageClass};
use crate::segment::{InlineList, ListPlace, Norms, PlaceKind, Segment};

#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Segment(&'a Segment, &'a Deletes),
    Memtable(&'a MemtableView, &'a Deletes),
}

/// An existing posting list that has not been opened.
pub(crate) enum Handle<'a> {
    /// A list in a segment, by its dictionary value.
    Segment {
        value: Value,
        document_frequency: u32,
    },
    Memtable(MemtableList<'a>),
    /// A list in a memtable, by its term.
    Term {
        term: u32,
        document_frequency: u32,
    },
}

/// The length codes of the fields that a search has needed so far.
#[derive(Default)]
pub(crate) struct NormCache {
    fields: [Option<Rc<Norms>>; keys::FIELDS],
    /// The length codes of the last attribute, which are expensive to build.
    attribute: Option<(Field, Rc<Norms>)>,
}

impl Handle<'_> {
    /// Decodes a dictionary value.
    pub(crate) fn of_value(value: &[u8], segment: &Segment) -> Result<Self> {
        let document_frequency = ListPlace::decode(value, segment.document_count())?.document_frequency;
        Ok(Self::Segment { value: Value::new(value), document_frequency })
    }

    pub(crate) fn document_frequency(&self) -> u32 {
        match self {
            Self::Segment { document_frequency, .. } | Self::Term { document_frequency, .. } => *document_frequency,
            Self::Memtable(list) => list.document_frequency(),
        }
    }
}

impl<'a> Source<'a> {
    pub(crate) fn document_count(&self) -> u32 {
        match self {
            Self::Segment(segment, _) => segment.document_count(),
            Self::Memtable(view, _) => view.document_count(),
        }
    }

    pub(crate) fn deletes(&self) -> &'a Deletes {
        match self {
            Self::Segment(_, deletes) | Self::Memtable(_, deletes) => deletes,
        }
    }

    /// Returns the number of documents on which scores are based.
    pub(crate) fn counted_documents(&self) -> u32 {
        match self {
            Self::Segment(segment, _) => segment.document_count(),
            Self::Memtable(view, deletes) => view.document_count().saturating_sub(deletes.len()),
        }
    }

    /// Returns the number of documents in a list on which scores are based.
    pub(crate) fn counted_frequency(&self, handle: &Handle<'_>) -> u32 {
        let all = handle.document_frequency();
        let deleted = match (self, handle) {
            (Self::Memtable(_, deletes), _) if deletes.is_empty() => 0,
            (Self::Memtable(_, deletes), Handle::Memtable(list)) => list.count_deleted(deletes),
            (Self::Memtable(view, deletes), Handle::Term { term, .. }) => {
                view.list_of(*term).map_or(0, |list| list.count_deleted(deletes))
            }
            _ => 0,
        };
        all - deleted
    }

    /// Returns the number of words of a field in the documents on which scores are based. For an
    /// attribute, this needs the attribute's page of the fields table.
    pub(crate) fn counted_words(&self, fetcher: &Fetcher<'_>, field: &Field) -> Result<u64> {
        match (self, field.index(), field) {
            (Self::Segment(segment, _), Some(field), _) => Ok(segment.header().total_words[field]),
            (Self::Memtable(view, deletes), Some(field), _) => Ok(view.live_words(deletes)[field]),
            (Self::Segment(segment, _), None, Field::Attribute(name)) => {
                let Some(Some(found)) = segment.find_column(fetcher, ColumnKind::Length, name)? else { return Ok(0) };
                Ok(segment.column_place(ColumnKind::Length, found.value())?.sum)
            }
            (Self::Memtable(view, deletes), None, Field::Attribute(name)) => {
                let list = view.list(&keys::column(ColumnKind::Length, name));
                let live = |(id, _): &(u32, u64)| !deletes.contains(DocId(*id));
                Ok(list.map_or(0, |list| list.numbers().filter(live).map(|(_, length)| length).sum()))
            }
            _ => Ok(0),
        }
    }

    /// Returns the number of distinct words, tags and content types.
    pub(crate) fn distinct(&self) -> [u64; 3] {
        match self {
            Self::Segment(segment, _) => segment.header().distinct,
            Self::Memtable(view, _) => view.distinct(),
        }
    }

    /// Finds the lists of a leaf. Missing pages are recorded by the fetcher and skipped.
    pub(crate) fn lists(&self, fetcher: &Fetcher<'_>, leaf: &Leaf) -> Result<Vec<Handle<'a>>> {
        /// The units of work to compare a key with a prefix, and with a pattern.
        const KEY: u64 = 1;
        const PATTERN: u64 = 8;
        let mut handles = Vec::new();
        if let (Self::Segment(segment, _), Field::Attribute(name)) = (self, &leaf.field) {
            // The lengths are needed together with the lists, so their table page is requested now.
            segment.find_column(fetcher, ColumnKind::Length, name)?;
        }
        match (self, &leaf.want) {
            (Self::Memtable(view, _), TermSelector::Word(word)) => {
                handles.extend(view.list(&keys::word(leaf.form, &leaf.field, word)).map(Handle::Memtable));
            }
            (Self::Segment(segment, _), TermSelector::Word(word)) => {
                let key = keys::word(leaf.form, &leaf.field, word);
                if let Some(Some(found)) = segment.find(fetcher, PageClass::Dictionary, &key)? {
                    handles.push(Handle::of_value(found.value(), segment)?);
                }
            }
            (_, TermSelector::Prefix(prefix)) => {
                let prefix = keys::word(leaf.form, &leaf.field, prefix);
                self.expand(fetcher, PrefixAutomaton(&prefix), KEY, &mut handles)?;
            }
            (_, TermSelector::Like(pattern)) => {
                let field = keys::word(leaf.form, &leaf.field, "");
                let prefix = keys::word(leaf.form, &leaf.field, pattern.literal_prefix());
                let accepts = |key: &[u8]| {
                    let word = std::str::from_utf8(key.get(field.len()..).unwrap_or_default());
                    word.is_ok_and(|word| pattern.accepts(word))
                };
                let automaton = FilteredAutomaton(PrefixAutomaton(&prefix), accepts);
                self.expand(fetcher, automaton, PATTERN, &mut handles)?;
            }
            (_, TermSelector::Fuzzy(fuzzy)) => {
                let automaton = fuzzy.automaton(keys::word(leaf.form, &leaf.field, ""));
                self.expand(fetcher, automaton, PATTERN, &mut handles)?;
            }
        }
        Ok(handles)
    }

    /// Opens a list. Returns `None` if a page is missing.
    pub(crate) fn open(
        &self,
        fetcher: &Fetcher<'_>,
        handle: &Handle<'a>,
        leaf: &Leaf,
        norms: &mut NormCache,
        account: &Account,
    ) -> Result<Option<Cursor<'a>>> {
        let (value, df, segment) = match (handle, self) {
            (Handle::Memtable(list), _) => {
                return Cursor::new(List::Memtable(list.clone()), list.document_frequency(), account.clone()).map(Some);
            }
            (Handle::Term { term, document_frequency }, Self::Memtable(view, _)) => {
                let Some(list) = view.list_of(*term) else { return Ok(None) };
                return Cursor::new(List::Memtable(list), *document_frequency, account.clone()).map(Some);
            }
            (Handle::Segment { value, document_frequency }, Self::Segment(segment, _)) => {
                (value.bytes(), *document_frequency, segment)
            }
            (Handle::Segment { .. }, Self::Memtable(..)) | (Handle::Term { .. }, Self::Segment(..)) => {
                unreachable!("a handle belongs to the source that made it")
            }
        };
        let documents = segment.document_count();
        let norms = norms.fetch(segment, fetcher, &leaf.field)?;
        let list = match ListPlace::decode(value, documents)?.kind {
            PlaceKind::Inline(bytes) => {
                let list = InlineList::decode(bytes, df, documents)?;
                norms.map(|norms| List::Inline { list, norms })
            }
            PlaceKind::Streams { postings, positions } => {
                let postings = segment.stream(fetcher, PageClass::Postings, postings)?;
                let positions = match leaf.needs_positions {
                    true => Some(segment.stream(fetcher, PageClass::Positions, positions)?),
                    false => None,
                };
                let (Some(postings), Some(norms)) = (postings, norms) else { return Ok(None) };
                let positions = match positions {
                    Some(None) => return Ok(None),
                    Some(found) => found,
                    None => None,
                };
                Some(List::Segment { postings, positions, norms, documents })
            }
        };
        list.map(|list| Cursor::new(list, df, account.clone())).transpose()
    }

    /// Returns the documents with at least one of the names, including deleted ones.
    pub(crate) fn names(
        &self,
        fetcher: &Fetcher<'_>,
        class: PageClass,
        names: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<BitSet> {
        let mut set = BitSet::empty(self.document_count());
        for key in names {
            match self {
                Self::Segment(segment, _) => {
                    if let Some(Some(found)) = segment.find(fetcher, class, &key)? {
                        segment.insert_set(fetcher, class, found.value(), &mut set)?;
                    }
                }
                Self::Memtable(view, _) => insert_list(view, &key, &mut set),
            }
        }
        Ok(set)
    }

    /// Returns an encoded document, or `None` if a page is missing.
    pub(crate) fn encoded(&self, fetcher: &Fetcher<'_>, id: DocId) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Segment(segment, _) => segment.stored(fetcher, id),
            Self::Memtable(view, _) => Ok(view.encoded(id).map(<[u8]>::to_vec)),
        }
    }
}

impl NormCache {
    pub(super) fn fetch(
        &mut self,
        segment: &Segment,
        fetcher: &Fetcher<'_>,
        field: &Field,
    ) -> Result<Option<Rc<Norms>>> {
        let Some(index) = field.index() else { return self.fetch_attribute(segment, fetcher, field) };
        if self.fields[index].is_none() {
            self.fields[index] = segment.norms(fetcher, index)?.map(Rc::new);
        }
        Ok(self.fields[index].clone())
    }

    fn fetch_attribute(
        &mut self,
        segment: &Segment,
        fetcher: &Fetcher<'_>,
        field: &Field,
    ) -> Result<Option<Rc<Norms>>> {
        if let Some((_, norms)) = self.attribute.as_ref().filter(|(held, _)| held == field) {
            return Ok(Some(norms.clone()));
        }
        let Field::Attribute(name) = field else { return Ok(None) };
        let Some(found) = segment.find_column(fetcher, ColumnKind::Length, name)? else { return Ok(None) };
        let found = found.ok_or_else(|| Error::damaged("an attribute has words but no lengths"))?;
        fetcher.meter().charge_current(u64::from(segment.document_count()))?;
        let Some(norms) = segment.attribute_norms(fetcher, found.value())?.map(Rc::new) else { return Ok(None) };
        self.attribute = Some((field.clone(), norms.clone()));
        Ok(Some(norms))
    }
}

pub(super) fn insert_list(view: &MemtableView, key: &[u8], set: &mut BitSet) {
    if let Some(list) = view.list(key) {
        visit_list(&list, |document| set.insert(document));
    }
}

pub(super) fn visit_list(list: &MemtableList<'_>, mut each: impl FnMut(u32)) {
    let (mut documents, mut weights) = ([0; BLOCK], [0; BLOCK]);
    for block in 0..list.blocks.len() {
        let len = list.load(block, &mut documents, &mut weights);
        documents[..len].iter().copied().for_each(&mut each);
    }
}
