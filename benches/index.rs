//! Micro-benchmarks of the index core on a small corpus:
//! `cargo bench -p cim-ipld-benches --bench index -- FILTER`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use cim_ipld_benches::synthetic;
use cim_ipld_index::{
    Analyzer, Deletes, Document, Field, MemoryIndex, Memtable, PageMap, PageSource, Progress, Query, ReadView,
    SearchOptions, Segment, SegmentId, Total, build_segment, merge_segments,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const DOCUMENTS: usize = 4_000;
const SEED: u64 = 42;

fn analysis(criterion: &mut Criterion) {
    let documents = synthetic::documents(200, SEED);
    let plain: Vec<&str> = documents.iter().filter_map(|document| document.text.as_deref()).collect();
    // About one word in six gets an accent. Those words take the Unicode path. The others take the
    // path for ASCII words inside a text that is not all ASCII.
    let accented: Vec<String> = plain.iter().map(|text| text.replace("ba", "bä")).collect();
    let accented: Vec<&str> = accented.iter().map(String::as_str).collect();
    let analyzer = Analyzer::default();
    let mut group = criterion.benchmark_group("analysis");
    for (name, texts) in [("ascii", &plain), ("accents", &accented)] {
        group.throughput(Throughput::Bytes(texts.iter().map(|text| text.len() as u64).sum()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| texts.iter().map(|text| analyzer.words(black_box(text)).len()).sum::<usize>());
        });
    }
    group.finish();
}

fn writing(criterion: &mut Criterion) {
    let documents = synthetic::documents(DOCUMENTS, SEED);
    let memtable = fill(&documents);
    let halves = [segment(&fill(&documents[..DOCUMENTS / 2]), 1), segment(&fill(&documents[DOCUMENTS / 2..]), 2)];
    let mut group = criterion.benchmark_group("writing");
    group.sample_size(20).throughput(Throughput::Elements(DOCUMENTS as u64));
    group.bench_function("memtable insert", |bencher| bencher.iter(|| fill(black_box(&documents))));
    group.bench_function("insert, each visible", |bencher| {
        bencher.iter_batched(
            MemoryIndex::new,
            |index| {
                documents.iter().for_each(|document| index.insert(document).expect("the document is valid"));
                index
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("seal", |bencher| bencher.iter(|| segment(black_box(&memtable), 1)));
    group.bench_function("merge of two", |bencher| {
        let mut pages = PageMap::new();
        halves.iter().flat_map(|(_, part)| part.iter()).for_each(|(id, page, bytes)| {
            pages.insert(id, page, bytes.clone());
        });
        let none = Deletes::new();
        let inputs: Vec<(&Segment, &Deletes)> = halves.iter().map(|(segment, _)| (&**segment, &none)).collect();
        bencher.iter(|| {
            let mut merged = PageMap::new();
            merge_segments(&inputs, &pages, &mut merged.sink(SegmentId([3; 16]))).expect("all pages are there");
            merged
        });
    });
    group.finish();
}

fn searching(criterion: &mut Criterion) {
    let documents = synthetic::documents(DOCUMENTS, SEED);
    let (segment, pages) = segment(&fill(&documents), 1);
    let snapshot =
        ReadView::new(Analyzer::default(), vec![(segment, Deletes::new())], Vec::new()).expect("one analyzer");
    let mut group = criterion.benchmark_group("searching");
    for (name, query) in queries(&documents) {
        let found = snapshot.search(&query, &SearchOptions::default(), &pages).expect("the pages are sound");
        assert!(found.ready().is_some_and(|results| results.total > 0), "{name} finds nothing");
        for (how, total) in [("ten", Total::AtLeast), ("ten and the total", Total::Exact)] {
            let options = SearchOptions::default().total(total);
            group.bench_function(BenchmarkId::new(name, how), |bencher| {
                bencher.iter(|| snapshot.matches(black_box(&query), &options, &pages));
            });
        }
    }
    let query = Query::term("ba");
    // All documents with two frequent words, counted but not ranked: mostly the cost of decoding.
    group.bench_function("postings", |bencher| {
        let all = Query::all([query.clone(), Query::term("da")]);
        let options = SearchOptions::default().limit(0);
        bencher.iter(|| snapshot.matches(black_box(&all), &options, &pages));
    });
    group.bench_function("hits", |bencher| {
        bencher.iter(|| snapshot.search(black_box(&query), &SearchOptions::default(), &pages));
    });
    group.bench_function("hits, no page cached", |bencher| {
        bencher.iter(|| cold(&snapshot, black_box(&query), &pages));
    });
    group.finish();
}

/// Returns one query of each class. The words of a conjunction come from one document, so that it
/// has a hit.
fn queries(documents: &[Document]) -> Vec<(&'static str, Query)> {
    let analyzer = Analyzer::default();
    let words = analyzer.words(documents[0].text.as_deref().unwrap_or_default());
    let tag = documents[0].tags[0].clone();
    let mut different = words.clone();
    different.sort_unstable();
    different.dedup();
    // Longer words are rarer in this corpus.
    different.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let some = |count: usize| different[..count].iter().map(Query::term).collect::<Vec<_>>();
    vec![
        ("term", Query::term(&different[0])),
        ("frequent term", Query::term("ba")),
        ("or of two", Query::any(some(2))),
        ("or of five", Query::any(some(5))),
        ("and of two", Query::all(some(2))),
        ("and of two frequent", Query::all([Query::term("ba"), Query::term("da")])),
        ("phrase", Query::phrase(Field::Any, words[..2].join(" "), 0)),
        ("tag and or", Query::any(some(2)).tag(tag)),
        ("prefix", Query::prefix(Field::Any, "bad")),
        ("one edit", Query::fuzzy(Field::Any, "badka", 1)),
    ]
}

fn fill(documents: &[Document]) -> Memtable {
    let mut memtable = Memtable::new(Analyzer::default());
    for document in documents {
        memtable.insert(document).expect("the document is valid");
    }
    memtable
}

fn segment(memtable: &Memtable, number: u8) -> (Arc<Segment>, PageMap) {
    let id = SegmentId([number; 16]);
    let mut pages = PageMap::new();
    build_segment(&memtable.view(), &Deletes::new(), &mut pages.sink(id)).expect("a map takes every page");
    (Arc::new(Segment::open(id, &pages.header(id)).expect("the header was just written")), pages)
}

/// Searches without cached pages, and provides the requested pages: the cost of cache misses
/// without the I/O.
fn cold(snapshot: &ReadView, query: &Query, pages: &PageMap) -> u64 {
    let mut fetched = PageMap::new();
    loop {
        match snapshot.search(query, &SearchOptions::default(), &fetched).expect("the pages are sound") {
            Progress::Ready(results) => return results.total,
            Progress::Need(needed) => {
                for (segment, id) in needed {
                    fetched.insert(segment, id, pages.page(segment, id).expect("every page is in the map"));
                }
            }
        }
    }
}

fn short() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = analysis, writing, searching }
criterion_main!(benches);
