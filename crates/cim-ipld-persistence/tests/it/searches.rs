//! Long searches: on a blocking thread, within their limits, and only as long as somebody waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cim_ipld_backend::{Backend, MemoryBackend};
use cim_ipld_index::{Document, MemoryIndex, Query, SearchLimits, SearchOptions};
use cim_ipld_persistence::{Engine, ErrorKind};

use crate::support::{cid, create};

/// Two documents in which a phrase of the pattern `*x` has many occurrences.
fn documents() -> [Document; 2] {
    let text = "ax bx ".repeat(50_000);
    [Document::new(cid(1)).with_text(format!("{text} end")), Document::new(cid(2)).with_text(text)]
}

async fn engine() -> Engine {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let engine = create(&backend).await;
    engine.index(&documents()).await.expect("indexed");
    engine.fold().await.expect("folded");
    engine
}

fn phrase(words: usize, last: &str) -> Query {
    Query::parse_typed(&format!("\"{}{last}\"~9", "*x ".repeat(words))).expect("a valid query")
}

#[tokio::test]
async fn long_searches_find_what_the_index_core_finds() {
    let (engine, index) = (engine().await, MemoryIndex::new());
    documents().iter().for_each(|document| index.insert(document).expect("a valid document"));
    let options = SearchOptions::default();
    for query in [phrase(1, ""), phrase(3, ""), phrase(20, "end"), phrase(20, "nowhere")] {
        let expected = index.search(&query, &options).expect("found");
        assert_eq!(engine.search(&query, &options).await.expect("found"), expected, "{query:?}");
    }
}

#[tokio::test]
async fn a_search_beyond_a_limit_is_refused() {
    let engine = engine().await;
    let limits = SearchLimits::default;
    // The limits, and what the error names.
    let cases = [
        (limits().work(1000), "1000 units"),
        (limits().work(100_000), "100000 units"),
        (limits().memory_bytes(1 << 14), "16384 bytes"),
        (limits().expansions(1), "1 words"),
        (limits().clauses(9), "9 lookups"),
        (limits().deadline(Duration::from_millis(1)), "deadline"),
    ];
    for (limits, named) in cases {
        let options = SearchOptions::default().limits(limits);
        let error = engine.search(&phrase(1000, ""), &options).await.expect_err(named);
        assert_eq!(error.kind(), ErrorKind::QueryTooExpensive, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn a_search_stops_when_its_future_is_dropped() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("built");
    let started = Instant::now();
    runtime.block_on(async {
        let engine = engine().await;
        let options = SearchOptions::default().limits(SearchLimits::unlimited());
        let phrases = (0..200).map(|slop| format!("\"{}\"~{slop} ", "*x ".repeat(1000))).collect::<String>();
        let query = Query::parse_typed(&phrases).expect("a valid query");
        let searched = tokio::time::timeout(Duration::from_millis(50), engine.search(&query, &options)).await;
        assert!(searched.is_err(), "the search is long");
    });
    // This waits for the blocking threads. The whole search compares 4 * 10^10 positions.
    drop(runtime);
    assert!(started.elapsed() < Duration::from_secs(60), "the search went on for {:?}", started.elapsed());
}
