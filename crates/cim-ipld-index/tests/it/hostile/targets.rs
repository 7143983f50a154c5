//! The fuzz targets: one function per decoder, shared by the tests here and by `fuzz/`.
//!
//! Each function takes arbitrary bytes, returns whether they were accepted, and panics if an
//! invariant is violated.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cid::Cid;
use cim_ipld_index::{
    Analyzer, AnalyzerSpec, Deletes, Document, DocumentKind, ErrorKind, Facet, Field, MemoryIndex, Memtable,
    NumberField, Page, PageId, PageMap, Progress, Query, QueryError, ReadView, Result, SearchCursor, SearchOptions,
    Segment, SegmentId, SegmentReport, SnippetOptions, Sort, Timestamp, Value, Verification, build_segment, codec,
    merge_segments,
};
use multihash::Multihash;

pub(crate) const ID: SegmentId = SegmentId([1; 16]);

pub(crate) fn cid(n: u64) -> Cid {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Cid::new_v1(0x55, Multihash::wrap(0x1e, &digest).expect("a digest of 32 bytes"))
}

/// Returns a document with a field of every kind, some of them in every document, some in few.
fn document(n: u64) -> Document {
    let mut document = Document::new(cid(n))
        .with_text(format!("every word{} of {} and {}", n % 7, n % 3, "again ".repeat((n % 5) as usize)))
        .with_title(format!("Title {n}"))
        .with_author("Someone")
        .with_tag("all")
        .with_tag(format!("t{}", n % 10))
        .with_content_type("text/plain")
        .with_kind(DocumentKind::ALL[(n % 4) as usize])
        .with_created_at(Timestamp(1_700_000_000_000 + n as i64 * 1013));
    document.size = (!n.is_multiple_of(3)).then_some(n * n * 7919);
    let attributes = [
        ("abstract", Value::Text(format!("about word{} and {}", n % 7, "more ".repeat((n % 3) as usize)))),
        ("lang", Value::Keyword(["en", "de", "FR"][(n % 3) as usize].to_owned())),
        ("pages", Value::Integer(n as i64 % 50 - 9)),
        ("ratio", Value::Float(n as f64 / 7.0)),
        ("due", Value::Date(Timestamp(n as i64 * 86_400_000))),
    ];
    let own = attributes.into_iter().take((n % 6) as usize);
    document.attributes = own.map(|(name, value)| (name.to_owned(), value)).collect();
    document
}

/// Returns the pages of a segment with every kind of structure: inline lists, tails, full blocks,
/// large sets and columns, and a document with its own pages.
pub(crate) fn sample(documents: u64) -> BTreeMap<PageId, Vec<u8>> {
    sealed((0..documents).map(document).chain([large(documents)]))
}

/// Returns a document with frequent words. Its size comes from data without words, so that searches
/// stay fast.
fn large(n: u64) -> Document {
    let blank = Value::Text(" ".repeat(66_000));
    Document::new(cid(n)).with_text("large text ".repeat(400)).with_attribute("blank", blank)
}

fn sealed(documents: impl Iterator<Item = Document>) -> BTreeMap<PageId, Vec<u8>> {
    let mut memtable = Memtable::new(Analyzer::default());
    for document in documents {
        memtable.insert(&document).expect("room for a few documents");
    }
    let mut pages = PageMap::new();
    build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(ID)).expect("a map takes every page");
    pages.iter().map(|(_, id, page)| (id, page.to_vec())).collect()
}

pub(crate) fn page_map(pages: &BTreeMap<PageId, Vec<u8>>) -> PageMap {
    let mut map = PageMap::new();
    pages.iter().for_each(|(id, bytes)| map.insert(ID, *id, Page::from(bytes.clone())));
    map
}

