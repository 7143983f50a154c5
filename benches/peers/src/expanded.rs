//! Computes the expected scores of prefix and fuzzy queries from Tantivy's dictionary, postings and
//! lengths, because Tantivy itself scores every match of such a query as 1.
//!
//! The index core treats all matching words as one word. Its frequency in a document is the sum of
//! theirs; its document frequency is also the sum of theirs, but at most the number of documents.

use std::collections::HashMap;

use anyhow::{Result, bail};
use tantivy::postings::Postings;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED};

use crate::queries::Question;
use crate::tantivy_peer::Tantivy;

const K1: f32 = 1.2;
const B: f32 = 0.75;

/// Returns every match with its expected score.
///
/// # Errors
///
/// If the question has no words to expand, or Tantivy reports an error.
pub fn scores(tantivy: &Tantivy, question: &Question) -> Result<Vec<(u32, f32)>> {
    let fits: Box<dyn Fn(&str) -> bool> = match question {
        Question::Prefix(prefix) => Box::new(|word: &str| word.starts_with(prefix.as_str())),
        Question::Fuzzy(wanted) => Box::new(|word: &str| is_within_one_edit(wanted, word)),
        other => bail!("{other:?} has no words to expand"),
    };
    let segment = tantivy.segment()?;
    let field = tantivy.fields().any;
    let inverted = segment.inverted_index(field)?;
    let lengths = segment.get_fieldnorms_reader(field)?;
    let mut frequencies: HashMap<u32, u32> = HashMap::new();
    let mut document_frequency = 0;
    let mut terms = inverted.terms().stream()?;
    while terms.advance() {
        if !fits(std::str::from_utf8(terms.key())?) {
            continue;
        }
        document_frequency += u64::from(terms.value().doc_freq);
        let mut postings = inverted.read_postings_from_terminfo(terms.value(), IndexRecordOption::WithFreqs)?;
        while postings.doc() != TERMINATED {
            *frequencies.entry(postings.doc()).or_default() += postings.term_freq();
            postings.advance();
        }
    }
    let documents = segment.num_docs() as f32;
    let df = (document_frequency as f32).min(documents);
    let idf = (1.0 + (documents - df + 0.5) / (df + 0.5)).ln();
    let average = inverted.total_num_tokens() as f32 / documents;
    let score = |document: u32, frequency: f32| {
        let length = lengths.fieldnorm(document) as f32;
        idf * (1.0 + K1) * frequency / (frequency + K1 * (1.0 - B + B * length / average))
    };
    Ok(frequencies.into_iter().map(|(document, count)| (document, score(document, count as f32))).collect())
}

/// Returns whether the words differ by at most one insertion, deletion or replacement of a
/// character.
fn is_within_one_edit(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let start = short.iter().zip(&long).take_while(|(x, y)| x == y).count();
    match long.len() - short.len() {
        0 => short[start..].len() <= 1 || short[start + 1..] == long[start + 1..],
        1 => short[start..] == long[start + 1..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_within_one_edit;

    #[test]
    fn one_edit_is_one_character() {
        let near = [("word", "word"), ("word", "ward"), ("word", "words"), ("word", "ord"), ("word", "wword")];
        let far = [("word", "wrod"), ("word", "wordss"), ("word", "or"), ("word", "wa"), ("", "ab")];
        for (a, b) in near {
            assert!(is_within_one_edit(a, b) && is_within_one_edit(b, a), "{a} {b}");
        }
        for (a, b) in far {
            assert!(!is_within_one_edit(a, b) && !is_within_one_edit(b, a), "{a} {b}");
        }
    }
}
