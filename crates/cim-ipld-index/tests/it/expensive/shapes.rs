//! Hostile queries, and indexes to search with them. `benches/hostile.rs` includes this file.

use cid::Cid;
use cim_ipld_index::{Document, MemoryIndex, Value};

/// Returns an index of one document of about ten megabytes: ten frequent words, a hundred thousand
/// others, and many tags.
pub(crate) fn large(cid: impl Fn(u64) -> Cid) -> MemoryIndex {
    let words = (0..100_000).map(|n| format!("a b a c{} d e a f g h i w{n} z{} ", n % 10, n * 7919 % 100_000));
    let text = words.collect::<String>().repeat(3);
    let tags = (0..200).map(|n| format!("tag{n}"));
    let document = Document::new(cid(1)).with_title("large").with_text(text).with_size(10_000_000);
    let index = MemoryIndex::with_memtable_budget(usize::MAX);
    index.insert(&tags.fold(document, |document, tag| document.with_tag(tag))).unwrap();
    index
}

/// Returns an index of small documents, each with words that all have, words that few have, and one
/// of its own.
pub(crate) fn many(documents: u64, cid: impl Fn(u64) -> Cid) -> MemoryIndex {
    let index = MemoryIndex::with_memtable_budget(usize::MAX);
    for n in 0..documents {
        let text = format!("a b a c{} d e a f w{n} z{}", n % 10, n * 7919 % 1000);
        let document = Document::new(cid(n)).with_text(text).with_size(n % 500).with_tag(format!("t{}", n % 300));
        let document = document.with_content_type("text/plain").with_attribute("n", Value::Integer((n % 77) as i64));
        index.insert(&document).unwrap();
    }
    index
}

/// Returns hostile queries, with a name for each.
pub(crate) fn shapes() -> Vec<(&'static str, String)> {
    let numbered = |count: usize, piece: &dyn Fn(usize) -> String| (0..count).map(piece).collect::<Vec<_>>();
    let list = |count, piece: &dyn Fn(usize) -> String| numbered(count, piece).join(" ");
    let nested = |depth: usize, piece: &str| format!("{}a{}", format!("({piece} ").repeat(depth), ")".repeat(depth));
    vec![
        ("everything", "*".into()),
        ("everything but everything", "* -*".into()),
        ("a phrase of one word", format!("\"{}\"", "a ".repeat(1000))),
        ("a phrase of one word, with slop", format!("\"{}\"~1000", "a ".repeat(1000))),
        ("a phrase of two words", format!("\"{}\"", "a b ".repeat(500))),
        ("a phrase of frequent words", format!("\"{}\"", "a b a c1 d e a f ".repeat(250))),
        ("a phrase of one prefix", format!("\"{}\"", "a* ".repeat(1000))),
        ("a phrase of one pattern", format!("\"{}\"", "?* ".repeat(1000))),
        ("a phrase of one pattern, with slop", format!("\"{}\"~4000000000", "?* ".repeat(1000))),
        ("a phrase of many patterns", format!("\"{}\"", list(500, &|n| format!("?{}*", "*?".repeat(n % 7))))),
        ("a phrase of all words, twice", "\"w* z* w* z*\"~1000000".into()),
        ("words far apart", "\"a a a a a a a a\"~4294967295".into()),
        ("words far apart in reverse", format!("\"{}\"~4294967295", list(1000, &|n| format!("w{}", 1000 - n)))),
        ("many phrases", list(300, &|n| format!("\"a {}\"", "b ".repeat(n % 9 + 1)))),
        ("one word many times", "a ".repeat(4000)),
        ("many words", list(4000, &|n| format!("w{n}"))),
        ("many required words", list(2000, &|_| "+a +b +d".into())),
        ("all prefixes", list(4000, &|n| format!("w{n}*"))),
        ("one prefix in nested groups", nested(60, "w* OR z* OR")),
        ("nested exclusions", nested(60, "-w* OR -")),
        ("nested requirements", nested(60, "+a +(b OR c*) OR")),
        ("many patterns", list(1000, &|n| format!("*{}*", n % 10))),
        ("many stars", format!("{}x", "*a".repeat(2000))),
        ("many question marks", "?".repeat(3000) + "*"),
        ("fuzzy words", list(1000, &|n| format!("w{n}5~2"))),
        ("a long fuzzy word", "w".repeat(100_000) + "~2"),
        ("a query of 100 KB", list(17_000, &|n| format!("w{n}"))),
        ("a word of 100 KB", "w".repeat(100_000)),
        ("exclusions of everything", list(500, &|_| "-* -a -b -?*".into())),
        ("exclusions of patterns", format!("* {}", list(500, &|n| format!("-*{n}*")))),
        ("ranges over everything", list(800, &|n| format!("size:>={} OR n:>={}", n % 3, n % 5))),
        ("ranges of nothing", list(800, &|n| format!("created:>2024-01-01 n:<-{n}"))),
        ("tags by pattern", list(800, &|n| format!("tag:*{}*", n % 30))),
        ("types by pattern", list(800, &|n| format!("type:*{n}* type:text/*"))),
        ("attributes that do not exist", list(800, &|n| format!("x{n}:a*"))),
        ("presence", list(800, &|_| "title:* tag:* type:* n:* text:*".into())),
        ("distinct attributes of one field", list(500, &|n| format!("n:{n}~ n:\"{n} 5\"~3"))),
    ]
}
