//! The queries, by class, in a form that is translated for each engine.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use cim_ipld_index::Analyzer;

/// One query. Its words have already been analyzed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// One word.
    Term(String),
    /// Every word.
    All(Vec<String>),
    /// At least one of the words.
    Any(Vec<String>),
    /// The words in this order, next to each other.
    Phrase(Vec<String>),
    /// Words with this prefix.
    Prefix(String),
    /// Words one insertion, deletion or replacement away.
    Fuzzy(String),
    /// The question, restricted to documents with the tag.
    Tagged(String, Box<Question>),
}

/// The questions of one kind.
#[derive(Debug, Clone)]
pub struct Class {
    /// The name in reports and for `--only`.
    pub name: String,
    /// The goal: the maximum of our time as a fraction of Tantivy's.
    pub goal: Option<f64>,
    /// The questions.
    pub questions: Vec<Question>,
}

/// Lists of words by the name of their set, as in a query file.
pub type Sets = BTreeMap<String, Vec<Vec<String>>>;

type Make = fn(&[String]) -> Question;

/// The name, set and goal of each class, and the function that turns a list of words into a
/// question.
const CLASSES: &[(&str, &str, Option<f64>, Make)] = &[
    ("term_rare", "term_rare", Some(0.5), |words| Question::Term(words[0].clone())),
    ("term_mid", "term_mid", Some(0.5), |words| Question::Term(words[0].clone())),
    ("term_hi", "term_hi", Some(0.5), |words| Question::Term(words[0].clone())),
    ("or_pair", "pair", Some(0.5), |words| Question::Any(words.to_vec())),
    ("or_triple", "triple", Some(0.5), |words| Question::Any(words.to_vec())),
    ("or_five", "five", Some(0.5), |words| Question::Any(words.to_vec())),
    ("or_five_mixed", "five_mixed", Some(0.5), |words| Question::Any(words.to_vec())),
    ("or_pair_hi", "pair_hi", Some(0.5), |words| Question::Any(words.to_vec())),
    ("and_pair", "pair", Some(0.6), |words| Question::All(words.to_vec())),
    ("and_triple", "triple", Some(0.6), |words| Question::All(words.to_vec())),
    ("and_five", "five", Some(0.6), |words| Question::All(words.to_vec())),
    ("and_five_mixed", "five_mixed", Some(0.6), |words| Question::All(words.to_vec())),
    ("and_pair_hi", "pair_hi", Some(0.8), |words| Question::All(words.to_vec())),
    ("phrase2", "phrase2", Some(0.7), |words| Question::Phrase(words.to_vec())),
    ("phrase3", "phrase3", Some(0.7), |words| Question::Phrase(words.to_vec())),
    ("tag_or", "tag_pair", Some(0.4), |words| tagged(&words[0], Question::Any(words[1..].to_vec()))),
    ("tag_and", "tag_pair", Some(0.4), |words| tagged(&words[0], Question::All(words[1..].to_vec()))),
    ("section_or", "section_pair", Some(0.4), |words| section(&words[0], Question::Any(words[1..].to_vec()))),
    ("section_and", "section_pair", Some(0.4), |words| section(&words[0], Question::All(words[1..].to_vec()))),
    ("prefix", "prefix", Some(0.3), |words| Question::Prefix(words[0].clone())),
    ("fuzzy1", "fuzzy1", None, |words| Question::Fuzzy(words[0].clone())),
];

/// Reads a query file.
///
/// # Errors
///
/// If it cannot be read or parsed.
pub fn read(path: &Path) -> Result<Sets> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// Returns the classes whose names start with one of `only`, or all classes if that is empty, with
/// at most `most` questions each.
///
/// Lists with a word that the analyzer changes or splits are skipped, because the engines could not
/// search for it as one word.
pub fn classes(sets: &Sets, only: &[String], most: usize) -> Vec<Class> {
    let analyzer = Analyzer::default();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|prefix| name.starts_with(prefix.as_str()));
    let classes = CLASSES.iter().filter(|(name, ..)| wanted(name));
    let classes = classes.map(|(name, set, goal, make)| {
        let lists = sets.get(*set).map_or(&[][..], Vec::as_slice);
        // In the lists of the tag and section classes, the first entry is the tag or section.
        let first_word = usize::from(name.starts_with("tag") || name.starts_with("section"));
        let plain = |list: &&Vec<String>| {
            list.len() > first_word && list[first_word..].iter().all(|word| analyzer.words(word) == [word.as_str()])
        };
        let questions = lists.iter().filter(plain).take(most).map(|list| make(list)).collect();
        Class { name: (*name).to_owned(), goal: *goal, questions }
    });
    classes.filter(|class| !class.questions.is_empty()).collect()
}

fn tagged(tag: &str, question: Question) -> Question {
    Question::Tagged(tag.to_owned(), Box::new(question))
}

fn section(name: &str, question: Question) -> Question {
    tagged(&format!("section::{name}"), question)
}
