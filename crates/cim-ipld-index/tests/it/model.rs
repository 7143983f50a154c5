//! A model that scans all documents, and an index that is driven in the way in which a persistence
//! engine drives it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use cid::Cid;
use cim_ipld_index::{
    Analyzer, Deletes, Document, Field, Location, Memtable, NumberField, Page, PageClass, PageId, PageMap, PageSource,
    Progress, Query, ReadView, SearchOptions, SearchResults, Segment, SegmentId, SortOrder, Value, build_segment,
    merge_segments,
};
use multihash::Multihash;

pub(crate) fn cid(n: u64) -> Cid {
    // The digests are spread, so that CID order differs from insertion order.
    let mut digest = [0u8; 32];
    digest[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Cid::new_v1(0x55, Multihash::wrap(0x1e, &digest).unwrap())
}

/// The expected results, found by scanning.
#[derive(Default, Clone)]
pub(crate) struct Model {
    pub(crate) documents: BTreeMap<Vec<u8>, Document>,
}

/// A query in a form that the scan supports.
#[derive(Debug, Clone)]
pub(crate) enum Want {
    Word(&'static str),
    Any(Vec<Want>),
    All(Vec<Want>),
    AndNot(Box<Want>, Box<Want>),
    Phrase(Vec<&'static str>),
    Prefix(&'static str),
    Fuzzy(&'static str, usize),
    Tag(&'static str),
    /// The value of an attribute of any type.
    Attribute(&'static str, &'static str),
    Exists(&'static str),
    /// A range of numbers in steps of one half, with inclusive bounds.
    Range(NumberField, Option<i32>, Option<i32>),
}

impl Want {
    pub(crate) fn query(&self) -> Query {
        match self {
            Self::Word(word) => Query::term(*word),
            Self::Any(parts) => Query::any(parts.iter().map(Want::query)),
            Self::All(parts) => Query::all(parts.iter().map(Want::query)),
            Self::AndNot(wanted, unwanted) => wanted.query().and_not(unwanted.query()),
            Self::Phrase(words) => Query::term(words.join(" ")),
            Self::Prefix(prefix) => Query::prefix(Default::default(), *prefix),
            Self::Fuzzy(word, distance) => Query::fuzzy(Field::Any, *word, *distance as u8),
            Self::Tag(tag) => Query::tagged(tag.to_uppercase()),
            Self::Attribute(name, value) => Query::attribute(*name, *value),
            Self::Exists(name) => Query::exists(*name),
            Self::Range(field, low, high) => {
                let bound = |bound: &Option<i32>| {
                    bound.map_or(Bound::Unbounded, |halves| Bound::Included(f64::from(halves) / 2.0))
                };
                Query::range(field.clone(), (bound(low), bound(high)))
            }
        }
    }

    pub(crate) fn matches(&self, document: &Document) -> bool {
        let parts = &parts(document)[..];
        let has = |wanted: &str| parts.iter().flatten().any(|word| word == wanted);
        match self {
            Self::Word(word) => has(word),
            Self::Any(wants) => wants.iter().any(|want| want.matches(document)),
            Self::All(wants) => wants.iter().all(|want| want.matches(document)),
            Self::AndNot(wanted, unwanted) => wanted.matches(document) && !unwanted.matches(document),
            Self::Phrase(words) => {
                parts.iter().any(|part| part.windows(words.len()).any(|window| window == &words[..]))
            }
            Self::Prefix(prefix) => parts.iter().flatten().any(|word| word.starts_with(prefix)),
            Self::Fuzzy(wanted, limit) => {
                parts.iter().flatten().any(|word| distance(wanted.as_bytes(), word.as_bytes()) <= *limit)
            }
            Self::Tag(tag) => document.tags.iter().any(|own| own == tag),
            Self::Attribute(name, value) => match document.attributes.get(*name) {
                Some(Value::Text(text)) => Analyzer::default().words(text).iter().any(|word| word == value),
                Some(Value::Keyword(own)) => own == value,
                Some(Value::Integer(own)) => value.parse().is_ok_and(|value: f64| *own as f64 == value),
                Some(Value::Float(own)) => value.parse().is_ok_and(|value: f64| *own == value),
                _ => false,
            },
            Self::Exists(name) => document.attributes.contains_key(*name),
            Self::Range(field, low, high) => number(document, field).is_some_and(|number| {
                low.is_none_or(|low| number * 2.0 >= f64::from(low))
                    && high.is_none_or(|high| number * 2.0 <= f64::from(high))
            }),
        }
    }
}

/// Returns the number of a field, which is small enough to be exact.
pub(crate) fn number(document: &Document, field: &NumberField) -> Option<f64> {
    match field {
        NumberField::CreatedAt => document.created_at.map(|time| time.0 as f64),
        NumberField::ModifiedAt => document.modified_at.map(|time| time.0 as f64),
        NumberField::Size => document.size.map(|size| size as f64),
        NumberField::Attribute(name) => match document.attributes.get(&**name)? {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        },
        _ => unreachable!(),
    }
}

/// Returns the edit distance of two words by its definition.
fn distance(a: &[u8], b: &[u8]) -> usize {
    match (a, b) {
        ([], rest) | (rest, []) => rest.len(),
        ([x, a @ ..], [y, b @ ..]) if x == y => distance(a, b),
        ([_, a_rest @ ..], [_, b_rest @ ..]) => {
            1 + distance(a_rest, b_rest).min(distance(a, b_rest)).min(distance(a_rest, b))
        }
    }
}

/// Returns the words of the parts of the combined field.
pub(crate) fn parts(document: &Document) -> Vec<Vec<String>> {
    let analyzer = Analyzer::default();
    [&document.text, &document.title, &document.author].into_iter().flatten().map(|text| analyzer.words(text)).collect()
}

impl Model {
    pub(crate) fn matching(&self, want: &Want, tag: Option<&str>) -> BTreeSet<Vec<u8>> {
        let passes = |document: &Document| {
            want.matches(document) && tag.is_none_or(|tag| document.tags.iter().any(|own| own == tag))
        };
        self.documents.iter().filter(|(_, document)| passes(document)).map(|(cid, _)| cid.clone()).collect()
    }

    /// Returns the CIDs of the matches, sorted by a number.
    pub(crate) fn sorted(&self, want: &Want, field: &NumberField, order: SortOrder) -> Vec<Vec<u8>> {
        let mut found: Vec<_> = self.documents.iter().filter(|(_, document)| want.matches(document)).collect();
        found.sort_by(|(_, a), (_, b)| match (number(a, field), number(b, field)) {
            (Some(a), Some(b)) if order == SortOrder::Ascending => a.total_cmp(&b),
            (Some(a), Some(b)) => b.total_cmp(&a),
            (a, b) => a.is_none().cmp(&b.is_none()),
        });
        found.into_iter().map(|(cid, _)| cid.clone()).collect()
    }

    /// Returns the number of matches with each name, most frequent first.
    pub(crate) fn counts(&self, want: &Want, names: impl Fn(&Document) -> BTreeSet<String>) -> Vec<(String, u64)> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for document in self.documents.values().filter(|document| want.matches(document)) {
            names(document).into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    /// Returns the BM25 score, in f64 and by definition, of one word in one document, with
    /// statistics over the live documents.
    pub(crate) fn score(&self, word: &str, cid: &[u8]) -> f64 {
        let lengths: Vec<f64> = self
            .documents
            .values()
            .map(|document| parts(document).iter().map(Vec::len).sum::<usize>() as f64)
            .collect();
        let has = |document: &&Document| parts(document).iter().flatten().any(|own| own == word);
        let (n, df) = (lengths.len() as f64, self.documents.values().filter(has).count() as f64);
        let average = lengths.iter().sum::<f64>() / n;
        let own = parts(&self.documents[cid]);
        let tf = own.iter().flatten().filter(|own| *own == word).count() as f64;
        // Lengths up to 40 are encoded exactly.
        let length = own.iter().map(Vec::len).sum::<usize>() as f64;
        assert!(length <= 40.0);
        if tf == 0.0 {
            return 0.0;
        }
        (1.0 + (n - df + 0.5) / (df + 0.5)).ln() * 2.2 * tf / (tf + 1.2 * (0.25 + 0.75 * length / average))
    }
}

/// An index of segments and memtables, as an engine maintains one.
pub(crate) struct Index {
    pub(crate) memtable: Memtable,
    pub(crate) deletes: Deletes,
    pub(crate) segments: Vec<(Arc<Segment>, Deletes)>,
    pub(crate) pages: PageMap,
    next: u64,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            memtable: Memtable::new(Analyzer::default()),
            deletes: Deletes::new(),
            segments: Vec::new(),
            pages: PageMap::new(),
            next: 0,
        }
    }

    pub(crate) fn snapshot(&self) -> ReadView {
        let memtables = vec![(self.memtable.view(), self.deletes.clone())];
        ReadView::new(Analyzer::default(), self.segments.clone(), memtables).unwrap()
    }

    pub(crate) fn insert(&mut self, document: &Document) {
        self.delete(&document.cid);
        self.memtable.insert(document).unwrap();
    }

    pub(crate) fn delete(&mut self, cid: &Cid) -> bool {
        let found = self.snapshot().locate(&[*cid], &self.pages).unwrap().ready().unwrap()[0];
        match found {
            Some(Location::Memtable { document, .. }) => self.deletes.insert(document),
            Some(Location::Segment { segment, document }) => {
                let held = self.segments.iter_mut().find(|(held, _)| held.id() == segment).unwrap();
                held.1.insert(document)
            }
            None => false,
            _ => unreachable!(),
        }
    }

    pub(crate) fn seal(&mut self) {
        let id = self.next_id();
        let summary = build_segment(&self.memtable.view(), &self.deletes, &mut self.pages.sink(id)).unwrap();
        self.open(id, summary.document_count);
        self.memtable = Memtable::new(Analyzer::default());
        self.deletes = Deletes::new();
    }

    pub(crate) fn merge(&mut self) {
        if self.segments.len() < 2 {
            return;
        }
        let id = self.next_id();
        let inputs: Vec<_> = self.segments.iter().map(|(segment, deletes)| (&**segment, deletes)).collect();
        let mut out = PageMap::new();
        let summary = merge_segments(&inputs, &self.pages, &mut out.sink(id)).unwrap();
        for (old, _) in std::mem::take(&mut self.segments) {
            self.pages.remove_segment(old.id());
        }
        out.iter().for_each(|(segment, page, bytes)| self.pages.insert(segment, page, bytes.clone()));
        self.open(id, summary.document_count);
    }

    pub(crate) fn search(&self, query: &Query, options: &SearchOptions) -> SearchResults {
        self.snapshot().search(query, options, &self.pages).unwrap().ready().unwrap()
    }

    fn open(&mut self, id: SegmentId, documents: u32) {
        let segment = Segment::open(id, &self.pages.header(id)).unwrap();
        assert_eq!(segment.document_count(), documents);
        let mut written: Vec<PageId> =
            self.pages.iter().filter(|(owner, ..)| *owner == id).map(|(_, page, _)| page).collect();
        written.sort();
        let mut listed: Vec<PageId> = segment.page_ids().collect();
        listed.sort();
        assert_eq!(listed, written);
        self.segments.push((Arc::new(segment), Deletes::new()));
    }

    fn next_id(&mut self) -> SegmentId {
        self.next += 1;
        SegmentId(u128::from(self.next).to_be_bytes())
    }
}

/// A source that returns only pages that were requested before, and counts the rounds.
pub(crate) struct Cold<'a> {
    pub(crate) all: &'a PageMap,
    pub(crate) held: RefCell<BTreeSet<(SegmentId, PageId)>>,
}

impl<'a> Cold<'a> {
    pub(crate) fn new(all: &'a PageMap) -> Self {
        Self { all, held: RefCell::default() }
    }

    /// Runs `step` until it is ready. Returns the result, the number of rounds and the classes
    /// requested in each round.
    pub(crate) fn run<T>(&self, mut step: impl FnMut(&Self) -> Progress<T>) -> (T, Vec<BTreeSet<PageClass>>) {
        let mut rounds = Vec::new();
        loop {
            match step(self) {
                Progress::Ready(answer) => return (answer, rounds),
                Progress::Need(pages) => {
                    assert!(!pages.is_empty());
                    rounds.push(pages.iter().map(|(_, page)| page.class).collect());
                    for page in pages {
                        assert!(self.held.borrow_mut().insert(page), "{page:?} was asked for twice");
                    }
                }
            }
        }
    }
}

impl PageSource for Cold<'_> {
    fn page(&self, segment: SegmentId, page: PageId) -> Option<Page> {
        self.held.borrow().contains(&(segment, page)).then(|| self.all.page(segment, page)).flatten()
    }
}
