use anyhow::{Result, ensure};
use cim_ipld::SearchQuery;
use cim_ipld::index::Document;

/// The minimum length of a query word in bytes. Shorter words could occur in random bytes by
/// chance.
pub const SEARCHED_BYTES: usize = 8;

/// Queries derived from the input: words from the 1st, 2nd, 4th, 8th document and so on, and a tag.
#[derive(Default)]
pub struct Questions {
    words: Vec<String>,
    pairs: Vec<String>,
    tag: Option<String>,
}

impl Questions {
    /// Derives queries from a document. `number` is its place in the input, counted from 1.
    pub fn consider(&mut self, document: &Document, number: u64) {
        if self.tag.is_none() {
            self.tag = document.tags.last().cloned();
        }
        if !number.is_power_of_two() {
            return;
        }
        let is_plain = |word: &&str| word.len() >= SEARCHED_BYTES && word.chars().all(char::is_lowercase);
        let mut words: Vec<&str> =
            document.text.as_deref().unwrap_or_default().split_whitespace().filter(is_plain).collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        words.dedup();
        if let [first, second, ..] = words[..] {
            self.words.push(first.to_owned());
            self.pairs.push(format!("{first} AND {second}"));
        }
    }

    /// Returns the queries.
    ///
    /// # Errors
    /// If no document had a suitable word.
    pub fn into_queries(self) -> Result<Vec<SearchQuery>> {
        ensure!(!self.words.is_empty(), "the input has no words to ask for");
        let texts = std::iter::once(self.words.join(" ")).chain(self.pairs);
        let texts = texts.map(|text| SearchQuery { text: Some(text), ..SearchQuery::default() });
        let tag = self.tag.map(|tag| SearchQuery { tags: vec![tag], ..SearchQuery::default() });
        Ok(texts.chain(tag).collect())
    }
}
