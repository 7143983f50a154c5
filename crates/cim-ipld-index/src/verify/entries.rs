//! Checks the table entries: lists, sets and columns.

use std::borrow::Cow;

use super::Verification;
use crate::document::text_field::Field;
use crate::encoding::docset::BitSet;
use crate::error::{Error, Result};
use crate::keys::{self, ColumnKind, Namespace};
use crate::page::PageClass;
use crate::page::fetch::Fetcher;
use crate::score::{Bound, BoundBuilder};
use crate::segment::{
    BLOCK, Directory, InlineList, ListPlace, Norms, Number, PagedBytes, PlaceKind, Segment, SetPlace, decode_set_value,
    encode_column, visit_positions,
};

impl Verification {
    /// Checks one list. Returns whether its pages were available.
    pub(super) fn list(
        &mut self,
        segment: &Segment,
        fetcher: &Fetcher<'_>,
        key: &[u8],
        value: &[u8],
        is_checking: bool,
    ) -> Result<bool> {
        let documents = segment.document_count();
        let place = ListPlace::decode(value, documents)?;
        let (postings_at, positions_at) = match place.kind {
            PlaceKind::Inline(bytes) => {
                if is_checking {
                    let list = InlineList::decode(bytes, place.document_frequency, documents)?;
                    let mut positions = Vec::new();
                    for (index, document) in list.documents().iter().enumerate() {
                        positions.clear();
                        list.visit_positions(index, |position| positions.push(position))?;
                        self.posting(key, *document, &positions)?;
                    }
                    self.count_list(place.document_frequency);
                }
                return Ok(true);
            }
            PlaceKind::Streams { postings, positions } => (postings, positions),
        };
        let postings = segment.stream(fetcher, PageClass::Postings, postings_at)?;
        let positions = segment.stream(fetcher, PageClass::Positions, positions_at)?;
        let norms = self.norms(segment, fetcher, key)?;
        let (true, Some(postings), Some(positions), Some(norms)) = (is_checking, postings, positions, norms) else {
            return Ok(false);
        };
        self.follow(0, postings_at)?;
        self.follow(1, positions_at)?;
        let (mut directory, mut last) = (Directory::default(), Vec::new());
        directory.read(&postings, place.document_frequency, documents, &mut last)?;
        let (mut ids, mut frequencies) = ([0; BLOCK], [0; BLOCK]);
        let mut next = 0;
        for block in 0..last.len() {
            let at = (block, block.checked_sub(1).map(|block| last[block]), last[block]);
            let (len, has_frequencies) =
                directory.load_documents(&postings, at, documents, &mut ids, &mut frequencies)?;
            if !has_frequencies {
                directory.load_frequencies(&postings, block, &mut frequencies)?;
            }
            if ids[..len].iter().any(|id| *id >= documents) || ids[0] < next || !ids[..len].is_sorted_by(|a, b| a < b) {
                return Err(Error::damaged("a list's documents are out of order"));
            }
            next = ids[len - 1] + 1;
            let bound = directory.bound(block);
            self.block(key, &directory, &positions, block, (&ids[..len], &frequencies[..len]), bound, |id| {
                norms.at(id)
            })?;
        }
        self.count_list(place.document_frequency);
        Ok(true)
    }

    /// Returns the length codes of the field of a key.
    fn norms(&mut self, segment: &Segment, fetcher: &Fetcher<'_>, key: &[u8]) -> Result<Option<Norms>> {
        let Some(field) = keys::field_of(key) else { return Ok(None) };
        if let Some(index) = field.index() {
            return self.field_norms(segment, fetcher, index);
        }
        let Field::Attribute(name) = &field else { return Ok(None) };
        if let Some((known, norms)) = &self.attribute_norms
            && known == name
        {
            return Ok(Some(norms.clone()));
        }
        let Some(found) = segment.find_column(fetcher, ColumnKind::Length, name)? else { return Ok(None) };
        let found = found.ok_or_else(|| Error::damaged("an attribute has words but no lengths"))?;
        let norms = segment.attribute_norms(fetcher, found.value())?;
        self.attribute_norms = norms.clone().map(|norms| (name.clone(), norms));
        Ok(norms)
    }

    /// Returns the length codes of a document field. They are held, since they are needed for every
    /// page of documents and every list.
    pub(super) fn field_norms(
        &mut self,
        segment: &Segment,
        fetcher: &Fetcher<'_>,
        field: usize,
    ) -> Result<Option<Norms>> {
        if self.norms[field].is_none() {
            self.norms[field] = segment.norms(fetcher, field)?;
        }
        Ok(self.norms[field].clone())
    }

