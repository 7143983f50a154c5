//! Splits a text into words by the rules of Unicode.

use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use super::bigrams::{self, Unit};
use super::emit::{Buffers, Emit};
use super::fold::{Folded, ZWJ, fold_keyword, is_emoji};
use super::spec::Cjk;
use super::unicode::UnicodeWords;
use super::{Analyze, Form, Mode, Token};

/// Buffers reused between analyses.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    source: Folded,
    buffers: Buffers,
    run: Vec<Unit>,
}

impl UnicodeWords {
    /// Calls `each` for every token and returns the number of positions.
    #[inline]
    pub(super) fn visit(
        &self,
        text: &str,
        mode: Mode,
        scratch: &mut Scratch,
        mut each: impl FnMut(Form, Token<'_>),
    ) -> u32 {
        let Scratch { source, buffers, run } = scratch;
        if text.is_ascii() {
            let place = |start, end| (start, end);
            let mut emit = Emit::new(self, mode, (text, text, place), 0, buffers, each);
            ascii_words(&mut emit);
            return emit.position;
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
                let place = |start, end| (at + start, at + end);
                let mut emit = Emit::new(self, mode, (text, chunk, place), position, buffers, &mut each);
                ascii_words(&mut emit);
                position = emit.position;
            } else {
                source.fold(chunk, at);
                let source = &*source;
                let place = |start, end| source.origin(start, end);
                let mut emit = Emit::new(self, mode, (text, &source.text, place), position, buffers, &mut each);
                unicode_words(&mut emit, run);
                position = emit.position;
            }
            at += len;
        }
        position
    }
}

impl Analyze for UnicodeWords {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn analyze(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32 {
        self.visit(text, Mode::Index, &mut Scratch::default(), |form, token| {
            if form == Form::Word {
                each(token);
            }
        })
    }

    fn analyze_query(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) -> u32 {
        self.visit(text, Mode::Query, &mut Scratch::default(), |form, token| {
            if form == Form::Word {
                each(token);
            }
        })
    }
}

const WORD: u8 = 1;
/// A byte that case folding changes.
const UPPER: u8 = 2;

/// The class of every ASCII byte.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        classes[byte] = match c {
            _ if c.is_ascii_uppercase() => WORD | UPPER,
            _ if c.is_ascii_alphanumeric() => WORD,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// Tokenizes an ASCII text.
#[inline]
fn ascii_words<P, E>(emit: &mut Emit<'_, P, E>)
where
    P: Fn(usize, usize) -> (usize, usize),
    E: FnMut(Form, Token<'_>),
{
    let bytes = emit.text.as_bytes();
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
            if class & WORD == 0 {
                break;
            }
            seen |= class;
            at += 1;
        }
        emit.word(start, at, seen & UPPER == 0);
    }
}

/// Tokenizes a folded text.
fn unicode_words<P, E>(emit: &mut Emit<'_, P, E>, run: &mut Vec<Unit>)
where
    P: Fn(usize, usize) -> (usize, usize),
    E: FnMut(Form, Token<'_>),
{
    run.clear();
    for (at, segment) in emit.text.split_word_bound_indices() {
        for (from, piece, is_cjk) in bigrams::pieces(segment) {
            let start = at + from;
            if is_cjk {
                if run.last().is_some_and(|last| last.end != start) {
                    cjk_words(emit, run);
                }
                bigrams::push_units(piece, start, run);
                continue;
            }
            cjk_words(emit, run);
            if piece.contains(char::is_alphanumeric) {
                parts(piece, |from, to| emit.word(start + from, start + to, false));
            } else if piece.starts_with(is_emoji) {
                emit.other(start, start + piece.len());
                emit.position += 1;
            }
        }
    }
    cjk_words(emit, run);
}

/// Calls `each` with the parts of a segment between punctuation.
fn parts(segment: &str, mut each: impl FnMut(usize, usize)) {
    let (mut start, mut end, mut has_word) = (0, 0, false);
    let mut chars = segment.char_indices().peekable();
    let mut before = '\0';
    while let Some((at, c)) = chars.next() {
        let is_word = c.is_alphanumeric();
        let next = chars.peek().map(|(_, next)| *next);
        if is_word || is_combining_mark(c) || c == ZWJ || is_hebrew_mark(c, before, next) {
            if end == 0 || end < at {
                start = at;
            }
            (end, has_word) = (at + c.len_utf8(), has_word || is_word);
        } else {
            if has_word {
                each(start, end);
            }
            has_word = false;
        }
        before = c;
    }
    if has_word {
        each(start, end);
    }
}

/// Returns whether a character is a quote, an apostrophe, gershayim or geresh between two Hebrew
/// letters. It is then part of the word, as in an acronym or after a letter that stands for a
/// foreign sound.
fn is_hebrew_mark(c: char, before: char, next: Option<char>) -> bool {
    let is_hebrew = |c: char| matches!(c, '\u{5d0}'..='\u{5ea}');
    matches!(c, '"' | '\u{5f4}' | '\'' | '\u{5f3}') && is_hebrew(before) && next.is_some_and(is_hebrew)
}

/// Emits the bigrams of a run of Chinese, Japanese or Korean characters and clears the run.
fn cjk_words<P, E>(emit: &mut Emit<'_, P, E>, run: &mut Vec<Unit>)
where
    P: Fn(usize, usize) -> (usize, usize),
    E: FnMut(Form, Token<'_>),
{
    let has_unigrams = emit.words.spec().cjk == Cjk::BigramsAndUnigrams;
    for (index, unit) in run.iter().enumerate() {
        let next = run.get(index + 1);
        if let Some(next) = next {
            emit.other(unit.start, next.end);
        }
        let is_single = run.len() == 1;
        if is_single || has_unigrams && emit.mode == Mode::Index {
            emit.other(unit.start, unit.end);
        }
        emit.position += u32::from(next.is_some() || is_single || has_unigrams);
    }
    run.clear();
}

/// Returns a text without case and accents, or `None` if it has no word character.
pub(super) fn fold_one(text: &str) -> Option<String> {
    let folded = fold_keyword(text).into_owned();
    let folded = folded.trim_matches(|c: char| !c.is_alphanumeric());
    (!folded.is_empty()).then(|| folded.to_owned())
}
