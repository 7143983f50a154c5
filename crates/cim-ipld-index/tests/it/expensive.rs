//! Phrases that repeat frequent words are answered, or refused with an error that names the limit.

use cim_ipld_index::{Document, ErrorKind, MemoryIndex, Query, Result, SearchOptions, SearchResults};

use crate::model::cid;

/// An index of one large document, in a memtable and in a segment.
fn indexes() -> [MemoryIndex; 2] {
    [false, true].map(|is_sealed| {
        let index = MemoryIndex::new();
        let text = format!("{} end ended", "a ".repeat(100_000));
        index.insert(&Document::new(cid(1)).with_text(text)).unwrap();
        if is_sealed {
            index.compact().unwrap();
        }
        index
    })
}

fn search(index: &MemoryIndex, query: &str, max_positions: u64) -> Result<SearchResults> {
    index.search(&Query::parse(query).unwrap(), &SearchOptions::default().max_positions(max_positions))
}

fn phrase(words: usize, last: &str, slop: &str) -> String {
    format!("\"{}{last}\"{slop}", "a ".repeat(words))
}

#[test]
fn phrases_of_repeated_words_are_found_within_the_limit() {
    let default = SearchOptions::default().max_positions;
    // The query, and whether it matches.
    let cases = [
        (phrase(1000, "", ""), true),
        (phrase(1000, "end", ""), true),
        (phrase(4000, "", ""), true),
        (phrase(1000, "a end", "~5"), true),
        ("\"end a\"".to_owned(), false),
        ("\"a a a end a\"".to_owned(), false),
    ];
    for index in indexes() {
        for (query, is_found) in &cases {
            let start = &query[..query.len().min(20)];
            assert_eq!(search(&index, query, default).unwrap().total, u64::from(*is_found), "{start}");
        }
    }
}

#[test]
fn an_expensive_phrase_is_refused_with_the_limit() {
    let many = format!("+{}", [phrase(4, "", ""), phrase(5, "", ""), phrase(6, "", "~1")].join(" +"));
    for index in indexes() {
        for query in [phrase(3, "", ""), phrase(3, "", "~2"), phrase(2, "en*", ""), many.clone()] {
            let error = search(&index, &query, 150_000).expect_err(&query);
            assert_eq!(error.kind(), ErrorKind::QueryTooExpensive, "{query}");
            assert!(error.to_string().contains("150000"), "{error}");
        }
        assert_eq!(search(&index, "a end", 0).unwrap().total, 1, "words alone compare no positions");
        assert_eq!(search(&index, "\"a end\"", 100_001).unwrap().total, 1);
    }
}
