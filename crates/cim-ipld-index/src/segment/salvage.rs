//! Reads the documents of a segment that has lost some of its pages.

use std::ops::Range;

use cid::Cid;

use super::{Entries, Segment, stored_page};
use crate::document::codec::{self, EncodedDocument};
use crate::document::content_id;
use crate::encoding::wire::Reader;
use crate::page::{DocId, Page, PageClass, PageId, PageSource};

/// What [`salvage_documents`] finds in the stored pages of a segment.
///
/// ```
/// use cim_ipld_index::{DocId, Salvaged};
///
/// let lost = Salvaged::Lost(Some(DocId(3)..DocId(5)));
/// assert!(matches!(lost, Salvaged::Lost(Some(documents)) if documents.start == DocId(3)));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "nearly every value is a document")]
pub enum Salvaged {
    /// A whole document, and its number if that is known.
    Document(Option<DocId>, EncodedDocument),
    /// Documents that cannot be read, by number if their numbers are known.
    Lost(Option<Range<DocId>>),
}

/// Passes to `each`, in document order, every document of the segment whose stored pages are all
/// intact, and reports the others as lost.
///
/// `pages` returns the stored page with the given ordinal, or `None` if it is missing or damaged.
/// If `segment` is `None` (its header is lost), the numbers of the documents after the first
/// unreadable page are unknown.
///
/// ```
/// use std::sync::Arc;
///
/// use cim_ipld_index::{
///     Analyzer, Deletes, Document, Memtable, PageClass, PageId, PageMap, PageSource, Salvaged, SegmentId,
///     build_segment, salvage_documents,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// memtable.insert(&Document::new(cid).with_text("ebb and flow"))?;
/// let (id, mut pages) = (SegmentId([0; 16]), PageMap::new());
/// build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(id))?;
///
/// let mut found = Vec::new();
/// let page = |ordinal| pages.page(id, PageId::new(PageClass::Stored, ordinal));
/// salvage_documents(None, 1, page, |salvaged| found.push(salvaged));
/// assert!(matches!(&found[..], [Salvaged::Document(Some(_), document)] if document.cid() == cid));
/// # Ok(())
/// # }
/// ```
pub fn salvage_documents(
    segment: Option<&Segment>,
    page_count: u32,
    pages: impl FnMut(u32) -> Option<Page>,
    mut each: impl FnMut(Salvaged),
) {
    match segment {
        Some(segment) => salvage_by_header(segment, pages, &mut each),
        None => salvage_in_sequence(page_count, pages, &mut each),
    }
}

fn salvage_by_header(segment: &Segment, mut pages: impl FnMut(u32) -> Option<Page>, each: &mut impl FnMut(Salvaged)) {
    let top = &segment.header().stored;
    let mut page = 0;
    while page < top.page_count() {
        let (unit, documents) = top.unit_of(page, segment.document_count());
        page = unit.end;
        let held: Option<Vec<Page>> = unit.clone().map(&mut pages).collect();
        let read = held.and_then(|held| Unit::read(&held, unit.start));
        let expected = documents.len();
        match read {
            Some(read) if read.len() == expected => {
                for (document, bytes) in documents.zip(read) {
                    each(salvaged(Some(DocId(document)), bytes));
                }
            }
            _ => each(Salvaged::Lost(Some(DocId(documents.start)..DocId(documents.end)))),
        }
    }
}

/// Reads pages that tell nothing about the numbers of their documents.
fn salvage_in_sequence(page_count: u32, mut pages: impl FnMut(u32) -> Option<Page>, each: &mut impl FnMut(Salvaged)) {
    let (mut next, mut large) = (Some(0), Vec::new());
    let mut emit = |bytes: Vec<u8>, next: &mut Option<u32>| {
        each(salvaged(next.map(DocId), bytes));
        *next = next.map(|next| next + 1);
    };
    for ordinal in 0..page_count {
        let unit = pages(ordinal).and_then(|page| Unit::of(&page, ordinal));
        let is_part = matches!(unit, Some(Unit::Part(_)));
        if !is_part && !std::mem::take(&mut large).is_empty() {
            emit(Vec::new(), &mut next);
        }
        match unit {
            Some(Unit::Packed(documents)) => documents.into_iter().for_each(|document| emit(document, &mut next)),
            Some(Unit::Part(part)) => {
                large.extend_from_slice(&part);
                if codec::decode(&large).is_ok() {
                    emit(std::mem::take(&mut large), &mut next);
                }
            }
            None => {
                next = None;
                emit(Vec::new(), &mut next);
            }
        }
    }
    if !large.is_empty() {
        emit(Vec::new(), &mut next);
    }
}

