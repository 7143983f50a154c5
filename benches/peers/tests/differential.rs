//! Compares the index core with Tantivy on a generated corpus, for every kind of query.

use cim_ipld_index::{Document, MAX_RESULT_WINDOW};
use peers::corpus::Corpus;
use peers::differential::Differential;
use peers::ours::{self, Ours};
use peers::queries::{self, Class, Question};
use peers::tantivy_peer::{Tantivy, Words};
use peers::{draw, tokens};
use tantivy::store::Compressor;
use tantivy::tokenizer::{TokenStream, Tokenizer};

const DOCUMENTS: usize = 3_000;
const QUERIES: usize = 40;

fn corpus() -> (Vec<Document>, Vec<Class>) {
    let documents = Corpus::synthetic(DOCUMENTS, 7).documents;
    let classes = queries::classes(&draw::sets(&documents, QUERIES, 7), &[], QUERIES);
    (documents, classes)
}

fn tantivy(documents: &[Document]) -> Tantivy {
    Tantivy::build(documents, Compressor::None, Words::Core).expect("Tantivy accepts the documents")
}

#[test]
fn every_question_has_the_hits_of_tantivy_wherever_the_documents_are() {
    let (documents, classes) = corpus();
    assert_eq!(classes.len(), 21, "a class has no questions");
    let tantivy = tantivy(&documents);
    let memtable = ours::fill(&documents).expect("the documents are valid");
    let (a, b) = (documents.len() / 5, documents.len() / 2);
    let places = [
        ("one segment", Ours::sealed(&memtable)),
        ("one memtable", Ours::of_memtable(&memtable)),
        ("two segments and a memtable", Ours::in_parts(&[&documents[..a], &documents[a..b], &documents[b..]])),
    ];
    let differential = Differential::new(&documents, &tantivy, MAX_RESULT_WINDOW);
    let mut compared = 0;
    for (place, ours) in places {
        let ours = ours.expect("the documents are valid");
        for class in &classes {
            for question in &class.questions {
                let difference = differential.compare(&ours, question).expect("both answer");
                assert_eq!(difference, None, "{place}, {}: {question:?}", class.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 3 * 15 * QUERIES, "only {compared} questions were compared");
}

#[test]
fn the_peer_that_is_timed_gives_the_hits_that_are_compared() {
    let (documents, classes) = corpus();
    let tantivy = tantivy(&documents);
    let differential = Differential::new(&documents, &tantivy, MAX_RESULT_WINDOW);
    for question in classes.iter().flat_map(|class| &class.questions) {
        assert!(differential.peer_is_consistent(question).expect("Tantivy answers"), "{question:?}");
    }
}

#[test]
fn the_questions_have_hits() {
    let (documents, classes) = corpus();
    let tantivy = tantivy(&documents);
    for class in &classes {
        let has_hits =
            |question: &&Question| !tantivy.top(&*tantivy.query(question)).expect("Tantivy answers").is_empty();
        let with_hits = class.questions.iter().filter(has_hits).count();
        assert!(2 * with_hits >= class.questions.len(), "{}: {with_hits} of {}", class.name, class.questions.len());
    }
}

/// The comparison must be able to find differences.
#[test]
fn a_difference_is_seen() {
    let (documents, classes) = corpus();
    let tantivy = tantivy(&documents);
    let differential = Differential::new(&documents, &tantivy, MAX_RESULT_WINDOW);
    let mut shorter = documents.clone();
    shorter.truncate(documents.len() - 1);
    let mut reworded = documents;
    for document in reworded.iter_mut().step_by(2) {
        let text = document.text.take().unwrap_or_default();
        document.text = Some(format!("{text} {text}"));
    }
    for (what, documents) in [("a document is missing", shorter), ("words are doubled", reworded)] {
        let ours = Ours::sealed(&ours::fill(&documents).expect("valid")).expect("valid");
        let questions =
            classes.iter().filter(|class| class.name.starts_with("term_hi")).flat_map(|class| &class.questions);
        let differences =
            questions.filter(|question| differential.compare(&ours, question).expect("both answer").is_some());
        assert!(differences.count() > 20, "{what}, but no difference was found");
    }
}

#[test]
fn parts_of_a_document_are_too_far_apart_for_a_phrase() {
    let document =
        Document::new(cim_ipld_benches::cid_of(b"1")).with_text("one two").with_title("three").with_author("four");
    let combined = tokens::combined(&document);
    let mut tokenizer = tokens::CoreTokenizer::default();
    let mut stream = tokenizer.token_stream(&combined);
    let mut places = Vec::new();
    stream.process(&mut |token| places.push((token.text.clone(), token.position)));
    let expected = [("one", 0), ("two", 1), ("three", 34), ("four", 67)];
    assert_eq!(places, expected.map(|(word, position)| (word.to_owned(), position)));
}
