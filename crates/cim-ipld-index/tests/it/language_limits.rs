//! Queries beyond the limits, results as JSON, and arbitrary text.

use std::time::{Duration, Instant};

use cim_ipld_index::{
    Document, ErrorKind, Field, MemoryIndex, NumberField, Query, QueryErrorKind, SearchLimits, SearchOptions,
};
use proptest::prelude::*;

use crate::model::cid;

fn sample() -> MemoryIndex {
    let index = MemoryIndex::new();
    for (n, text) in (0..).zip(["the ping tree of a big_bad_wolf.txt", "Tree ping, wolf alone"]) {
        index.insert(&Document::new(cid(n)).with_text(text)).unwrap();
    }
    index
}

#[test]
fn a_query_of_many_words_is_refused_at_once() {
    let index = sample();
    for text in [
        (0..100_000).map(|n| format!("word{n} ")).collect::<String>(),
        "wolf ".repeat(100_000),
        "tag:x OR ".repeat(100_000),
        "-a:b ".repeat(100_000),
        format!("\"{}\"", "wolf ".repeat(100_000)),
        "w*l?f ".repeat(100_000),
    ] {
        let started = Instant::now();
        for query in [Query::parse_typed(&text).unwrap(), Query::term(text.clone())] {
            let error = index.search(&query, &SearchOptions::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::QueryTooExpensive, "{}", &text[..20]);
        }
        // This covers two searches in an unoptimized build on a busy machine; anything quadratic
        // takes minutes.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?} for {}", started.elapsed(), &text[..20]);
    }
    let most = (0..SearchLimits::default().clauses).map(|n| format!("word{n} ")).collect::<String>();
    assert!(index.search(&Query::parse(&most).unwrap(), &SearchOptions::default()).is_ok());
}

#[test]
fn a_query_a_million_levels_deep_is_refused() {
    const DEEP: usize = 1_000_000;
    for text in ["(", "-(", "NOT ", "title:(", "name:(", "a OR (", "\"", "+", "^", "a:", "size:[", "\\", "“"] {
        let text = text.repeat(if text.contains(['(', 'N']) { DEEP } else { DEEP / 10 });
        assert!(Query::parse(&text).is_err() || !text.contains('('));
        let (query, errors) = Query::parse_lenient(&text);
        assert!(errors.len() <= 100);
        if text.contains('(') {
            let started = Instant::now();
            assert_eq!(Query::parse_typed(&text).unwrap_err().kind, QueryErrorKind::Limit);
            // Parsing stops at the error, however much text follows.
            assert!(started.elapsed() < Duration::from_secs(5), "{:?} for {text:.9}", started.elapsed());
        }
        drop(query);
    }
    let any = (0..DEEP).fold(Query::term("a"), |query, _| Query::any([query, Query::term("b")]));
    let all = (0..DEEP / 10).fold(Query::term("a"), |query, _| Query::all([query, Query::term("b")]));
    let not = (0..DEEP / 10).fold(Query::term("a"), |query, _| Query::everything().and_not(query));
    let boost = (0..DEEP / 10).fold(Query::term("a"), |query, _| query.boost(1.5));
    let filter = (0..DEEP / 10)
        .fold(Query::term("a"), |query, _| Query::any([Query::everything().filter(query), Query::term("b")]));
    for query in [any, all, not, boost, filter] {
        assert!(!format!("{:?}", query.clone()).is_empty());
        let error = sample().search(&query, &SearchOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidQuery);
    }
}

#[test]
fn results_and_options_survive_json() {
    let index = sample();
    let options = SearchOptions::default()
        .limit(3)
        .sort(cim_ipld_index::Sort::descending(NumberField::Attribute("rating".into())))
        .facet(cim_ipld_index::Facet::tags());
    let query = Query::phrase(Field::Any, "ping tree", 0);
    let options: SearchOptions = serde_json::from_str(&serde_json::to_string(&options).unwrap()).unwrap();
    assert_eq!((options.limit, options.facets.len()), (3, 1));
    let results = index.search(&query, &SearchOptions::default().limit(1)).unwrap();
    let json = serde_json::to_string(&results).unwrap();
    assert!(json.contains(&format!("\"cid\":\"{}\"", results.hits[0].cid)), "{json}");
    assert_eq!(serde_json::from_str::<cim_ipld_index::SearchResults>(&json).unwrap(), results);
}

/// Text with many features of the language.
fn typed() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[ab \"()+\\-~^*?:ANDORTtilesz0-9é<>=\\[\\]{}\\\\]{0,40}",
        proptest::collection::vec(
            prop_oneof![
                Just("tag:"),
                Just("title:"),
                Just("size:>"),
                Just("x:"),
                Just("\""),
                Just("“"),
                Just("”"),
                Just("("),
                Just(")"),
                Just(" AND "),
                Just(" OR "),
                Just("NOT "),
                Just("-"),
                Just("+"),
                Just("^2"),
                Just("^1e3"),
                Just("~2"),
                Just("*"),
                Just("?"),
                Just("wolf"),
                Just("ping tree"),
                Just("\\"),
                Just("created:2024"),
                Just("[1 TO "),
                Just("]"),
                Just(" "),
            ],
            0..20,
        )
        .prop_map(|parts| parts.concat()),
    ]
}

proptest! {
    #[test]
    fn any_text_is_a_query_to_one_parser_and_a_query_or_an_error_inside_it_to_the_other(text in typed()) {
        let index = sample();
        let (query, errors) = Query::parse_lenient(&text);
        match Query::parse(&text) {
            Ok(strict) => prop_assert_eq!((&strict, errors.len()), (&query, 0)),
            Err(error) => {
                prop_assert!(text.get(error.range.clone()).is_some(), "{:?}", error);
                prop_assert!(!errors.is_empty());
            }
        }
        prop_assert!(errors.iter().all(|error| text.get(error.range.clone()).is_some()));
        if let Err(error) = index.search(&query, &SearchOptions::default()) {
            prop_assert_eq!(error.kind(), ErrorKind::InvalidQuery);
        }
    }
}
