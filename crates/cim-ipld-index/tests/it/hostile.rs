//! Damage is found by verification, and no damage makes any operation panic, loop or take much memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use cim_ipld_index::{
    Analyzer, Deletes, DocId, Document, DocumentKind, ErrorKind, Field, Page, PageClass, PageId, PageMap, Progress,
    Query, Result, SearchOptions, Segment, SegmentId, Snapshot, SnippetOptions, Timestamp, Value, Verification,
    VerifyReport, merge_segments,
};
use proptest::prelude::*;

use crate::model::{Cold, Index, cid};

const ID: SegmentId = SegmentId([1; 16]);

/// A segment with every kind of structure: inline lists, tails, full blocks, long sets, a document of several pages.
fn sample(documents: u64) -> BTreeMap<PageId, Vec<u8>> {
    let mut index = Index::new();
    for n in 0..documents {
        let text = format!("every word{} of {} and {}", n % 7, n % 3, "again ".repeat((n % 5) as usize));
        let mut document = Document::new(cid(n))
            .with_text(text)
            .with_title(format!("Title {n}"))
            .with_author("Someone")
            .with_tag("all")
            .with_tag(format!("t{}", n % 10))
            .with_content_type("text/plain");
        document.kind = DocumentKind::ALL[(n % 4) as usize];
        document.created_at = Some(Timestamp(1_700_000_000_000 + n as i64 * 1013));
        document.size = (n % 3 > 0).then_some(n * n * 7919);
        let attributes = [
            ("abstract", Value::Text(format!("about word{} and {}", n % 7, "more ".repeat((n % 3) as usize)))),
            ("lang", Value::Keyword(["en", "de", "FR"][(n % 3) as usize].to_owned())),
            ("pages", Value::Integer(n as i64 % 50 - 9)),
            ("ratio", Value::Float(n as f64 / 7.0)),
            ("due", Value::Date(Timestamp(n as i64 * 86_400_000))),
        ];
        let own = attributes.into_iter().take((n % 6) as usize);
        document.attributes = own.map(|(name, value)| (name.to_owned(), value)).collect();
        index.insert(&document);
    }
    index.insert(&Document::new(cid(documents)).with_text("large text ".repeat(6_500)));
    index.seal();
    let pages = index.pages.iter();
    pages.map(|(_, id, page)| (id, page.to_vec())).collect()
}

fn page_map(pages: &BTreeMap<PageId, Vec<u8>>) -> PageMap {
    let mut map = PageMap::new();
    pages.iter().for_each(|(id, bytes)| map.insert(ID, *id, Page::from(bytes.clone())));
    map
}

fn verify(pages: &PageMap, deletes: Deletes) -> Result<VerifyReport> {
    let segment = Arc::new(Segment::open(ID, &pages.header(ID))?);
    let mut verification = Verification::new(segment, deletes, Analyzer::default())?;
    match verification.advance(pages)? {
        Progress::Ready(report) => Ok(report),
        Progress::Need(missing) => panic!("{missing:?} are not at hand"),
    }
}

/// Does everything that reads pages; errors are as good as answers.
fn use_everything(pages: &PageMap) -> Result<()> {
    let segment = Arc::new(Segment::open(ID, &pages.header(ID))?);
    let snapshot = Snapshot::new(Analyzer::default(), vec![(segment.clone(), Deletes::new())], Vec::new())?;
    let options = SearchOptions::default().limit(20).snippet(SnippetOptions::default());
    let queries = [
        Query::any([Query::term("every"), Query::term("word3"), Query::term("large")]).tag("t1"),
        Query::all([Query::term("every"), Query::term("again")]).content_type("text/plain"),
        Query::phrase(Field::Any, "large text large", 1),
        Query::prefix(Field::Any, "w"),
        Query::fuzzy(Field::Title, "titel", 2),
        Query::everything().kind(DocumentKind::Audio),
        Query::term_in(Field::Attribute("abstract".into()), "word3"),
    ];
    let mut first = Ok(());
    for query in queries {
        first = first.and(snapshot.search(&query, &options, pages).map(drop));
    }
    let cids: Vec<_> = (0..50).map(cid).collect();
    first = first.and(snapshot.documents(&cids, pages).map(drop));
    first = first.and(snapshot.statistics(pages).map(drop));
    let mut out = PageMap::new();
    first =
        first.and(merge_segments(&[(&segment, &Deletes::new())], pages, &mut out.sink(SegmentId([2; 16]))).map(drop));
    first.and(verify(pages, Deletes::new()).map(drop))
}