pub(crate) fn verify(pages: &PageMap, deletes: Deletes) -> Result<SegmentReport> {
    let segment = Arc::new(Segment::open(ID, &pages.header(ID))?);
    let mut verification = Verification::new(segment, deletes, Analyzer::default())?;
    match verification.advance(pages)? {
        Progress::Ready(report) => Ok(report),
        Progress::Need(missing) => panic!("{missing:?} are missing"),
    }
}

/// Runs every operation that reads pages. Both results and errors are acceptable.
pub(crate) fn use_everything(pages: &PageMap) -> Result<()> {
    let segment = Arc::new(Segment::open(ID, &pages.header(ID))?);
    let snapshot = ReadView::new(Analyzer::default(), vec![(segment.clone(), Deletes::new())], Vec::new())?;
    let options = SearchOptions::default().limit(20);
    let cut = options.clone().snippet(SnippetOptions::default().passages(3));
    let mut queries: Vec<Query> = [
        "every OR word3 OR large tag:t1",
        "every AND again type:text/plain",
        "\"large text large\"~1",
        "w*",
        "title:titel~2",
        "abstract:word3 lang:*",
        "abstract:\"about word5 and\" OR abstract:\"word5 and\"~2 OR lang:e*",
        "created:>2023-11-14T22:15Z pages:[-3 TO 20] ratio:<5 -size:7919",
        "due:1970-01-05 OR size:>=0",
    ]
    .map(|text| Query::parse(text).expect("these are queries"))
    .into();
    queries.push(Query::everything().kind(DocumentKind::Audio));
    queries.push(Query::term_in(Field::Attribute("abstract".into()), "word3"));
    let sorted = options
        .sort(Sort::descending(NumberField::Attribute("pages".into())))
        .facet(Facet::tags())
        .facet(Facet::attribute("lang"));
    let mut first = Ok(());
    for query in queries {
        first = first.and(snapshot.search(&query, &cut, pages).map(drop));
        let answer = snapshot.search(&query, &sorted, pages);
        if let Ok(Progress::Ready(answer)) = &answer
            && let Some(next) = &answer.next
        {
            first = first.and(snapshot.search(&query, &sorted.clone().after(next.clone()), pages).map(drop));
        }
        first = first.and(answer.map(drop));
    }
    let cids: Vec<_> = (0..50).map(cid).collect();
    first = first.and(snapshot.documents(&cids, pages).map(drop));
    first = first.and(snapshot.counts(pages).map(drop));
    let mut out = PageMap::new();
    first =
        first.and(merge_segments(&[(&segment, &Deletes::new())], pages, &mut out.sink(SegmentId([2; 16]))).map(drop));
    first.and(verify(pages, Deletes::new()).map(drop))
}

/// A few documents with every kind of field, and enough one-word documents (100) that some list has
/// a full block.
static SAMPLE: LazyLock<BTreeMap<PageId, Vec<u8>>> = LazyLock::new(|| {
    let short = (1000..1100).map(|n| Document::new(cid(n)).with_text("every"));
    sealed((0..40).map(document).chain([large(40)]).chain(short))
});

/// Modifies pages by a script of five bytes per step (page; operation; two bytes of offset; a
/// byte): flips bits, truncates, or replaces the page with the rest of the input. Every operation
/// on the result must end, with a value or an error.
pub(crate) fn pages(data: &[u8]) -> bool {
    let mut pages = SAMPLE.clone();
    let mut rest = data;
    while let Some((&[page, action, low, high, byte], behind)) = rest.split_first_chunk::<5>() {
        rest = behind;
        let Some(bytes) = pages.values_mut().nth(usize::from(page) % SAMPLE.len()) else { break };
        // The first two bytes hold the format version and the class. They are left alone, because a
        // page in which they are wrong is refused before anything after them is read.
        let at = 2 + usize::from(u16::from_le_bytes([low, high])) % bytes.len().saturating_sub(2).max(1);
        match action % 4 {
            0 | 1 => bytes.get_mut(at).into_iter().for_each(|own| *own ^= byte),
            2 => bytes.truncate(at),
            _ => {
                bytes.truncate(2);
                bytes.extend_from_slice(rest);
                break;
            }
        }
    }
    use_everything(&page_map(&pages)).is_ok()
}

