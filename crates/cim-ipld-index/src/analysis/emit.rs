//! Turns a run of letters and digits into tokens: stop words, stems, long words, compound forms.

use std::ops::Range;

use super::fold::{fold_keyword, fold_word};
use super::unicode::UnicodeWords;
use super::word_delimiter::{MAX_COMPOUND_BYTES, WordDelimiter, camel_case_parts, has_upper_case_inside};
use super::{Form, Mode, Token};

/// A longer word is truncated to this many bytes, followed by its digest.
const KEPT_BYTES: usize = 200;
/// Separates the prefix from the digest. No word contains it.
const DIGEST_SIGN: char = '#';

/// Passes the words of one text to `each`.
pub(super) struct Emit<'a, P, E> {
    pub(super) words: &'a UnicodeWords,
    pub(super) mode: Mode,
    /// The original text.
    pub(super) given: &'a str,
    /// The text being tokenized.
    pub(super) text: &'a str,
    /// Maps a range of `text` to a range of `given`.
    pub(super) place: P,
    pub(super) position: u32,
    pub(super) buffers: &'a mut Buffers,
    pub(super) each: E,
    previous: Range<usize>,
    has_extras: bool,
}

/// Buffers for one word.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    folded: String,
    lower: String,
    plain: String,
    pub(super) delimiter: WordDelimiter,
}

impl<'a, P: Fn(usize, usize) -> (usize, usize), E: FnMut(Form, Token<'_>)> Emit<'a, P, E> {
    pub(super) fn new(
        words: &'a UnicodeWords,
        mode: Mode,
        (given, text, place): (&'a str, &'a str, P),
        position: u32,
        buffers: &'a mut Buffers,
        each: E,
    ) -> Self {
        let has_extras = words.has_extras() && mode == Mode::Index;
        buffers.delimiter.begin();
        Self { words, mode, given, text, place, position, buffers, each, previous: 0..0, has_extras }
    }

    /// Emits a run of letters and digits. `is_folded` is true for lower-case ASCII.
    #[inline]
    pub(super) fn word(&mut self, start: usize, end: usize, is_folded: bool) {
        let bytes = self.text.as_bytes();
        if matches!(bytes[start] | 0x20, b'v' | b's' | b'0'..=b'9')
            && let Some(cut) = self.special_cut(start, end)
        {
            return self.special(start, end, cut);
        }
        self.token(start, end, is_folded);
        if matches!(bytes.get(end), Some(b'+' | b'#')) || (start > 0 && bytes[start - 1] == b'.') {
            self.whole(start, end);
        }
        if self.has_extras {
            self.delimiter(start, end);
        }
        self.previous = start..end;
        self.position += 1;
    }

    /// Returns where to split a run that is two words (a version, a time after a date, or a time
    /// and its zone): the end of the first and the start of the second. The range `0..0` means that
    /// the run is an English possessive `s` and is dropped.
    #[inline]
    fn special_cut(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let word = &self.text.as_bytes()[start..end];
        match word[0] | 0x20 {
            b'v' if is_version(word) => Some(1..1),
            b's' if word.len() == 1 && self.is_possessive(start) => Some(0..0),
            b'0'..=b'9' => {
                let is_behind = start > 0 && matches!(self.text.as_bytes()[start - 1], b':' | b'.' | b't' | b'T');
                time_cut(word, is_behind)
            }
            _ => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn special(&mut self, start: usize, end: usize, cut: Range<usize>) {
        if cut.start > 0 {
            self.other(start, start + cut.start);
            self.position += 1;
            self.word(start + cut.end, end, false);
            self.previous = start..end;
        }
    }

    /// Emits a word, or a symbol that is searched for like one, at the current position.
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
        let Self { words, mode, position, buffers, each, .. } = self;
        let position = *position;
        buffers.reduce(words, *mode, word, |form, word| each(form, Token { word, position, start, end }));
    }

    /// Emits the additional forms of a word: its camel-case parts and the concatenation of
    /// hyphenated words.
    #[cold]
    #[inline(never)]
    fn delimiter(&mut self, start: usize, end: usize) {
        let (from, to) = (self.place)(start, end);
        let position = self.position;
        let is_next = start > 0 && self.text.as_bytes()[start - 1] == b'-';
        let goes_on = self.text.as_bytes().get(end) == Some(&b'-');
        let has_parts = self.words.spec().camel_case && has_upper_case_inside(&self.given[from..to]);
        if !has_parts && !(self.words.spec().joined && (is_next || goes_on)) {
            return;
        }
        let Self { words, mode, buffers, each, .. } = self;
        let mut delimiter = std::mem::take(&mut buffers.delimiter);
        delimiter.start_word();
        buffers.reduce(words, *mode, &self.text[start..end], |form, word| _ = delimiter.add(form, word));
        let mut give = |buffers: &mut Buffers, word: &str, start: usize, end: usize| {
            buffers.reduce(words, *mode, word, |form, word| {
                if delimiter.add(form, word) {
                    each(form, Token { word, position, start, end });
                }
            });
        };
        if has_parts {
            for part in camel_case_parts(&self.given[from..to]) {
                let (start, end) = (from + part.start, from + part.end);
                give(buffers, &fold_keyword(&self.given[start..end]), start, end);
            }
        }
        if words.spec().joined {
            let is_next = is_next && self.previous.end == start - 1;
            let joined = delimiter.chain(is_next, &self.text[start..end], from);
            let goes_on =
                self.text[end..].strip_prefix('-').is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
            if let Some((joined, from)) = joined.filter(|_| !goes_on) {
                buffers.reduce(words, *mode, &joined, |form, word| {
                    if delimiter.add(form, word) {
                        each(form, Token { word, position, start: from, end: to });
                    }
                });
            }
        }
        buffers.delimiter = delimiter;
    }

    /// Emits the compound form of the word at `start..end`, if it has one: with a dot before it
    /// (`.net`), with the previous word and a dot (`node.js`, if both start with a letter), or with
    /// signs after it (`c++`, `c#`).
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
        if (from, to) == (start, end) || to - from > MAX_COMPOUND_BYTES {
            return;
        }
        let folded = &mut self.buffers.folded;
        put_folded(&text[from..to], folded);
        let (start, end) = (self.place)(from, to);
        (self.each)(Form::Compound, Token { word: folded, position, start, end });
    }

    /// Returns whether an `s` is an English possessive, which stemming removes.
    fn is_possessive(&self, start: usize) -> bool {
        let before = self.text[..start].strip_suffix('\'');
        self.words.drops_possessives() && before.is_some_and(|word| word.ends_with(char::is_alphanumeric))
    }
}