#[test]
fn a_sound_segment_passes_and_is_counted() {
    let pages = page_map(&sample(700));
    let report = verify(&pages, [DocId(0), DocId(5)].into_iter().collect()).unwrap();
    assert_eq!((report.documents, report.live_documents), (701, 699));
    assert!(report.postings > 4000 && report.terms > 700 && report.names == 19 && report.numbers > 2000, "{report:?}");
    assert!(use_everything(&pages).is_ok());
}

#[test]
fn pages_are_needed_a_few_at_a_time_and_never_again() {
    let pages = page_map(&sample(3000));
    let segment = Arc::new(Segment::open(ID, &pages.header(ID)).unwrap());
    let mut verification = Verification::new(segment, Deletes::new(), Analyzer::default()).unwrap();
    let (report, rounds) = Cold::new(&pages).run(|cold| verification.advance(cold).unwrap());
    assert_eq!(report.documents, 3001);
    assert!(rounds.len() > 3);
}

#[test]
fn a_changed_byte_is_found_and_makes_nothing_panic() {
    let sound = sample(150);
    for (id, bytes) in &sound {
        for at in (0..bytes.len()).step_by((bytes.len() / 40).max(1)) {
            let mut pages = sound.clone();
            let page = pages.get_mut(id).unwrap();
            page[at] ^= 1 << (at % 8);
            let map = page_map(&pages);
            // A stored text may change where no word does: whoever seals pages authenticates them.
            let is_found = verify(&map, Deletes::new()).is_err();
            assert!(is_found || id.class == PageClass::Stored, "{id} byte {at} of {}", bytes.len());
            let _ = use_everything(&map);
        }
    }
}

#[test]
fn a_short_or_missing_page_is_found() {
    let sound = sample(150);
    for (id, bytes) in &sound {
        for len in [0, 1, 2, bytes.len() / 2, bytes.len() - 1] {
            let mut pages = sound.clone();
            pages.insert(*id, bytes[..len].to_vec());
            let map = page_map(&pages);
            assert!(verify(&map, Deletes::new()).is_err(), "{id} cut to {len}");
            let _ = use_everything(&map);
        }
    }
}

#[test]
fn a_newer_format_has_its_own_kind() {
    for id in sample(10).keys() {
        let mut pages = sample(10);
        pages.get_mut(id).unwrap()[0] = 2;
        let error = verify(&page_map(&pages), Deletes::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedVersion, "{id}: {error}");
    }
}

#[test]
fn two_pages_of_a_class_that_are_swapped_are_found() {
    let sound = sample(4000);
    for class in PageClass::ALL {
        let ids: Vec<_> = sound.keys().filter(|id| id.class == class).collect();
        let [first, second, ..] = ids[..] else { continue };
        let mut pages = sound.clone();
        pages.insert(*first, sound[second].clone());
        pages.insert(*second, sound[first].clone());
        assert!(verify(&page_map(&pages), Deletes::new()).is_err(), "{class:?}");
    }
}

#[test]
fn deletes_outside_the_segment_are_damage() {
    let pages = page_map(&sample(3));
    assert_eq!(verify(&pages, [DocId(4)].into_iter().collect()).unwrap_err().kind(), ErrorKind::Damaged);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_damage_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let mut pages = sample(60);
        let ids: Vec<PageId> = pages.keys().copied().collect();
        for (page, at, byte) in changes {
            let page = pages.get_mut(page.get(&ids)).unwrap();
            let at = at.index(page.len() - 2) + 2;
            page[at] = byte;
        }
        let _ = use_everything(&page_map(&pages));
    }

    #[test]
    fn hostile_deletes_are_an_error_or_a_set(mut bytes in proptest::collection::vec(any::<u8>(), 1..300)) {
        bytes[0] = 1;
        if let Ok(deletes) = Deletes::from_bytes(&bytes) {
            prop_assert_eq!(Deletes::from_bytes(&deletes.to_bytes()).unwrap(), deletes);
        }
    }
}
