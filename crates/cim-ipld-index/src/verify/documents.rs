//! Checks the documents, and sums the hashes of their words, names and numbers.

use std::collections::{HashMap, HashSet};

use super::entries::{hash, number_hash};
use super::{HashSums, READ_AHEAD_PAGES, Verification};
use crate::analysis::{Form, Scratch};
use crate::document::Document;
use crate::document::codec;
use crate::error::{Error, Result};
use crate::keys::fields;
use crate::keys::{self, ColumnKind, FIELDS, Namespace};
use crate::memtable::MAX_FREQUENCY;
use crate::page::fetch::Fetcher;
use crate::page::{PageClass, PageId};
use crate::score::norm_of_length;
use crate::segment::{Entries, Segment, cid_hash, stored_page};

impl Verification {
    /// Checks one stored page, or all pages of one large document: documents, CIDs and lengths.
    pub(super) fn documents(&mut self, segment: &Segment, fetcher: &Fetcher<'_>) -> Result<bool> {
        let top = &segment.header().stored;
        if self.page == top.page_count() {
            return Ok(true);
        }
        let (pages, documents) = top.unit_of(self.page, segment.document_count());
        let cids = self.cids_of(segment, fetcher, documents.clone())?;
        let mut norms = Vec::with_capacity(FIELDS);
        for field in 0..FIELDS {
            norms.extend(self.field_norms(segment, fetcher, field)?);
        }
        let held: Vec<_> = pages.clone().filter_map(|page| fetcher.page(segment.id(), stored_page(page))).collect();
        (pages.end..top.page_count()).take(READ_AHEAD_PAGES).for_each(|page| {
            if fetcher.has_missing() {
                fetcher.page(segment.id(), stored_page(page));
            }
        });
        if fetcher.has_missing() {
            return Ok(false);
        }
        let place = stored_page(pages.start);
        let check = |own: &mut Self| -> Result<()> {
            let mut next = documents.start;
            let mut whole = Vec::new();
            for (page, ordinal) in held.iter().zip(pages.clone()) {
                top.visit_page(page.payload(stored_page(ordinal))?, ordinal, |id, bytes| {
                    if held.len() > 1 {
                        whole.extend_from_slice(bytes);
                        return Ok(());
                    }
                    let lengths = norms.iter().map(|norms| norms.at(id.min(segment.document_count() - 1)));
                    own.document(id, bytes, cids.get((id - documents.start) as usize).map(|cid| &cid[..]), lengths)?;
                    next = id + 1;
                    Ok(())
                })?;
            }
            if held.len() > 1 {
                let lengths = norms.iter().map(|norms| norms.at(documents.start));
                own.document(documents.start, &whole, cids.first().map(|cid| &cid[..]), lengths)?;
                next = documents.start + 1;
            }
            if next == documents.end {
                Ok(())
            } else {
                Err(Error::damaged("a page does not have its recorded number of documents"))
            }
        };
        check(self).map_err(|error| error.at(segment.id(), place))?;
        self.cid_hashes.extend(cids.iter().map(|cid| cid_hash(cid)));
        self.page = pages.end;
        Ok(false)
    }

    fn document(&mut self, id: u32, bytes: &[u8], cid: Option<&[u8]>, norms: impl Iterator<Item = u8>) -> Result<()> {
        let document = codec::decode(bytes)?;
        if cid.is_none_or(|cid| cid != document.cid.to_bytes()) {
            return Err(Error::damaged("a stored document's CID differs from the one in the CID table"));
        }
        if self.last_key.as_slice() >= &*document.cid.to_bytes() {
            return Err(Error::damaged("CIDs are out of order"));
        }
        self.last_key = document.cid.to_bytes();
        let lengths = self.add_expected(id, &document);
        if !norms.eq(lengths.map(norm_of_length)) {
            return Err(Error::damaged("a document's length does not match its words"));
        }
        Ok(())
    }

