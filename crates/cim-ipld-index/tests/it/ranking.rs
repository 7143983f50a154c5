//! Deletes in a memtable and sealing do not change scores, and the pages of a search with a cursor
//! neither repeat nor skip a document, whatever happens in between.

use cim_ipld_index::{Document, ErrorKind, MemoryIndex, Query, SearchCursor, SearchOptions, Value};
use proptest::prelude::*;

use crate::model::cid;

fn scores(index: &MemoryIndex, text: &str) -> Vec<(cid::Cid, f32)> {
    let results = index.search(&Query::parse(text).unwrap(), &SearchOptions::default().limit(1000)).unwrap();
    results.hits.iter().map(|hit| (hit.cid, hit.score)).collect()
}

#[test]
fn deletes_and_sealing_change_no_score() {
    let index = MemoryIndex::new();
    let note = |n: u64| Value::Text("alpha ".repeat(n as usize % 7));
    for n in 0..400 {
        let text = format!("{} {}", ["alpha", "beta", "gamma"][n as usize % 3], "pad ".repeat(n as usize % 11));
        index
            .insert(&Document::new(cid(n)).with_text(text).with_title("alpha one").with_attribute("note", note(n)))
            .unwrap();
    }
    // Few and many, so that lists are both searched and scanned.
    for (from, to) in [(0, 1), (1, 3), (3, 290)] {
        for n in from..to {
            assert!(index.delete(&cid(n)).unwrap());
        }
        let fresh = MemoryIndex::new();
        for n in to..400 {
            fresh.insert(&index.document(&cid(n)).unwrap().unwrap()).unwrap();
        }
        for text in ["alpha beta", "alph*", "\"gamma pad\"", "title:alpha pad", "note:alpha gamma", "gama~"] {
            assert_eq!(scores(&index, text), scores(&fresh, text), "{text} after {to} deletes");
        }
    }
    let texts = ["alpha beta", "alph*", "\"gamma pad\"", "title:alpha pad", "note:alpha gamma"];
    let before = texts.map(|text| scores(&index, text));
    index.compact().unwrap();
    assert_eq!(texts.map(|text| scores(&index, text)), before);
}

#[test]
fn a_cursor_is_of_one_search() {
    let index = MemoryIndex::new();
    for n in 0..3 {
        index.insert(&Document::new(cid(n)).with_text("alpha beta")).unwrap();
    }
    let options = SearchOptions::default().limit(1);
    let first = index.search(&Query::parse("alpha beta").unwrap(), &options).unwrap();
    let cursor = first.next.unwrap();
    assert_eq!(cursor.to_string().parse::<SearchCursor>().unwrap(), cursor);
    let error = index.search(&Query::parse("alpha").unwrap(), &options.after(cursor)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidQuery);
}

/// What happens between two pages of hits.
#[derive(Debug, Clone)]
enum Event {
    Insert(u64, String),
    Delete(u64),
    Fold,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0u64..200, "[ab]( [abp]){0,9}").prop_map(|(n, text)| Event::Insert(n, text)),
        (0u64..200).prop_map(Event::Delete),
        Just(Event::Fold),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_by_score_neither_repeat_nor_skip_what_stays(
        texts in proptest::collection::vec("[ab]( [abp]){0,9}", 10..40),
        events in proptest::collection::vec(proptest::collection::vec(event(), 0..8), 20),
        limit in 1usize..7,
    ) {
        let index = MemoryIndex::with_memtable_budget(1 << 14);
        for (n, text) in texts.iter().enumerate() {
            index.insert(&Document::new(cid(n as u64)).with_text(text)).unwrap();
        }
        let query = Query::parse("a b p*").unwrap();
        let mut options = SearchOptions::default().limit(limit);
        let mut touched = std::collections::BTreeSet::new();
        let mut seen = Vec::new();
        // Nothing happens between the last pages.
        for events in events.into_iter().chain(std::iter::repeat(Vec::new())) {
            let page = index.search(&query, &options).unwrap();
            seen.extend(page.hits.iter().map(|hit| hit.cid));
            let Some(next) = page.next else { break };
            options = options.after(next);
            for event in events {
                match event {
                    Event::Insert(n, text) => {
                        touched.insert(cid(n));
                        index.insert(&Document::new(cid(n)).with_text(text)).unwrap();
                    }
                    Event::Delete(n) => {
                        touched.insert(cid(n));
                        index.delete(&cid(n)).unwrap();
                    }
                    Event::Fold => index.compact().unwrap(),
                }
            }
        }
        let stays = |cid: &cid::Cid| !touched.contains(cid);
        let mut seen: Vec<_> = seen.into_iter().filter(stays).collect();
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), count, "a hit was given twice");
        let mut expected: Vec<_> = (0..texts.len() as u64).map(cid).filter(stays).collect();
        expected.sort_unstable();
        prop_assert_eq!(seen, expected);
    }
}
