//! Words by the rules of Unicode.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::bigrams::{self, Unit};
use super::language::{Language, Stemmer};
use super::{Analyze, MAX_WORD_BYTES, Token};

/// Cuts text into words by the rules of Unicode (UAX #29) and folds case and accents.
///
/// * Case: Unicode lower case, with `ß` as `ss` and `ς` as `σ`.
/// * Accents: compatibility decomposition (NFKD) without the marks U+0300 to U+036F, recomposed: `Café` is `cafe`.
/// * Chinese, Japanese and Korean: two neighbouring characters each (bigrams), as Lucene's `CJKAnalyzer` has it, so that
///   `東京都` is `東京` and `京都`; a character is found by itself only where it stands by itself.
/// * A word longer than [`MAX_WORD_BYTES`] is skipped, its position is not.
/// * By choice, words are reduced to their stems and frequent ones left out, by the rules of one language.
///
/// ```
/// use cim_ipld_index::{Analyzer, Language, UnicodeWords};
///
/// let german = Analyzer::from(UnicodeWords::default().stem(Language::German));
/// assert_eq!(german.words("Häuser in 東京都"), ["haus", "in", "東京", "京都"]);
/// ```
#[derive(Debug, Clone)]
pub struct UnicodeWords {
    stemmer: Option<Stemmer>,
    left_out: Vec<String>,
    identity: String,
}

/// Buffers that an analysis reuses.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    folded: String,
    lower: String,
    run: Vec<Unit>,
}

impl Default for UnicodeWords {
    fn default() -> Self {
        let identity = "unicode-words/2 nfkd-accents lowercase cjk-bigrams".to_owned();
        Self { stemmer: None, left_out: Vec::new(), identity }
    }
}

impl UnicodeWords {
    /// Reduces words to their stems by the rules of a language, before accents are folded.
    #[must_use]
    pub fn stem(mut self, language: Language) -> Self {
        self.stemmer = Some(Stemmer::new(language));
        self.named()
    }

    /// Leaves out the most frequent words of a language; they keep their positions.
    #[must_use]
    pub fn leave_out(self, language: Language) -> Self {
        self.leave_out_words(language.frequent_words().split_whitespace())
    }

    /// Leaves out these words, compared in lower case with their accents; they keep their positions.
    #[must_use]
    pub fn leave_out_words<W: AsRef<str>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.left_out.extend(words.into_iter().map(|word| word.as_ref().to_lowercase()));
        self.left_out.sort_unstable();
        self.left_out.dedup();
        self.named()
    }

    fn named(mut self) -> Self {
        self.identity = Self::default().identity;
        if let Some(stemmer) = &self.stemmer {
            self.identity.push_str(&format!(" {}", stemmer.identity()));
        }
        if !self.left_out.is_empty() {
            // FNV-1a over the words and a zero behind each.
            let bytes = self.left_out.iter().flat_map(|word| word.bytes().chain([0]));
            let hash = bytes
                .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            self.identity.push_str(&format!(" without-{hash:016x}"));
        }
        self
    }

    /// Calls `each` for every word and returns the number of positions.
    #[inline]
    pub(super) fn visit(&self, text: &str, scratch: &mut Scratch, mut each: impl FnMut(Token<'_>)) -> u32 {
        if text.is_ascii() {
            return self.ascii_words(text, 0, 0, scratch, &mut each);
        }
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
                position = self.ascii_words(chunk, at, position, scratch, &mut each);
            } else {
                position = self.unicode_words(chunk, at, position, scratch, &mut each);
            }
            at += len;
        }
        position
    }

    /// The words of an ASCII text by the rules WB5 to WB13 of UAX #29.
    #[inline]
    fn ascii_words(
        &self,
        text: &str,
        offset: usize,
        mut position: u32,
        scratch: &mut Scratch,
        each: &mut impl FnMut(Token<'_>),
    ) -> u32 {
        let bytes = text.as_bytes();
        let folded = &mut scratch.folded;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let start = at;
            at += 1;
            let mut seen = CLASSES[usize::from(*byte)];
            if seen & WORD == 0 {
                continue;
            }
            while let Some(byte) = bytes.get(at) {
                let class = CLASSES[usize::from(*byte)];
                if class & WORD == 0 && !(class == BETWEEN && joins(bytes, at)) {
                    break;
                }
                seen |= class;
                at += 1;
            }
            if seen & (LETTER | DIGIT) == 0 {
                continue;
            }
            if at - start <= MAX_WORD_BYTES {
                let (start, end) = (offset + start, offset + at);
                let word = &text[start - offset..at];
                if seen & UPPER == 0 && self.is_plain() {
                    each(Token { word, position, start, end });
                } else {
                    folded.clear();
                    folded.push_str(word);
                    folded.make_ascii_lowercase();
                    if self.is_plain() || self.reduce(folded) {
                        each(Token { word: folded, position, start, end });
                    }
                }
            }
            position += 1;
        }
        position
    }

    fn unicode_words(
        &self,
        text: &str,
        offset: usize,
        mut position: u32,
        scratch: &mut Scratch,
        each: &mut impl FnMut(Token<'_>),
    ) -> u32 {
        let Scratch { folded, lower, run } = scratch;
        run.clear();
        for (start, word) in text.unicode_word_indices() {
            if bigrams::is_cjk(word) {
                if run.last().is_some_and(|last| last.end != start) {
                    position = flush(text, offset, position, run, folded, each);
                }
                bigrams::push_units(word, start, run);
                continue;
            }
            position = flush(text, offset, position, run, folded, each);
            if self.is_plain() {
                fold(word, folded);
            } else {
                lower.clear();
                lower.extend(word.nfkc().flat_map(char::to_lowercase));
                if self.reduce(lower) { fold(lower, folded) } else { folded.clear() }
            }
            if (1..=MAX_WORD_BYTES).contains(&folded.len()) {
                each(Token { word: folded, position, start: offset + start, end: offset + start + word.len() });
            }
            position += 1;
        }
        flush(text, offset, position, run, folded, each)
    }

    /// Whether words are only folded.
    #[inline]
    fn is_plain(&self) -> bool {
        self.stemmer.is_none() && self.left_out.is_empty()
    }

    /// Reduces a word in lower case to its stem; says whether it is to be indexed.
    fn reduce(&self, word: &mut String) -> bool {
        if self.left_out.binary_search_by(|known| known.as_str().cmp(word)).is_ok() {
            return false;
        }
        if let Some(stemmer) = &self.stemmer
            && word.len() <= MAX_WORD_BYTES
        {
            stemmer.stem(word);
        }
        !word.is_empty()
    }
}

