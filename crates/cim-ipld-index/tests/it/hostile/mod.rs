//! Verification finds damage, and no damage makes an operation panic, loop forever or use much
//! memory.

mod seeds;
mod targets;

use std::sync::Arc;

use cim_ipld_index::{
    Analyzer, Deletes, DocId, Document, ErrorKind, Memtable, Page, PageClass, PageId, PageMap, PageSource, Progress,
    Query, ReadView, SearchOptions, Segment, Verification, build_segment,
};
use proptest::prelude::*;

use crate::model::Cold;
use targets::{ID, page_map, sample, use_everything, verify};

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
            // A stored text may change without changing a word; the pages are authenticated by the
            // envelope.
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
fn positions_up_to_the_largest_number_end_no_phrase_in_a_panic() {
    let mut index = Memtable::new(Analyzer::default());
    index.insert(&Document::new(targets::cid(0)).with_text("alpha beta")).unwrap();
    let mut pages = PageMap::new();
    build_segment(&index.view(), &Deletes::new(), &mut pages.sink(ID)).unwrap();
    let dictionary = PageId::new(PageClass::Dictionary, 0);
    let mut bytes = pages.page(ID, dictionary).unwrap().to_vec();
    // The last value is that of "beta": one inline posting, document 0, once, at position 1.
    assert!(bytes.ends_with(&[4, 3, 0, 1, 1]));
    bytes.truncate(bytes.len() - 5);
    bytes.extend([8, 3, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    pages.insert(ID, dictionary, Page::from(bytes));
    let segment = Arc::new(Segment::open(ID, &pages.header(ID)).unwrap());
    let snapshot = ReadView::new(Analyzer::default(), vec![(segment, Deletes::new())], Vec::new()).unwrap();
    for phrase in ["\"beta alpha beta\"", "\"beta alpha\"~3", "\"alpha beta alpha\"", "\"alpha beta alpha\"~3"] {
        let answer = snapshot.search(&Query::parse(phrase).unwrap(), &SearchOptions::default(), &pages).unwrap();
        let Progress::Ready(results) = answer else { panic!("all pages are available") };
        assert_eq!(results.total, 0, "{phrase}");
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
