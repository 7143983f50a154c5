//! The analyzer of the index core as a tokenizer for Tantivy, so that both index the same words at
//! the same positions.

use cim_ipld_index::{Analyze, Document, UnicodeWords};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Separates the parts of a combined text. The analyzer never treats it as part of a word.
const SEPARATOR: char = '\u{0}';

/// The positions that the index core leaves free between two parts of its combined field.
const FIELD_GAP: usize = 32;

/// Returns text, title and author as one value, in the order of the combined field of the index
/// core.
pub fn combined(document: &Document) -> String {
    let mut combined = String::new();
    for part in [&document.text, &document.title, &document.author].into_iter().flatten() {
        if !combined.is_empty() {
            combined.push(SEPARATOR);
        }
        combined.push_str(part);
    }
    combined
}

/// Tokenizes a combined or a plain text like the index core.
#[derive(Debug, Clone, Default)]
pub struct CoreTokenizer {
    words: UnicodeWords,
    cut: Cut,
}

/// The words of one text, all in one string to avoid an allocation per word.
#[derive(Debug, Clone, Default)]
struct Cut {
    text: String,
    /// The end of each word in `text`, and its position.
    ends: Vec<(usize, usize)>,
}

/// Iterates over the words of one text.
#[derive(Debug)]
pub struct CoreTokens<'a> {
    cut: &'a Cut,
    next: usize,
    token: Token,
}

impl Tokenizer for CoreTokenizer {
    type TokenStream<'a> = CoreTokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> CoreTokens<'a> {
        let Self { words, cut } = self;
        cut.text.clear();
        cut.ends.clear();
        let mut base = 0;
        for part in text.split(SEPARATOR) {
            let positions = words.analyze(part, &mut |token| {
                cut.text.push_str(token.word);
                cut.ends.push((cut.text.len(), base + token.position as usize));
            });
            base += positions as usize + FIELD_GAP;
        }
        CoreTokens { cut, next: 0, token: Token::default() }
    }
}

impl TokenStream for CoreTokens<'_> {
    fn advance(&mut self) -> bool {
        let Some((end, position)) = self.cut.ends.get(self.next) else { return false };
        let start = self.next.checked_sub(1).map_or(0, |last| self.cut.ends[last].0);
        self.token.position = *position;
        self.token.text.clear();
        self.token.text.push_str(&self.cut.text[start..*end]);
        self.next += 1;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
