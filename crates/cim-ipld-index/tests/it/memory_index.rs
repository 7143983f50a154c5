//! The in-memory index: visible at once, sealed and merged automatically, read while it is written.

use std::sync::atomic::{AtomicU64, Ordering};

use cim_ipld_index::{Analyzer, Document, MemoryIndex, Memtable, Query, SearchOptions, SnippetOptions};

use crate::model::cid;

#[test]
fn sealing_and_merging_change_no_answer() {
    // With this budget, the index seals every few documents and merges many times.
    let (small, large) = (MemoryIndex::with_memtable_budget(1), MemoryIndex::new());
    for n in 0..200u64 {
        let text = format!("common word{} {}", n % 10, "filler ".repeat((n % 4) as usize));
        let document = Document::new(cid(n % 150)).with_text(text).with_tag(format!("t{}", n % 3));
        for index in [&small, &large] {
            index.insert(&document).unwrap();
            if n % 7 == 0 {
                index.delete(&cid(n / 2)).unwrap();
                assert!(!index.delete(&cid(n / 2)).unwrap());
            }
        }
    }
    let live = |index: &MemoryIndex| (0..150).map(|n| index.document(&cid(n)).unwrap()).collect::<Vec<_>>();
    assert_eq!(live(&small), live(&large));
    assert_eq!(small.counts().unwrap().documents, large.counts().unwrap().documents);
    large.compact().unwrap();
    small.compact().unwrap();
    for text in ["common", "word3 OR word4", "common AND word5", "tag:t1 word1"] {
        let query = Query::parse(text).unwrap();
        let options = SearchOptions::default().limit(200);
        let cids = |index: &MemoryIndex| {
            let mut cids: Vec<_> = index.search(&query, &options).unwrap().hits.iter().map(|hit| hit.cid).collect();
            cids.sort();
            cids
        };
        assert_eq!(cids(&small), cids(&large), "{text}");
    }
}

#[test]
fn readers_see_whole_documents_in_order_while_a_writer_writes() {
    let index = MemoryIndex::with_memtable_budget(4 << 20);
    let written = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let query = Query::parse("every AND second").unwrap();
                let mut last = 0;
                while last < 1500 {
                    let before = written.load(Ordering::Acquire);
                    let total = index.search(&query, &SearchOptions::default().limit(3)).unwrap().total;
                    assert!(total >= before, "{total} documents found although {before} were visible before");
                    assert!(total >= last, "{total} found after {last}");
                    last = total;
                }
            });
        }
        for n in 0..1500 {
            index.insert(&Document::new(cid(n)).with_text(format!("every word{n}")).with_title("second")).unwrap();
            written.store(n + 1, Ordering::Release);
        }
    });
}

#[test]
fn a_view_does_not_change() {
    let mut memtable = Memtable::new(Analyzer::default());
    for n in 0..500 {
        memtable.insert(&Document::new(cid(n % 100)).with_text("same words")).unwrap();
    }
    let (view, old) = (memtable.view(), memtable.view().locate(&cid(7)).unwrap());
    for n in 0..500 {
        memtable.insert(&Document::new(cid(n % 200)).with_text("other words")).unwrap();
    }
    assert_eq!(view.document_count(), 500);
    assert_eq!(view.locate(&cid(7)), Some(old));
    assert_eq!(view.locate(&cid(150)), None);
    assert_eq!(view.document(old).unwrap().text.as_deref(), Some("same words"));
    assert_eq!(
        memtable.view().document(memtable.view().locate(&cid(7)).unwrap()).unwrap().text.as_deref(),
        Some("other words")
    );
}

#[test]
fn bytes_grow_with_what_is_held() {
    let mut memtable = Memtable::new(Analyzer::default());
    let empty = memtable.bytes_used();
    memtable.insert(&Document::new(cid(0)).with_text("x".repeat(1 << 20))).unwrap();
    assert!(memtable.bytes_used() >= empty + (1 << 20));
}

#[test]
fn a_document_of_many_megabytes_is_searched_stored_and_cut() {
    let index = MemoryIndex::new();
    let mut text = "lorem ipsum dolor ".repeat(400_000);
    text.push_str("needle in the haystack");
    let document = Document::new(cid(1)).with_text(text);
    index.insert(&document).unwrap();
    index.insert(&Document::new(cid(2)).with_text("a needle")).unwrap();
    for _ in 0..2 {
        let options = SearchOptions::default().snippet(SnippetOptions::default());
        let results = index.search(&Query::parse("\"needle in the haystack\"").unwrap(), &options).unwrap();
        assert_eq!((results.total, results.hits[0].cid), (1, cid(1)));
        assert_eq!(index.search(&Query::parse("dolor AND needle").unwrap(), &options).unwrap().total, 1);
        assert_eq!(index.document(&cid(1)).unwrap().as_ref(), Some(&document));
        index.compact().unwrap();
    }
}
