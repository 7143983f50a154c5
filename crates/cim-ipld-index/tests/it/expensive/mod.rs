//! Expensive queries are answered completely, or refused with an error that names the limit and the
//! part of the query that exceeded it. The outcome depends on counts, not on time.

mod shapes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cim_ipld_index::{
    Cancellation, Document, ErrorKind, Facet, MemoryIndex, NumberField, Query, Result, SearchLimits, SearchOptions,
    SearchResults, SnippetOptions, Sort,
};

use crate::model::cid;
use shapes::{large, many, shapes};

/// The units of work between two looks at the cancellation.
const INTERVAL: u64 = 1 << 14;

fn sealed(index: MemoryIndex, is_sealed: bool) -> MemoryIndex {
    if is_sealed {
        index.compact().unwrap();
    }
    index
}

/// An index of one document with a word that is repeated, in a memtable and in a segment.
fn repetitive() -> [MemoryIndex; 2] {
    [false, true].map(|is_sealed| {
        let index = MemoryIndex::new();
        let text = format!("{} end ended", "a ".repeat(100_000));
        index.insert(&Document::new(cid(1)).with_text(text)).unwrap();
        sealed(index, is_sealed)
    })
}

fn search(index: &MemoryIndex, query: &str, limits: SearchLimits) -> Result<SearchResults> {
    index.search(&Query::parse_typed(query).unwrap(), &SearchOptions::default().limits(limits))
}

fn phrase(words: usize, last: &str, slop: &str) -> String {
    format!("\"{}{last}\"{slop}", "a ".repeat(words))
}

#[test]
fn phrases_of_repeated_words_are_found_within_the_limits() {
    // The query, and whether it matches.
    let cases = [
        (phrase(1000, "", ""), true),
        (phrase(1000, "end", ""), true),
        (phrase(4000, "", ""), true),
        (phrase(1000, "a end", "~5"), true),
        (format!("\"{}\"", "a* ".repeat(1000)), true),
        (format!("\"{} en*\"", "?* ".repeat(1000)), true),
        ("\"end a\"".to_owned(), false),
        ("\"a a a end a\"".to_owned(), false),
        ("\"en* a*\"".to_owned(), false),
    ];
    for index in repetitive() {
        for (query, is_found) in &cases {
            let start = &query[..query.len().min(20)];
            assert_eq!(search(&index, query, SearchLimits::default()).unwrap().total, u64::from(*is_found), "{start}");
        }
    }
}

#[test]
fn a_refusal_names_the_part_and_the_limit() {
    let limits = SearchLimits::default;
    let ranges = (0..100).map(|n| format!("size:>{n} ")).collect::<String>();
    let many = format!("+{}", [phrase(4, "", ""), phrase(5, "", ""), phrase(6, "", "~1")].join(" +"));
    // The query, the limits, and what the message contains.
    let cases = [
        (phrase(3, "", ""), limits().work(150_000), ["phrase that starts with the word `a`", "150000 units of work"]),
        (phrase(3, "", "~2"), limits().work(150_000), ["the word `a`", "150000 units of work"]),
        (phrase(2, "en*", ""), limits().work(50_000), ["the word `a`", "50000 units of work"]),
        (many, limits().work(150_000), ["the word `a`", "150000 units of work"]),
        ("end*".into(), limits().expansions(1), ["the prefix `end*`", "1 words"]),
        ("e*d*".into(), limits().expansions(1), ["the pattern `e*d*`", "1 words"]),
        ("ende~".into(), limits().expansions(1), ["the fuzzy word `ende~`", "1 words"]),
        ("end a*".into(), limits().memory_bytes(100), ["the word `end`", "100 bytes"]),
        ("a end ended".into(), limits().clauses(2), ["the query", "2 lookups"]),
        (ranges, limits().clauses(99), ["the query", "99 lookups"]),
        ("a".into(), limits().work(0), ["the word `a`", "0 units"]),
        ("a".into(), limits().deadline(Duration::ZERO), ["the query", "deadline"]),
    ];
    for index in repetitive() {
        for (query, limits, parts) in &cases {
            let error = search(&index, query, limits.clone()).expect_err(query);
            assert_eq!(error.kind(), ErrorKind::QueryTooExpensive, "{query}");
            let message = error.to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{query}: {message}");
        }
    }
}

/// The options under which each query is searched.
fn options() -> [SearchOptions; 3] {
    let plain = SearchOptions::default();
    let facets = plain.clone().facet(Facet::tags()).facet(Facet::content_types()).facet(Facet::attribute("n"));
    let sorted = facets.sort(Sort::descending(NumberField::Size)).limit(100);
    [plain.clone(), sorted, plain.snippet(SnippetOptions::default().passages(3))]
}

#[test]
fn hostile_queries_are_answered_as_without_limits_or_refused() {
    const WORK: u64 = 1 << 20;
    let shapes = shapes();
    assert!(shapes.len() >= 24);
    for (corpus, index) in [("large", large(cid)), ("many", many(20_000, cid))] {
        let (mut answered, mut refused) = (0, 0);
        for is_sealed in [false, true] {
            let index = sealed(index.clone(), is_sealed);
            for (name, text) in &shapes {
                // A text that the parser refuses costs no search.
                let Ok(query) = Query::parse_typed(text) else { continue };
                for options in options() {
                    let looks = Arc::new(AtomicU64::new(0));
                    let counted = Arc::clone(&looks);
                    let cancellation = Cancellation::when(move || counted.fetch_add(1, Ordering::Relaxed) == u64::MAX);
                    let limited = options.clone().limits(SearchLimits::default().work(WORK).memory_bytes(64 << 20));
                    let started = Instant::now();
                    match index.search_until(&query, &limited, &cancellation) {
                        Ok(results) => {
                            let unlimited = options.limits(SearchLimits::unlimited());
                            assert_eq!(results, index.search(&query, &unlimited).unwrap(), "{corpus}: {name}");
                            answered += 1;
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::QueryTooExpensive, "{corpus}: {name}: {error}");
                            refused += 1;
                        }
                    }
                    assert!(looks.load(Ordering::Relaxed) <= WORK / INTERVAL + 2, "{corpus}: {name}");
                    // Work that is not counted takes minutes; this is an unoptimized build.
                    assert!(started.elapsed() < Duration::from_secs(20), "{corpus}: {name}: {:?}", started.elapsed());
                }
            }
        }
        assert!(answered > shapes.len() && refused > 10, "{corpus}: {answered} answered, {refused} refused");
    }
}

#[test]
fn a_cancelled_search_stops_at_the_next_look() {
    let index = large(cid);
    for is_sealed in [false, true] {
        let index = sealed(index.clone(), is_sealed);
        for (name, text) in shapes() {
            let Ok(query) = Query::parse_typed(&text) else { continue };
            for wanted in [1, 2, 10] {
                let looks = Arc::new(AtomicU64::new(0));
                let counted = Arc::clone(&looks);
                let cancellation = Cancellation::when(move || counted.fetch_add(1, Ordering::Relaxed) + 1 >= wanted);
                let options = SearchOptions::default().limits(SearchLimits::default().memory_bytes(64 << 20));
                match index.search_until(&query, &options, &cancellation) {
                    Ok(_) => assert!(looks.load(Ordering::Relaxed) < wanted, "{name} went on"),
                    Err(error) if error.kind() == ErrorKind::Cancelled => {
                        assert_eq!(looks.load(Ordering::Relaxed), wanted, "{name} went on");
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::QueryTooExpensive, "{name}: {error}"),
                }
            }
        }
    }
}