impl Buffers {
    /// Calls `each` with the forms under which a word is indexed.
    #[inline]
    fn reduce(&mut self, words: &UnicodeWords, mode: Mode, word: &str, mut each: impl FnMut(Form, &str)) {
        let Self { folded, lower, plain, .. } = self;
        lower.clear();
        lower.push_str(word);
        lower.make_ascii_lowercase();
        if words.leaves_out(lower) {
            return;
        }
        put_folded(lower, folded);
        if folded.is_empty() {
            return;
        }
        plain.clear();
        if words.has_stems() {
            each(Form::Unstemmed, folded);
            if lower.len() <= KEPT_BYTES {
                if mode == Mode::Index && folded != lower {
                    plain.push_str(folded);
                    words.stem_word(plain);
                }
                words.stem_word(lower);
                if !lower.is_empty() {
                    put_folded(lower, folded);
                }
            }
        }
        each(Form::Word, folded);
        // A query typed without accents asks for the stem of the unaccented word.
        if !plain.is_empty() && plain != folded {
            each(Form::Word, plain);
        }
    }
}

/// Returns whether a run is `v` followed by a number. Such a run is split into two words, so that
/// `6.2.8` matches `v6.2.8`.
fn is_version(word: &[u8]) -> bool {
    word.len() > 1 && word[1..].iter().all(u8::is_ascii_digit)
}

/// Returns where to split a run into a date and a time (`29T10`, `20240229T103015`), omitting the
/// `T`. A run that follows `:`, `.` or `T` may instead be split into the end of a time and its zone
/// (`15Z`).
fn time_cut(word: &[u8], is_behind_sign: bool) -> Option<Range<usize>> {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (letter, rest) = word[digits..].split_first()?;
    match letter | 0x20 {
        b'z' if rest.is_empty() && is_behind_sign => Some(digits..digits),
        b't' if matches!(digits, 2 | 8) => {
            let time = rest.strip_suffix(b"z").or(rest.strip_suffix(b"Z")).unwrap_or(rest);
            let is_time = matches!(time.len(), 2 | 4 | 6) && time.iter().all(u8::is_ascii_digit);
            is_time.then_some(digits..digits + 1)
        }
        _ => None,
    }
}

/// Writes a word in its indexed form.
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

/// Returns the prefix of an indexed word, without the digest.
pub(super) fn beginning(word: &str) -> &str {
    word.split_once(DIGEST_SIGN).map_or(word, |(kept, _)| kept)
}
