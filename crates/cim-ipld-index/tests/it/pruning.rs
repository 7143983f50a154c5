//! Skipping blocks and documents does not change the results: they equal those of an exhaustive
//! evaluation.

use std::sync::OnceLock;

use cim_ipld_index::{Document, Field, Query, SearchOptions, SearchResults, Total};
use proptest::prelude::*;

use crate::model::{Index, cid};

/// Enough for several windows of 4,096 documents and for lists of many blocks.
const DOCUMENTS: u64 = 10_000;
const WORDS: u64 = 400;

/// A deterministic pseudorandom sequence.
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn document(n: u64) -> Document {
    let len = 3 + mix(n) % 40;
    // The k-th word is about k times rarer than the first.
    let word = |place: u64| {
        let uniform = (mix(n << 8 | place) % 1_000_000) as f64 / 1e6;
        ((WORDS as f64).powf(uniform)) as u64
    };
    let text: Vec<String> = (0..len).map(|place| format!("w{}", word(place))).collect();
    // A field whose lengths are independent of the text.
    let title: Vec<String> = (0..1 + mix(n ^ 7) % 9).map(|place| format!("w{}", word(1000 + place))).collect();
    let document = Document::new(cid(n)).with_text(text.join(" ")).with_title(title.join(" "));
    let document = document.with_tag(format!("t{}", mix(n) % 5));
    if n.is_multiple_of(97) { document.with_tag("rare") } else { document }
}

/// Three indexes of the same documents, some of them deleted: the first consists of a memtable and
/// a segment that still contains deleted documents, the second of a memtable and a segment without
/// them, the third of a memtable alone.
fn indexes() -> &'static [Index; 3] {
    static INDEXES: OnceLock<[Index; 3]> = OnceLock::new();
    INDEXES.get_or_init(|| {
        let sealed = DOCUMENTS * 4 / 5;
        [(sealed, false), (sealed, true), (DOCUMENTS, false)].map(|(sealed_at, is_deleted_first)| {
            let mut index = Index::new();
            let delete = |index: &mut Index, from: u64, to: u64| {
                (from..to).filter(|n| n % 13 == 0).for_each(|n| assert!(index.delete(&cid(n))));
            };
            for n in 0..DOCUMENTS {
                if n == sealed_at {
                    if is_deleted_first {
                        delete(&mut index, 0, sealed_at);
                    }
                    index.seal();
                }
                index.insert(&document(n));
            }
            delete(&mut index, if is_deleted_first { sealed_at } else { 0 }, DOCUMENTS);
            index
        })
    })
}

fn query() -> impl Strategy<Value = Query> {
    let word = || (0.0..1.0f64).prop_map(|uniform| format!("w{}", (WORDS as f64).powf(uniform) as u64));
    let words = |max| proptest::collection::vec(word(), 1..max);
    let terms = |words: Vec<String>| words.into_iter().map(Query::term);
    let of_fields = |words: Vec<String>| {
        let fields = [Field::Title, Field::Any].into_iter().cycle();
        words.into_iter().zip(fields).map(|(word, field)| Query::phrase(field, word, 0))
    };
    let text = prop_oneof![
        2 => words(5).prop_map(move |words| Query::any(of_fields(words))),
        3 => words(4).prop_map(move |words| Query::all(of_fields(words))),
        2 => word().prop_map(Query::term),
        4 => words(6).prop_map(move |words| Query::any(terms(words))),
        4 => words(5).prop_map(move |words| Query::all(terms(words))),
        2 => words(4).prop_map(|words| Query::phrase(Field::Any, words.join(" "), 0)),
        1 => words(3).prop_map(|words| Query::phrase(Field::Any, words.join(" "), 2)),
        1 => word().prop_map(|word| Query::prefix(Field::Any, word)),
        1 => (words(4), words(3)).prop_map(move |(a, b)| Query::any(terms(a)).and_not(Query::any(terms(b)))),
    ];
    let tag = proptest::option::of(prop_oneof![(0..5u8).prop_map(|n| format!("t{n}")), Just("rare".to_owned())]);
    (text, tag, 0.5f32..4.0).prop_map(|(text, tag, boost)| tag.into_iter().fold(text.boost(boost), Query::tag))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_best_are_the_best_of_all(query in query(), limit in prop_oneof![1usize..12, Just(100usize)]) {
        let mut answers: Vec<SearchResults> = Vec::new();
        for index in indexes() {
            let options = SearchOptions::default().limit(limit);
            let exact = index.search(&query, &options);
            let pruned = index.search(&query, &options.clone().total(Total::AtLeast));
            prop_assert_eq!(&pruned.hits, &exact.hits);
            prop_assert!(pruned.total <= exact.total && pruned.total >= pruned.hits.len() as u64);

            // A part that excludes nothing forces the exhaustive evaluation.
            let all = index.search(&query.clone().and_not(Query::term("absent")), &options);
            // The cursors differ, because they carry statistics of different words.
            prop_assert_eq!((&all.hits, all.total), (&exact.hits, exact.total));
            answers.push(exact);
        }
        prop_assert_eq!(&answers[1], &answers[2]);
    }
}
