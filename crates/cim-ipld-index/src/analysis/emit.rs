//! From a stretch of letters and digits to tokens: stop words, stems, long words, forms with signs.

use std::ops::Range;

use super::fold::fold_word;
use super::unicode::UnicodeWords;
use super::{Form, Mode, Token};

/// A longer word is cut to so many bytes, and its digest put behind them.
const KEPT_BYTES: usize = 200;
/// What separates the two; no word has it.
const DIGEST_SIGN: char = '#';
/// The longest form of its own.
const MAX_WHOLE_BYTES: usize = 40;

/// Gives the words of one text to `each`.
pub(super) struct Emit<'a, P, E> {
    pub(super) words: &'a UnicodeWords,
    pub(super) mode: Mode,
    /// What is cut.
    pub(super) text: &'a str,
    /// Says where a range of `text` stands in the text that was given.
    pub(super) place: P,
    pub(super) position: u32,
    pub(super) buffers: &'a mut Buffers,
    pub(super) each: E,
    previous: Range<usize>,
}

/// Buffers for a word.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    folded: String,
    lower: String,
    plain: String,
}

impl<'a, P: Fn(usize, usize) -> (usize, usize), E: FnMut(Form, Token<'_>)> Emit<'a, P, E> {
    pub(super) fn new(
        words: &'a UnicodeWords,
        mode: Mode,
        (text, place): (&'a str, P),
        position: u32,
        buffers: &'a mut Buffers,
        each: E,
    ) -> Self {
        Self { words, mode, text, place, position, buffers, each, previous: 0..0 }
    }

    /// Takes letters and digits that stand between others; `is_folded` if they are ASCII in lower case.
    #[inline]
    pub(super) fn word(&mut self, start: usize, end: usize, is_folded: bool) {
        let bytes = self.text.as_bytes();
        if matches!(bytes[start] | 0x20, b'v' | b's') && self.is_special(start, end) {
            return self.special(start, end);
        }
        self.token(start, end, is_folded);
        if matches!(bytes.get(end), Some(b'+' | b'#')) || (start > 0 && bytes[start - 1] == b'.') {
            self.whole(start, end);
        }
        self.previous = start..end;
        self.position += 1;
    }

    /// Whether a word is a version or the ending of an English word.
    #[inline]
    fn is_special(&self, start: usize, end: usize) -> bool {
        let word = &self.text.as_bytes()[start..end];
        match word[0] | 0x20 {
            b'v' => is_version(word),
            _ => word.len() == 1 && self.is_possessive(start),
        }
    }

    #[cold]
    #[inline(never)]
    fn special(&mut self, start: usize, end: usize) {
        if end > start + 1 {
            for (from, to) in [(start, start + 1), (start + 1, end)] {
                self.other(from, to);
                self.position += 1;
            }
            self.previous = start..end;
        }
    }

    /// Gives a word, or what is none but is looked for as one, at the current position.
    #[inline(never)]
    pub(super) fn other(&mut self, start: usize, end: usize) {
        self.token(start, end, false);
    }

    #[inline(always)]
    fn token(&mut self, start: usize, end: usize, is_folded: bool) {
        let (word, (from, to)) = (&self.text[start..end], (self.place)(start, end));
        if !self.words.is_plain() {
            return self.reduced(word, from, to);
        }
        let position = self.position;
        let word = match is_folded && word.len() <= KEPT_BYTES {
            true => word,
            false => {
                put_folded(word, &mut self.buffers.folded);
                &self.buffers.folded
            }
        };
        if !word.is_empty() {
            (self.each)(Form::Word, Token { word, position, start: from, end: to });
        }
    }

    #[inline(never)]
    fn reduced(&mut self, word: &str, start: usize, end: usize) {
        let Buffers { folded, lower, plain } = &mut *self.buffers;
        lower.clear();
        lower.push_str(word);
        lower.make_ascii_lowercase();
        if self.words.leaves_out(lower) {
            return;
        }
        let position = self.position;
        put_folded(lower, folded);
        if folded.is_empty() {
            return;
        }
        plain.clear();
        if self.words.has_stems() {
            (self.each)(Form::Unstemmed, Token { word: folded, position, start, end });
            if lower.len() <= KEPT_BYTES {
                if self.mode == Mode::Index && folded != lower {
                    plain.push_str(folded);
                    self.words.stem_word(plain);
                }
                self.words.stem_word(lower);
                if !lower.is_empty() {
                    put_folded(lower, folded);
                }
            }
        }
        (self.each)(Form::Word, Token { word: folded, position, start, end });
        // Who types no accents asks for the stem of the word without them.
        if !plain.is_empty() && plain != folded {
            (self.each)(Form::Word, Token { word: plain, position, start, end });
        }
    }

    /// Gives the form of its own that ends with a word, if it has one: `.net`, `node.js` (two words, each with a letter
    /// first), `c++`, `c#`.
    #[cold]
    #[inline(never)]
    fn whole(&mut self, start: usize, end: usize) {
        let (text, bytes) = (self.text, self.text.as_bytes());
        let has_letter_first = |at: usize| text[at..].starts_with(char::is_alphabetic);
        let is_word = |at: usize| text[at..].starts_with(char::is_alphanumeric);
        if !has_letter_first(start) {
            return;
        }
        let (mut from, mut to, mut position) = (start, end, self.position);
        if let Some(sign @ (b'+' | b'#')) = bytes.get(end) {
            let after = end + bytes[end..].iter().take_while(|byte| *byte == sign).count();
            let is_double = after == end + 2 && *sign == b'+';
            if after <= end + 2 && (is_double || !is_word(after)) {
                to = after;
            }
        }
        let goes_on = bytes.get(end) == Some(&b'.') && is_word(end + 1);
        if start > 0 && bytes[start - 1] == b'.' && !goes_on {
            let Range { start: before, end: before_end } = self.previous;
            let is_joined = before_end == start - 1 && before < before_end;
            if is_joined && has_letter_first(before) && (before == 0 || bytes[before - 1] != b'.') {
                (from, position) = (before, position - 1);
            } else if !is_joined
                && (start == 1 || !text[..start - 1].ends_with(|c: char| c == '.' || c.is_alphanumeric()))
            {
                from = start - 1;
            }
        }
        if (from, to) == (start, end) || to - from > MAX_WHOLE_BYTES {
            return;
        }
        let folded = &mut self.buffers.folded;
        put_folded(&text[from..to], folded);
        let (start, end) = (self.place)(from, to);
        (self.each)(Form::Whole, Token { word: folded, position, start, end });
    }

    /// Whether an `s` is the ending of an English word, which its stem does not have.
    fn is_possessive(&self, start: usize) -> bool {
        let before = self.text[..start].strip_suffix('\'');
        self.words.drops_possessives() && before.is_some_and(|word| word.ends_with(char::is_alphanumeric))
    }
}

/// Whether letters and digits are a `v` and a number, which is a word of its own: `6.2.8` is in `v6.2.8`.
fn is_version(word: &[u8]) -> bool {
    word.len() > 1 && word[1..].iter().all(u8::is_ascii_digit)
}

/// Writes a word as it is indexed.
fn put_folded(word: &str, out: &mut String) {
    fold_word(word, out);
    out.make_ascii_lowercase();
    if out.len() > KEPT_BYTES {
        // FNV-1a.
        let digest = out.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |digest, byte| {
            (digest ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
        });
        out.truncate(out.floor_char_boundary(KEPT_BYTES));
        out.push(DIGEST_SIGN);
        out.push_str(&format!("{digest:032x}"));
    }
}

/// Returns what a word that is indexed starts with, without a digest.
pub(super) fn beginning(word: &str) -> &str {
    word.split_once(DIGEST_SIGN).map_or(word, |(kept, _)| kept)
}