    #[allow(clippy::too_many_arguments)]
    fn block(
        &mut self,
        key: &[u8],
        directory: &Directory,
        positions: &PagedBytes,
        block: usize,
        (ids, frequencies): (&[u32], &[u32]),
        bound: Bound,
        norm: impl Fn(u32) -> u8,
    ) -> Result<()> {
        let (start_bit, width) = directory.positions_of(block);
        let total: u64 = frequencies.iter().map(|frequency| u64::from(*frequency)).sum();
        let end = start_bit as u64 / 8 + (total * u64::from(width)).div_ceil(8);
        let stated = directory.positions_end(block).map_or(positions.len() as u64, u64::from);
        if end != stated || end > positions.len() as u64 {
            return Err(Error::damaged("a block's positions do not end at their recorded end"));
        }
        let (mut skip, mut place, mut exact) = (0, Vec::new(), BoundBuilder::default());
        for (id, frequency) in ids.iter().zip(frequencies) {
            exact.add(*frequency, norm(*id));
            place.clear();
            visit_positions(positions, (start_bit, width), skip, *frequency as usize, |position| place.push(position))?;
            skip += *frequency as usize;
            self.posting(key, *id, &place)?;
        }
        if exact.finish() != bound {
            return Err(Error::damaged("a block's bound does not match its postings"));
        }
        Ok(())
    }

    fn posting(&mut self, key: &[u8], id: u32, positions: &[u32]) -> Result<()> {
        if positions.is_empty() || !positions.is_sorted_by(|a, b| a < b) {
            return Err(Error::damaged("positions are out of order"));
        }
        for position in positions {
            self.found.words = self.found.words.wrapping_add(hash(key, id, *position));
        }
        Ok(())
    }

    fn count_list(&mut self, document_frequency: u32) {
        self.report.terms += 1;
        self.report.postings += u64::from(document_frequency);
        self.distinct[0] += 1;
    }

    /// Checks one set. Returns whether its pages were available.
    pub(super) fn set(
        &mut self,
        segment: &Segment,
        fetcher: &Fetcher<'_>,
        class: PageClass,
        key: &[u8],
        value: &[u8],
        is_checking: bool,
    ) -> Result<bool> {
        let mut set = BitSet::empty(segment.document_count());
        if !segment.insert_set(fetcher, class, value, &mut set)? || !is_checking {
            return Ok(false);
        }
        let (count, place) = decode_set_value(value)?;
        if let SetPlace::Stream { offset, len } = place {
            self.follow(if class == PageClass::Tags { 2 } else { 3 }, (offset, len))?;
        }
        if count == 0 || set.count() != u64::from(count) {
            return Err(Error::damaged("a set does not have its recorded size"));
        }
        set.iter().for_each(|id| self.found.names = self.found.names.wrapping_add(hash(key, id, 0)));
        self.report.names += 1;
        match class {
            PageClass::Tags => self.distinct[1] += u64::from(keys::namespace(key) == Some(Namespace::Tag)),
            _ if keys::is_content_type(key) => self.distinct[2] += 1,
            _ => self.kinds.push((u32::from(key.get(1).copied().unwrap_or(u8::MAX)), set)),
        }
        Ok(true)
    }

    /// Checks one column, byte by byte. Returns whether its pages were available.
    pub(super) fn column(
        &mut self,
        segment: &Segment,
        fetcher: &Fetcher<'_>,
        kind: ColumnKind,
        key: &[u8],
        value: &[u8],
        is_checking: bool,
    ) -> Result<bool> {
        let place = segment.column_place(kind, value)?;
        let column = segment.open_column(fetcher, kind, value)?;
        let rest = place.stream_range().map(|range| segment.stream(fetcher, PageClass::Columns, range)).transpose()?;
        let (Some(column), true) = (column, is_checking) else { return Ok(false) };
        let numbers: Vec<Number> = column.iter().collect();
        let (offset, len) = place.stream_range().unwrap_or_default();
        let (exact_value, exact_rest) = encode_column(kind, &numbers, segment.document_count(), offset);
        let rest = rest.flatten().map(|rest| rest.slice(0..rest.len()).map(Cow::into_owned)).transpose()?;
        if exact_value != value || exact_rest != rest {
            return Err(Error::damaged("a column does not match the encoding of its numbers"));
        }
        if exact_rest.is_some() {
            self.follow(4, (offset, len))?;
        }
        for (id, number) in numbers {
            self.found.numbers = self.found.numbers.wrapping_add(number_hash(key, id, number));
            self.report.numbers += 1;
        }
        Ok(true)
    }

    /// Checks that the parts of a stream are contiguous.
    fn follow(&mut self, stream: usize, (offset, len): (u64, u64)) -> Result<()> {
        if self.ends[stream] != offset {
            return Err(Error::damaged("a list does not start at the end of the previous one"));
        }
        self.ends[stream] = offset + len;
        Ok(())
    }
}

/// Returns a hash of the parts, mixed as in FNV-1a and the finalizer of MurmurHash3. It does not
/// protect against forgery; the encrypted envelope of the storage layer does.
pub(super) fn hash(key: &[u8], id: u32, position: u32) -> u64 {
    let mut hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    for part in [u64::from(id) << 32 | u64::from(position), 0x9e37_79b9_7f4a_7c15] {
        hash = (hash ^ part).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
    }
    hash
}

/// Returns the hash of a number of a document.
pub(super) fn number_hash(key: &[u8], id: u32, number: u64) -> u64 {
    hash(key, id, number as u32) ^ hash(key, id, (number >> 32) as u32).rotate_left(17)
}