static FEW: LazyLock<MemoryIndex> = LazyLock::new(|| {
    let index = MemoryIndex::new();
    for n in 0..30 {
        index.insert(&document(n)).expect("room for a few documents");
        if n == 20 {
            index.compact().expect("a few documents");
        }
    }
    index
});

/// Any text is a query or an error inside the text, and a query means the same to the lenient
/// parser.
pub(crate) fn query(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    match Query::parse(text) {
        Ok(query) => {
            assert_eq!(Query::parse_lenient(text), (query.clone(), Vec::new()));
            answer(&query);
            true
        }
        Err(error) => {
            assert_error(text, &error);
            assert!(!Query::parse_lenient(text).1.is_empty());
            false
        }
    }
}

/// Any text is a query to the lenient parser, which returns what it did not understand.
pub(crate) fn lenient_query(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (query, errors) = Query::parse_lenient(text);
    errors.iter().for_each(|error| assert_error(text, error));
    answer(&query);
    errors.is_empty()
}

fn assert_error(text: &str, error: &QueryError) {
    assert!(text.get(error.range.clone()).is_some() && !error.expected.is_empty(), "{text:?} {error:?}");
}

/// Runs a query, which succeeds unless it is too large or names an unknown field.
fn answer(query: &Query) {
    let options = SearchOptions::default().snippet(SnippetOptions::default()).facet(Facet::tags());
    match FEW.search(query, &options) {
        Ok(results) => assert!(results.total <= 30 && results.hits.len() as u64 <= results.total),
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{error}"),
    }
}

/// A document that decodes re-encodes to an equal one.
pub(crate) fn encoded_document(data: &[u8]) -> bool {
    let Ok(document) = codec::decode(data) else { return false };
    if let Ok(bytes) = codec::encode(&document) {
        // NaN is not equal to itself, so documents are compared by their bytes.
        let again = codec::decode(&bytes).expect("what was encoded decodes");
        assert_eq!(codec::encode(&again).ok().as_deref(), Some(&bytes[..]));
    }
    true
}

/// Delete sets that decode re-encode to the same bytes.
pub(crate) fn deletes(data: &[u8]) -> bool {
    let Ok(deletes) = Deletes::from_bytes(data) else { return false };
    assert_eq!(Deletes::from_bytes(&deletes.to_bytes()).ok(), Some(deletes));
    true
}

/// A cursor has one binary and one text form, and a search accepts or refuses it.
pub(crate) fn cursor(data: &[u8]) -> bool {
    let Ok(cursor) = SearchCursor::from_bytes(data) else { return false };
    assert_eq!(cursor.to_bytes(), data);
    assert_eq!(cursor.to_string().parse().ok(), Some(cursor.clone()));
    let options = SearchOptions::default().after(cursor);
    for query in [Query::everything(), Query::any([Query::term("word"), Query::term("absent")])] {
        let _ = FEW.search(&query, &options);
    }
    true
}

/// An analyzer specification has one binary form, and creates an analyzer that has this
/// specification and accepts any text.
pub(crate) fn analyzer(data: &[u8]) -> bool {
    let Ok(spec) = AnalyzerSpec::from_bytes(data) else { return false };
    assert_eq!(spec.to_bytes(), data);
    match Analyzer::from_spec(&spec) {
        Ok(analyzer) => {
            assert_eq!(analyzer.spec(), spec);
            analyzer.words("The whale's wi-fi, Häuser getUserName 東京都 2024-02-29T10:30Z");
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::AnalyzerMismatch, "{error}"),
    }
    // Of the `Display` text, only this is checked: it is not empty, except possibly for a custom
    // analyzer.
    assert!(!spec.to_string().is_empty() || matches!(spec, AnalyzerSpec::Custom(_)));
    true
}
