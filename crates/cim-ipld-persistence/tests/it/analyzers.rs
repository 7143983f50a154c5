//! An index splits texts and queries with the analyzer with which it was created, in every process
//! and after every kind of maintenance.

use std::sync::Arc;

use cim_ipld_backend::Backend;
use cim_ipld_index::{Analyze, Analyzer, AnalyzerSpec, Document, Language, Token, UnicodeWords};
use cim_ipld_persistence::{Engine, EngineBuilder, ErrorKind, Protection};

use crate::support::{Store, by_hand, cid, cids, encrypted, key, memory};

/// An analyzer that splits texts at semicolons.
#[derive(Debug)]
struct Semicolons(&'static str);

impl Analyze for Semicolons {
    fn identity(&self) -> &str {
        self.0
    }

    fn analyze(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32 {
        let (mut position, mut start) = (0, 0);
        for word in text.split(';') {
            each(Token { word, position, start, end: start + word.len() });
            (position, start) = (position + 1, start + word.len() + 1);
        }
        position
    }
}

fn languages(codes: &str) -> Analyzer {
    Analyzer::from_spec(&codes.parse().expect("languages")).expect("ours")
}

fn builder(backend: &Arc<dyn Backend>) -> EngineBuilder {
    Engine::builder(Arc::clone(backend)).settings(by_hand())
}

fn text(number: u32, text: &str) -> Document {
    Document::new(cid(number)).with_text(text)
}

/// Returns the numbers of the documents that a query finds.
async fn found(engine: &Engine, query: &str) -> Vec<u32> {
    let cids = cids(engine, query).await;
    (0..40).filter(|number| cids.contains(&cid(*number))).collect()
}

/// Queries and the documents that they find with the analyzer `en,de`, but not with the default
/// analyzer.
const STEMMED: &[(&str, &[u32])] = &[
    ("whale", &[0, 2, 4]),
    ("singing", &[0, 3]),
    ("\"whale sings\"", &[0]),
    ("haus", &[1]),
    ("Häusern", &[1]),
    ("installa*", &[2]),
    ("wales~1", &[0, 4]),
];

#[tokio::test]
async fn all_processes_use_the_analyzer_of_the_index() {
    for (name, store) in Store::all().await {
        let backend = store.connect().await;
        let writer = builder(&backend).analyzer(languages("en,de")).create(encrypted()).await.expect("created");
        let elsewhere = if name == "embedded" { Arc::clone(&backend) } else { store.connect().await };
        let reader = builder(&elsewhere).open(Some(key(1))).await.expect("opened");
        assert_eq!(reader.stats().await.expect("counted").analyzer, "en,de".parse().expect("languages"), "{name}");
        let round = async |what: &str, expected: &[(&str, &[u32])]| {
            let last = writer.index(&[]).await.expect("nothing");
            reader.wait_for(last).await.expect("followed");
            for (query, documents) in expected {
                for engine in [&writer, &reader] {
                    assert_eq!(found(engine, query).await, *documents, "{name}, {what}: {query}");
                }
            }
            assert!(reader.verify().await.expect("verified").is_sound(), "{name}, {what}");
        };
        writer.index(&[text(0, "Whales singing"), text(1, "Häuser")]).await.expect("indexed");
        writer.fold().await.expect("folded");
        writer.index(&[text(2, "A whale's installation"), text(3, "sings")]).await.expect("indexed");
        let last = reader.index(&[text(4, "whales")]).await.expect("indexed");
        writer.wait_for(last).await.expect("followed");
        round("one segment and a tail", STEMMED).await;
        for number in 10..14 {
            let last = writer.index(&[text(number, "filler")]).await.expect("indexed");
            reader.wait_for(last).await.expect("followed");
            reader.fold().await.expect("folded");
        }
        reader.merge().await.expect("merged");
        round("folded and merged", STEMMED).await;
        reader.close().await;
        writer.close().await;
        drop((backend, elsewhere));

        let backend = store.connect().await;
        let again = builder(&backend).open(Some(key(1))).await.expect("opened");
        for (query, documents) in STEMMED {
            assert_eq!(found(&again, query).await, *documents, "{name}, opened again: {query}");
        }
        assert!(again.verify().await.expect("verified").is_sound(), "{name}");
    }
}

/// The analyzer at creation, the analyzer at opening, and the two names in the error, if any.
type Case = (Option<Analyzer>, Option<Analyzer>, Option<[&'static str; 2]>);

#[tokio::test]
async fn a_different_analyzer_is_refused_and_both_are_named() {
    let tokenizer = || Analyzer::new(Semicolons("example.org semicolons/1"));
    let without = UnicodeWords::default().stem(Language::English).leave_out(Language::English);
    let cases: &[Case] = &[
        (None, None, None),
        (None, Some(Analyzer::default()), None),
        (Some(languages("en,de")), Some(languages("en,de")), None),
        (Some(languages("en,de")), None, None),
        (Some(tokenizer()), Some(tokenizer()), None),
        (None, Some(languages("fr")), Some(["any language", "fr"])),
        (Some(languages("en")), Some(Analyzer::default()), Some(["`en`", "any language"])),
        (Some(languages("en")), Some(without.clone().into()), Some(["`en`", "without stop words"])),
        (Some(languages("en")), Some(tokenizer()), Some(["`en`", "example.org semicolons/1"])),
        (Some(tokenizer()), None, Some(["example.org semicolons/1", "must be provided"])),
        (
            Some(tokenizer()),
            Some(Analyzer::new(Semicolons("example.org semicolons/2"))),
            Some(["example.org semicolons/1", "example.org semicolons/2"]),
        ),
    ];
    for (made, given, refused) in cases {
        let backend = memory();
        let with = |analyzer: &Option<Analyzer>| match analyzer {
            Some(analyzer) => builder(&backend).analyzer(analyzer.clone()),
            None => builder(&backend),
        };
        with(made).create(Protection::Plaintext).await.expect("created").close().await;
        for opened in [with(given).open(None).await, with(given).open_or_create(None, None).await] {
            match refused {
                None => {
                    let engine = opened.expect("the same analyzer");
                    assert_eq!(*engine.analyzer(), made.clone().unwrap_or_default());
                }
                Some(names) => {
                    let error = opened.expect_err("a different analyzer");
                    assert_eq!(error.kind(), ErrorKind::Incompatible);
                    assert!(names.iter().all(|name| error.to_string().contains(name)), "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_tokenizer_of_the_application_splits_documents_and_queries() {
    let backend = memory();
    let tokenizer = || Analyzer::new(Semicolons("example.org semicolons/1"));
    let engine = builder(&backend).analyzer(tokenizer()).create(encrypted()).await.expect("created");
    engine.index(&[text(0, "white whale;ship"), text(1, "white;whale")]).await.expect("indexed");
    for what in ["memtable", "segment"] {
        assert_eq!(found(&engine, "\"white whale\"").await, [0], "{what}");
        assert_eq!(found(&engine, "\"white;whale\"").await, [1], "{what}");
        engine.fold().await.expect("folded");
    }
    assert!(engine.verify().await.expect("verified").is_sound());
    engine.close().await;
    let engine = builder(&backend).analyzer(tokenizer()).open(Some(key(1))).await.expect("opened");
    assert_eq!(found(&engine, "ship").await, [0]);
}

#[tokio::test]
async fn an_analyzer_that_cannot_be_stored_creates_no_index() {
    let backend = memory();
    let long: &'static str = Box::leak("x".repeat(2000).into_boxed_str());
    let words = UnicodeWords::default().leave_out_words((0..20_000).map(|number| format!("word{number}")));
    for analyzer in [Analyzer::new(Semicolons(long)), words.into()] {
        let error = builder(&backend).analyzer(analyzer).create(encrypted()).await.expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let engine = builder(&backend).create(encrypted()).await.expect("nothing is there yet");
    assert_eq!(engine.stats().await.expect("counted").analyzer, AnalyzerSpec::default());
}