impl Analyze for UnicodeWords {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn analyze(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32 {
        self.visit(text, &mut Scratch::default(), each)
    }
}

/// Gives the bigrams of a run and empties it; returns the position behind them.
fn flush(
    text: &str,
    offset: usize,
    position: u32,
    run: &mut Vec<Unit>,
    folded: &mut String,
    each: &mut impl FnMut(Token<'_>),
) -> u32 {
    let count = bigrams::visit(run, |index, start, end| {
        fold(&text[start..end], folded);
        if (1..=MAX_WORD_BYTES).contains(&folded.len()) {
            each(Token { word: folded, position: position + index, start: offset + start, end: offset + end });
        }
    });
    run.clear();
    position + count
}

const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const UNDERSCORE: u8 = 4;
/// What stands in a word on its own account.
const WORD: u8 = LETTER | DIGIT | UNDERSCORE;
/// What stands in a word between two letters or two digits.
const BETWEEN: u8 = 8;
/// What is written otherwise once it is folded.
const UPPER: u8 = 16;

/// What each byte of an ASCII text is to a word.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        classes[byte] = match c {
            b'_' => UNDERSCORE,
            b'\'' | b'.' | b':' | b',' | b';' => BETWEEN,
            _ if c.is_ascii_uppercase() => LETTER | UPPER,
            _ if c.is_ascii_lowercase() => LETTER,
            _ if c.is_ascii_digit() => DIGIT,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// Says whether the mark at `at`, inside a word, joins what is on both sides of it to one word.
fn joins(bytes: &[u8], at: usize) -> bool {
    let Some(next) = bytes.get(at + 1) else { return false };
    let sides = CLASSES[usize::from(bytes[at - 1])] & CLASSES[usize::from(*next)];
    match bytes[at] {
        b'\'' | b'.' => sides & (LETTER | DIGIT) != 0,
        b':' => sides & LETTER != 0,
        _ => sides & DIGIT != 0,
    }
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

/// Returns a text without case and accents, if it has a character of a word.
pub(super) fn fold_one(text: &str) -> Option<String> {
    let mut folded = String::new();
    fold(text, &mut folded);
    (folded.chars().any(char::is_alphanumeric) && folded.len() <= MAX_WORD_BYTES).then_some(folded)
}

/// Returns a tag or content type as it is compared: without regard to case, accents kept.
pub(crate) fn fold_keyword(keyword: &str) -> Cow<'_, str> {
    match keyword.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        true => Cow::Borrowed(keyword),
        false => Cow::Owned(keyword.to_lowercase()),
    }
}