    fn add_expected(&mut self, id: u32, document: &Document) -> [u32; FIELDS] {
        let mut key = Vec::new();
        let mut occurrences = Occurrences::of(document);
        let words = &mut self.expected.words;
        let lengths = fields::visit_words(
            document,
            document.text.as_deref(),
            &self.analyzer,
            &mut Scratch::default(),
            |form, field, word, position| {
                keys::put_word(form, field, word, &mut key);
                if occurrences.is_kept(&key) {
                    *words = words.wrapping_add(hash(&key, id, position));
                    self.expected_words[field] += u64::from(form == Form::Word);
                }
            },
        );
        let HashSums { words, names, numbers } = &mut self.expected;
        for (name, text) in fields::texts(document) {
            let mut length = 0;
            text.visit_words(&self.analyzer, &mut Scratch::default(), |form, word, position| {
                keys::put_attribute(form, name, &mut key);
                key.extend_from_slice(word.as_bytes());
                if occurrences.is_kept(&key) {
                    *words = words.wrapping_add(hash(&key, id, position));
                }
                length += u64::from(form == Form::Word);
            });
            if length > 0 {
                *numbers = numbers.wrapping_add(number_hash(&keys::column(ColumnKind::Length, name), id, length));
            }
        }
        let Ok(()) = fields::visit_numbers(document, |kind, name, number| {
            *numbers = numbers.wrapping_add(number_hash(&keys::column(kind, name), id, number));
            Ok::<(), std::convert::Infallible>(())
        });
        let mut tags = HashSet::new();
        fields::visit_names(document, &mut key, |key| {
            if !matches!(keys::namespace(key), Some(Namespace::Tag | Namespace::Keyword)) || tags.insert(key.to_vec()) {
                *names = names.wrapping_add(hash(key, id, 0));
            }
        });
        lengths
    }

    /// Returns the CIDs with these ranks.
    fn cids_of(&self, segment: &Segment, fetcher: &Fetcher<'_>, ranks: std::ops::Range<u32>) -> Result<Vec<Box<[u8]>>> {
        let top = segment.header().table(PageClass::Cids);
        let mut cids = Vec::new();
        for ordinal in top.pages_of_ranks(ranks.clone()) {
            let id = PageId::new(PageClass::Cids, ordinal);
            let Some(page) = fetcher.page(segment.id(), id) else { continue };
            let mut read = || -> Result<u32> {
                let mut entries = Entries::new(page.payload(id)?)?;
                let mut rank = top.entries_before(ordinal as usize);
                if rank >= ranks.start {
                    entries.check_restarts()?;
                }
                while let Some(value) = entries.next()? {
                    if rank == top.entries_before(ordinal as usize) && entries.key != top.first_key(ordinal as usize) {
                        return Err(Error::damaged("the first CID of a page contradicts the top index"));
                    }
                    if ranks.contains(&rank) {
                        cids.push(entries.key.as_slice().into());
                    }
                    if !value.is_empty() {
                        return Err(Error::damaged("an entry of the CID table has a value, but must be empty"));
                    }
                    rank += 1;
                }
                Ok(rank)
            };
            if read().map_err(|error| error.at(segment.id(), id))? != top.entries_before(ordinal as usize + 1) {
                return Err(Error::damaged("a page does not have its recorded number of CIDs").at(segment.id(), id));
            }
        }
        Ok(cids)
    }
}

/// Counts the occurrences of each word, if the document is large enough for a word to occur more
/// than `MAX_FREQUENCY` times. A list stores only that many occurrences.
struct Occurrences(Option<HashMap<Vec<u8>, u32>>);

impl Occurrences {
    fn of(document: &Document) -> Self {
        let attributes = fields::texts(document).map(|(_, text)| text.len()).sum::<usize>();
        let parts = [&document.text, &document.title, &document.author];
        let bytes = attributes + parts.into_iter().flatten().map(String::len).sum::<usize>();
        // A word and its separator take at least two bytes.
        Self((bytes / 2 >= MAX_FREQUENCY as usize).then(HashMap::new))
    }

    /// Returns whether a list stores the next occurrence of a word.
    fn is_kept(&mut self, key: &[u8]) -> bool {
        let Some(counts) = &mut self.0 else { return true };
        let count = counts.entry(key.to_vec()).or_default();
        *count = count.saturating_add(1);
        *count <= MAX_FREQUENCY
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Analyzer, Deletes, Memtable, PageMap, Progress, SegmentId, Verification, build_segment};

    #[test]
    fn a_word_that_stands_more_often_than_a_list_keeps_is_no_damage() {
        let cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse().unwrap();
        let many = "a ".repeat(MAX_FREQUENCY as usize + 10);
        let mut memtable = Memtable::new(Analyzer::default());
        memtable.insert(&Document::new(cid).with_text(many + "b").with_title("a")).unwrap();
        let (id, mut pages) = (SegmentId([0; 16]), PageMap::new());
        build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(id)).unwrap();
        let segment = Arc::new(crate::Segment::open(id, &pages.header(id)).unwrap());
        let mut verification = Verification::new(segment, Deletes::new(), Analyzer::default()).unwrap();
        assert!(matches!(verification.advance(&pages), Ok(Progress::Ready(_))));
    }
}
