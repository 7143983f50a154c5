//! The occurrences in the document that is being inserted, grouped by term.

use super::key::Key;
use super::lists::{ListStore, MAX_FREQUENCY, Posting};
use super::{Inner, MAX_KEPT_BYTES};
use crate::analysis::{Form, Scratch};
use crate::document::Document;
use crate::keys::fields;
use crate::keys::{self, FIELDS};

/// The length codes of the fields, followed by 0 for names.
type Norms = [u8; FIELDS + 1];
const NAME: u8 = FIELDS as u8;

/// The postings of one document, with reusable buffers.
#[derive(Debug, Default)]
pub(super) struct Occurrences {
    analysis: Scratch,
    key: Vec<u8>,
    groups: Vec<Group>,
    /// The group (upper 32 bits) and position of every repeated occurrence of a term.
    repeats: Vec<u64>,
    /// The index in `groups` of each term, valid only if that group refers back to the term, so
    /// that nothing has to be cleared between documents (Briggs and Torczon, "An Efficient
    /// Representation for Sparse Sets", 1993).
    marks: Vec<u32>,
    is_full: bool,
}

/// The occurrences of one term.
#[derive(Debug)]
struct Group {
    term: u32,
    frequency: u32,
    /// The first position; if there are several and they are stored, their location.
    positions: u32,
    /// The location of the next position.
    next: u32,
    /// The index of the term's length code in the norms.
    field: u8,
}

impl Occurrences {
    /// Splits the document into words and names and adds a posting for each term. Returns the
    /// number of words of each field.
    pub(super) fn insert(
        &mut self,
        inner: &Inner,
        id: u32,
        document: &Document,
        text: Option<&str>,
    ) -> Option<[u32; FIELDS]> {
        self.begin();
        let mut analysis = std::mem::take(&mut self.analysis);
        let lengths =
            fields::visit_words(document, text, &inner.analyzer, &mut analysis, |form, field, word, position| {
                let head = keys::word_head(form, field);
                self.add(inner, &Key::of_name(head, word.as_bytes()), field as u8, position);
            });
        self.analysis = analysis;
        let mut key = std::mem::take(&mut self.key);
        fields::visit_names(document, &mut key, |key| self.add_name(inner, &Key::new(key)));
        self.key = key;
        let mut norms = Norms::default();
        norms.iter_mut().zip(lengths).for_each(|(norm, length)| *norm = crate::score::norm_of_length(length));
        self.push(inner, id, &norms)?;
        Some(lengths)
    }

    /// Splits the text of an attribute into words and adds a posting for each term. Returns the
    /// number of words.
    pub(super) fn insert_attribute(
        &mut self,
        inner: &Inner,
        id: u32,
        name: &str,
        text: &fields::AttributeText<'_>,
    ) -> Option<u32> {
        self.begin();
        let (mut analysis, mut key) = (std::mem::take(&mut self.analysis), std::mem::take(&mut self.key));
        let prefixes = Form::ALL.map(|form| {
            keys::put_attribute(form, name, &mut key);
            key.clone()
        });
        let mut length = 0;
        text.visit_words(&inner.analyzer, &mut analysis, |form, word, position| {
            key.clear();
            key.extend_from_slice(&prefixes[form as usize]);
            key.extend_from_slice(word.as_bytes());
            length += u32::from(form == Form::Word);
            self.add(inner, &Key::new(&key), 0, position);
        });
        (self.analysis, self.key) = (analysis, key);
        let mut norms = Norms::default();
        norms[0] = crate::score::norm_of_length(length);
        self.push(inner, id, &norms)?;
        Some(length)
    }

    /// Returns the size of the buffers, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.document_bytes() + self.marks.capacity() * size_of::<u32>()
    }

    /// Frees the buffers of an unusually large document.
    pub(super) fn trim(&mut self) {
        if self.document_bytes() > MAX_KEPT_BYTES {
            *self = Self { marks: std::mem::take(&mut self.marks), ..Self::default() };
        }
    }

    fn document_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>() + self.repeats.capacity() * size_of::<u64>() + self.key.capacity()
    }

    fn begin(&mut self) {
        self.groups.clear();
        self.repeats.clear();
        self.is_full = false;
    }

    /// Adds an occurrence. Those of one term come in increasing order of position.
    #[inline]
    fn add(&mut self, inner: &Inner, key: &Key<'_>, field: u8, position: u32) {
        let Some(term) = inner.term(key) else {
            self.is_full = true;
            return;
        };
        match self.group_of(term) {
            Some(group) => {
                self.groups[group as usize].frequency += 1;
                self.repeats.push(u64::from(group) << 32 | u64::from(position));
            }
            None => self.begin_group(term, field, position),
        }
    }

    /// Adds a name, unless it was added before.
    fn add_name(&mut self, inner: &Inner, key: &Key<'_>) {
        match inner.term(key) {
            None => self.is_full = true,
            Some(term) if self.group_of(term).is_none() => self.begin_group(term, NAME, 0),
            Some(_) => {}
        }
    }

    #[inline]
    fn group_of(&self, term: u32) -> Option<u32> {
        let group = *self.marks.get(term as usize)?;
        self.groups.get(group as usize).filter(|known| known.term == term).map(|_| group)
    }

    #[inline]
    fn begin_group(&mut self, term: u32, field: u8, position: u32) {
        if self.marks.len() <= term as usize {
            self.marks.resize(term as usize + 1, 0);
        }
        self.marks[term as usize] = self.groups.len() as u32;
        self.groups.push(Group { term, frequency: 1, positions: position, next: 0, field });
    }

    /// Appends a posting for every term to its list. Returns `None` if there was no space for a
    /// term or a posting.
    fn push(&mut self, inner: &Inner, id: u32, norms: &Norms) -> Option<()> {
        if self.is_full {
            return None;
        }
        if !self.repeats.is_empty() {
            self.store_positions(&inner.lists)?;
        }
        for group in &self.groups {
            let (frequency, norm) = (group.kept(), norms[usize::from(group.field)]);
            let posting = Posting { document: id, frequency, norm, positions: group.positions };
            inner.lists.push(inner.terms.list(group.term), posting)?;
        }
        Some(())
    }

    /// Stores the positions of every term with several occurrences, contiguously per term.
    fn store_positions(&mut self, lists: &ListStore) -> Option<()> {
        let many = |group: &&mut Group| group.frequency > 1;
        let words = self.groups.iter_mut().filter(many).map(|group| group.kept()).sum();
        let mut place = lists.allocate(words)?;
        for group in self.groups.iter_mut().filter(many) {
            lists.set(place, group.positions);
            (group.positions, group.next) = (place, place + 1);
            place += group.kept();
        }
        for repeat in &self.repeats {
            let group = &mut self.groups[(repeat >> 32) as usize];
            if group.next < group.positions + group.kept() {
                lists.set(group.next, *repeat as u32);
                group.next += 1;
            }
        }
        Some(())
    }
}

impl Group {
    /// Returns the number of positions that a list stores.
    fn kept(&self) -> u32 {
        self.frequency.min(MAX_FREQUENCY)
    }
}