/// Passes to `each` the CIDs of the documents of a segment whose header is lost, in document order,
/// as far as the pages that hold them are whole. The numbers of the documents after the first
/// unreadable page are unknown.
///
/// `pages` returns the page of CIDs with the given ordinal, or `None` if it is missing or damaged.
///
/// ```
/// use cim_ipld_index::{
///     Analyzer, Deletes, DocId, Document, Memtable, PageClass, PageId, PageMap, PageSource, SegmentId, build_segment,
///     salvage_cids,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let mut memtable = Memtable::new(Analyzer::default());
/// memtable.insert(&Document::new(cid).with_text("ebb and flow"))?;
/// let (id, mut pages) = (SegmentId([0; 16]), PageMap::new());
/// build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(id))?;
///
/// let mut found = Vec::new();
/// let page = |ordinal| pages.page(id, PageId::new(PageClass::Cids, ordinal));
/// salvage_cids(1, page, |number, cid| found.push((number, cid)));
/// assert_eq!(found, [(Some(DocId(0)), cid)]);
/// # Ok(())
/// # }
/// ```
pub fn salvage_cids(
    page_count: u32,
    mut pages: impl FnMut(u32) -> Option<Page>,
    mut each: impl FnMut(Option<DocId>, Cid),
) {
    let mut next = Some(0);
    for ordinal in 0..page_count {
        let id = PageId::new(PageClass::Cids, ordinal);
        let page = pages(ordinal);
        let entries = page.as_ref().and_then(|page| page.payload(id).and_then(Entries::new).ok());
        let Some(mut entries) = entries else {
            next = None;
            continue;
        };
        loop {
            match entries.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    next = None;
                    break;
                }
            }
            if let Ok(cid) = content_id::from_bytes(&entries.key) {
                each(next.map(DocId), cid);
            }
            next = next.map(|next| next + 1);
        }
    }
}

/// Returns the document, or its loss if `bytes` are not a document.
fn salvaged(number: Option<DocId>, bytes: Vec<u8>) -> Salvaged {
    match EncodedDocument::decode(bytes) {
        Ok(document) => Salvaged::Document(number, document),
        Err(_) => Salvaged::Lost(number.map(|number| number..DocId(number.0 + 1))),
    }
}

/// The content of one stored page.
enum Unit {
    Packed(Vec<Vec<u8>>),
    Part(Vec<u8>),
}

impl Unit {
    fn of(page: &Page, ordinal: u32) -> Option<Self> {
        let mut reader = Reader::new(page.payload(stored_page(ordinal)).ok()?);
        if super::stored::is_part(reader.u8().ok()?) {
            return Some(Self::Part(reader.take(reader.remaining()).ok()?.to_vec()));
        }
        let count = reader.count().ok()?;
        let lengths: Option<Vec<usize>> =
            (0..count).map(|_| reader.varint().ok().and_then(|length| usize::try_from(length).ok())).collect();
        let documents: Option<Vec<Vec<u8>>> =
            lengths?.into_iter().map(|length| reader.take(length).ok().map(<[u8]>::to_vec)).collect();
        documents.filter(|_| reader.is_empty()).map(Self::Packed)
    }

    /// Returns the documents of the pages: of one packed page, or of all parts of one document.
    fn read(pages: &[Page], first: u32) -> Option<Vec<Vec<u8>>> {
        let mut whole = Vec::new();
        for (page, ordinal) in pages.iter().zip(first..) {
            match Self::of(page, ordinal)? {
                Self::Packed(documents) => return (pages.len() == 1).then_some(documents),
                Self::Part(part) => whole.extend(part),
            }
        }
        Some(vec![whole])
    }
}

impl Segment {
    /// Returns the documents of which the stored page with this ordinal holds at least a part.
    #[must_use]
    pub fn stored_documents(&self, page: u32) -> Range<DocId> {
        if page >= self.header().stored.page_count() {
            return DocId(0)..DocId(0);
        }
        let (_, documents) = self.header().stored.unit_of(page, self.document_count());
        DocId(documents.start)..DocId(documents.end)
    }

