//! Our analyzer as Tantivy's tokenizer, so that both index the same words at the same positions.

use cim_ipld_index::{Analyzer, Document};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Separates the parts of a combined text; our analyzer takes it for no part of a word.
const SEPARATOR: char = '\u{0}';

/// The positions that the index core leaves free between two parts of its combined field.
const FIELD_GAP: usize = 32;

/// Returns text, title and author as one value: the order of the index core's combined field.
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

/// Cuts a combined text, or a plain one, as the index core does.
#[derive(Debug, Clone, Default)]
pub struct CoreTokenizer {
    analyzer: Analyzer,
}

/// The words of one text.
#[derive(Debug)]
pub struct CoreTokens {
    /// With their positions.
    words: std::vec::IntoIter<(usize, String)>,
    token: Token,
}

impl Tokenizer for CoreTokenizer {
    type TokenStream<'a> = CoreTokens;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> CoreTokens {
        let mut words = Vec::new();
        let mut base = 0;
        for part in text.split(SEPARATOR) {
            let before = words.len();
            words.extend(self.analyzer.words(part).into_iter().enumerate().map(|(index, word)| (base + index, word)));
            base += words.len() - before + FIELD_GAP;
        }
        CoreTokens { words: words.into_iter(), token: Token::default() }
    }
}

impl TokenStream for CoreTokens {
    fn advance(&mut self) -> bool {
        let Some((position, word)) = self.words.next() else { return false };
        self.token.position = position;
        self.token.text = word;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
