//! The time of hostile queries at the default limits, on a document of ten megabytes and on a
//! million small ones: `cargo bench -p cim-ipld-benches --bench hostile [-- DOCUMENTS]`.

#[path = "../crates/cim-ipld-index/tests/it/expensive/shapes.rs"]
mod shapes;

use std::time::{Duration, Instant};

use cim_ipld_benches::cid_of;
use cim_ipld_index::{Query, SearchOptions};

fn main() {
    let documents = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let cid = |n: u64| cid_of(&n.to_le_bytes());
    for (corpus, index) in [("large", shapes::large(cid)), ("many", shapes::many(documents, cid))] {
        let mut longest = Duration::ZERO;
        for place in ["memtable", "segment"] {
            for (name, text) in shapes::shapes() {
                let Ok(query) = Query::parse_typed(&text) else { continue };
                let started = Instant::now();
                let outcome = match index.search(&query, &SearchOptions::default()) {
                    Ok(results) => format!("{} found", results.total),
                    Err(error) => error.to_string(),
                };
                let took = started.elapsed();
                longest = longest.max(took);
                println!("{corpus:6} {place:9} {:>9.3} ms  {name}: {outcome}", took.as_secs_f64() * 1e3);
            }
            index.compact().expect("the index is sealed");
        }
        println!("{corpus:6} longest: {longest:?}");
    }
}