    /// Returns the CIDs of a range of documents, as far as the pages that hold them are available
    /// and whole.
    #[must_use]
    pub fn cids(&self, documents: Range<DocId>, pages: &dyn PageSource) -> Vec<(DocId, Cid)> {
        let ranks = documents.start.0..documents.end.0.min(self.document_count());
        let top = self.header().table(PageClass::Cids);
        let mut cids = Vec::new();
        for ordinal in top.pages_of_ranks(ranks.clone()) {
            let id = PageId::new(PageClass::Cids, ordinal);
            let Some(page) = pages.page(self.id(), id) else { continue };
            let Ok(mut entries) = page.payload(id).and_then(Entries::new) else { continue };
            let mut rank = top.entries_before(ordinal as usize);
            while let Ok(Some(_)) = entries.next() {
                if ranks.contains(&rank)
                    && let Ok(cid) = content_id::from_bytes(&entries.key)
                {
                    cids.push((DocId(rank), cid));
                }
                rank += 1;
            }
        }
        cids
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Analyzer, Deletes, Document, Memtable, PageMap, SegmentId, build_segment};

    const ID: SegmentId = SegmentId([7; 16]);

    /// Returns the segment of 60 documents, every tenth of which takes several pages, with its
    /// pages and its number of stored pages.
    fn built() -> (Arc<Segment>, PageMap, u32) {
        let mut memtable = Memtable::new(Analyzer::default());
        for number in 0..60_u32 {
            let cid = content_id::from_bytes(&[&[1, 0x55, 0, 4], &number.to_be_bytes()[..]].concat()).expect("a CID");
            let words = if number.is_multiple_of(10) { 70_000 } else { 1200 };
            memtable.insert(&Document::new(cid).with_text("ballast ".repeat(words))).expect("inserted");
        }
        let mut pages = PageMap::new();
        build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(ID)).expect("built");
        let segment = Arc::new(Segment::open(ID, &pages.header(ID)).expect("opened"));
        let count = segment.page_ids().filter(|page| page.class == PageClass::Stored).count();
        (segment, pages, u32::try_from(count).expect("few"))
    }

    #[test]
    fn salvage_returns_every_document_whose_pages_are_whole() {
        let (segment, pages, count) = built();
        assert!(count > 20, "{count} pages");
        for lost in 0..count {
            for header in [Some(&*segment), None] {
                let (mut whole, mut gone, mut numbered) = (0, Vec::new(), 0);
                let page = |ordinal| pages.page(ID, stored_page(ordinal)).filter(|_| ordinal != lost);
                salvage_documents(header, count, page, |salvaged| match salvaged {
                    Salvaged::Document(number, _) => {
                        whole += 1;
                        numbered += usize::from(number.is_some());
                    }
                    Salvaged::Lost(documents) => gone.push(documents),
                });
                let expected = segment.stored_documents(lost);
                let expected_lost = (expected.end.0 - expected.start.0) as usize;
                assert_eq!(whole, 60 - expected_lost, "page {lost}, {}", header.is_some());
                if header.is_some() {
                    assert_eq!((numbered, gone), (whole, vec![Some(expected.clone())]));
                    let cids = segment.cids(expected.clone(), &pages);
                    assert!(cids.iter().map(|(id, _)| id.0).eq(expected.start.0..expected.end.0), "{cids:?}");
                } else {
                    assert!(!gone.is_empty());
                }
            }
        }
    }

    #[test]
    fn cids_are_read_without_a_header() {
        let (segment, pages, _) = built();
        let count = segment.page_ids().filter(|page| page.class == PageClass::Cids).count();
        let count = u32::try_from(count).expect("few");
        let expected: Vec<_> = segment.cids(DocId(0)..DocId(60), &pages);
        for lost in 0..=count {
            let mut found = Vec::new();
            let page = |ordinal| pages.page(ID, PageId::new(PageClass::Cids, ordinal)).filter(|_| ordinal != lost);
            salvage_cids(count, page, |number, cid| found.push((number, cid)));
            assert_eq!(found.len() == expected.len(), lost == count, "page {lost}");
            for (number, cid) in found {
                let known = expected.iter().find(|(_, known)| *known == cid).expect("a CID of the segment");
                assert!(number.is_none_or(|number| number == known.0), "page {lost}: {number:?} is {known:?}");
                assert!(number.is_some() || lost < count, "page {lost}");
            }
        }
    }
}
