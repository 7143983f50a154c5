//! Analysis: from text to the words that are indexed.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// The longest word that is indexed, in bytes after folding; longer ones take a position but cannot be found.
pub const MAX_WORD_BYTES: usize = 255;

/// Cuts text into words by the rules of Unicode (UAX #29) and folds case and accents.
///
/// The same analyzer must be used for indexing and for searching; each segment records its [`identity`](Self::identity).
///
/// * Case: Unicode lower case, with `ß` as `ss` and `ς` as `σ`.
/// * Accents: compatibility decomposition (NFKD) without the marks U+0300 to U+036F, recomposed: `Café` is `cafe`.
/// * A word longer than [`MAX_WORD_BYTES`] is skipped, its position is not.
///
/// ```
/// use cim_ipld_index::Analyzer;
///
/// let words = Analyzer::default().words("The Café's 2nd-best CRÈME");
/// assert_eq!(words, ["the", "cafe's", "2nd", "best", "creme"]);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Analyzer {
    _private: (),
}

/// One word of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// The folded word.
    pub(crate) word: &'a str,
    /// The number of words before it.
    pub(crate) position: u32,
    /// Where it starts in the text, in bytes.
    pub(crate) start: usize,
    /// Where it ends in the text, in bytes.
    pub(crate) end: usize,
}

/// Buffers that an analysis reuses.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    folded: String,
}

impl Analyzer {
    /// Returns the name under which segments record this analyzer; equal names mean equal words.
    pub fn identity(&self) -> &str {
        "unicode-words/1 nfkd-accents lowercase"
    }

    /// Returns the words of `text` as they are indexed.
    pub fn words(&self, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        self.analyze(text, &mut Scratch::default(), |token| words.push(token.word.to_owned()));
        words
    }

    /// Calls `each` for every word that is indexed and returns the number of positions the text takes.
    pub(crate) fn analyze(&self, text: &str, scratch: &mut Scratch, mut each: impl FnMut(Token<'_>)) -> u32 {
        let bytes = text.as_bytes();
        let mut position = 0;
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at].is_ascii_whitespace() {
                at += 1;
                continue;
            }
            let len = bytes[at..].iter().position(u8::is_ascii_whitespace).unwrap_or(bytes.len() - at);
            let chunk = &text[at..at + len];
            if chunk.is_ascii() {
                position = ascii_words(chunk, at, position, &mut scratch.folded, &mut each);
            } else {
                position = unicode_words(chunk, at, position, &mut scratch.folded, &mut each);
            }
            at += len;
        }
        position
    }
}

impl fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Analyzer({})", self.identity())
    }
}

/// The words of an ASCII text by the rules WB5 to WB13 of UAX #29.
fn ascii_words(
    text: &str,
    offset: usize,
    mut position: u32,
    folded: &mut String,
    each: &mut impl FnMut(Token<'_>),
) -> u32 {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let mut has_alphanumeric = false;
        while at < bytes.len() && continues_word(bytes, start, at) {
            has_alphanumeric |= bytes[at].is_ascii_alphanumeric();
            at += 1;
        }
        if has_alphanumeric {
            if at - start <= MAX_WORD_BYTES {
                folded.clear();
                folded.push_str(&text[start..at]);
                folded.make_ascii_lowercase();
                each(Token { word: folded, position, start: offset + start, end: offset + at });
            }
            position += 1;
        }
        at = at.max(start + 1);
    }
    position
}

fn continues_word(bytes: &[u8], start: usize, at: usize) -> bool {
    let byte = bytes[at];
    if byte.is_ascii_alphanumeric() || byte == b'_' {
        return true;
    }
    if at == start || at + 1 == bytes.len() {
        return false;
    }
    let (before, after) = (bytes[at - 1], bytes[at + 1]);
    match byte {
        b'\'' | b'.' if before.is_ascii_alphabetic() && after.is_ascii_alphabetic() => true,
        b':' => before.is_ascii_alphabetic() && after.is_ascii_alphabetic(),
        b'\'' | b'.' | b',' | b';' => before.is_ascii_digit() && after.is_ascii_digit(),
        _ => false,
    }
}

fn unicode_words(
    text: &str,
    offset: usize,
    mut position: u32,
    folded: &mut String,
    each: &mut impl FnMut(Token<'_>),
) -> u32 {
    for (start, word) in text.unicode_word_indices() {
        fold(word, folded);
        if folded.len() <= MAX_WORD_BYTES && !folded.is_empty() {
            each(Token { word: folded, position, start: offset + start, end: offset + start + word.len() });
        }
        position += 1;
    }
    position
}

/// Writes `text` to `out` without case and accents.
pub(crate) fn fold(text: &str, out: &mut String) {
    out.clear();
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
        return;
    }
    let without_marks = text.nfkd().filter(|c| !('\u{300}'..='\u{36f}').contains(c));
    for c in without_marks.nfc().flat_map(char::to_lowercase) {
        match c {
            'ß' => out.push_str("ss"),
            'ς' => out.push('σ'),
            // The lower case of U+0130 carries a mark of its own.
            '\u{300}'..='\u{36f}' => {}
            _ => out.push(c),
        }
    }
}

/// Returns a tag or content type as it is compared: without regard to case, accents kept.
pub(crate) fn fold_keyword(keyword: &str) -> String {
    keyword.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_cut_and_folded() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  --  ", &[]),
            ("Hello, World!", &["hello", "world"]),
            ("foo_bar baz-qux", &["foo_bar", "baz", "qux"]),
            ("can't 3.14 a.b 1,000;2", &["can't", "3.14", "a.b", "1,000;2"]),
            ("__ _a_", &["_a_"]),
            ("Straße ΣΊΣΥΦΟΣ İstanbul", &["strasse", "σισυφοσ", "istanbul"]),
            ("Ångström naïve ﬁne", &["angstrom", "naive", "fine"]),
            ("한국어", &["한국어"]),
        ];
        for (text, words) in cases {
            assert_eq!(Analyzer::default().words(text), *words, "{text:?}");
        }
    }

    #[test]
    fn a_word_that_is_too_long_takes_a_position_but_is_not_indexed() {
        let text = format!("a {} b", "x".repeat(MAX_WORD_BYTES + 1));
        let mut seen = Vec::new();
        let positions = Analyzer::default().analyze(&text, &mut Scratch::default(), |token| {
            seen.push((token.word.to_owned(), token.position));
        });
        assert_eq!(seen, [("a".to_owned(), 0), ("b".to_owned(), 2)]);
        assert_eq!(positions, 3);
    }

    proptest! {
        #[test]
        fn the_ascii_path_cuts_as_the_unicode_path_does(text in "[ -~]{0,60}") {
            let expected: Vec<String> =
                text.unicode_words().map(|word| word.to_ascii_lowercase()).collect();
            prop_assert_eq!(Analyzer::default().words(&text), expected);
        }

        #[test]
        fn tokens_name_their_place(text in "\\PC{0,60}") {
            Analyzer::default().analyze(&text, &mut Scratch::default(), |token| {
                let mut folded = String::new();
                fold(&text[token.start..token.end], &mut folded);
                assert_eq!(folded, token.word);
            });
        }
    }
}
