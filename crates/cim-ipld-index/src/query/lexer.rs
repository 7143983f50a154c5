//! The pieces of a query text: words, quoted texts, names of fields, numbers; with a backslash, any
//! sign is itself.

use std::ops::Range;

use super::pattern::{Pattern, Piece};
use super::{QueryError, QueryErrorKind};

/// A place in a query text.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Whether errors only have a place, because nobody will read them.
    pub(super) is_quiet: bool,
    /// Whether parentheses mean no more than spaces, because they stand too deep.
    pub(super) is_flat: bool,
}

/// The name of a field as it is written.
pub(super) struct Name {
    pub(super) text: String,
    pub(super) has_backslash: bool,
}

/// Says whether a character is a quote; apostrophes are none.
pub(super) fn is_quote(c: char) -> bool {
    closing(c).is_some()
}

/// Returns what closes a quoted text that this character opens.
fn closing(open: char) -> Option<&'static [char]> {
    match open {
        '"' => Some(&['"']),
        '“' | '”' | '„' | '‟' => Some(&['“', '”', '‟', '"']),
        '«' | '»' => Some(&['»', '«']),
        '＂' => Some(&['＂', '"']),
        _ => None,
    }
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, is_quiet: false, is_flat: false }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn whole_text(&self) -> &'a str {
        self.text
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn back_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn first(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Says whether the text, a word or a group ends here.
    pub(super) fn is_at_end(&self) -> bool {
        self.first().is_none_or(is_end)
    }

    pub(super) fn expected(&self, expected: impl Into<String>) -> QueryError {
        self.expected_at(self.at, expected)
    }

    /// An error about what stands at `start`, up to the next space, if that is near.
    pub(super) fn expected_at(&self, start: usize, expected: impl Into<String>) -> QueryError {
        const NEAR: usize = 64;
        if self.is_quiet {
            return QueryError::new(QueryErrorKind::Syntax, start..start, "");
        }
        let mut near = self.text[start..].chars().take(NEAR);
        let first = near.next();
        let is_word = first.is_some_and(|c| !is_end(c));
        let rest = near.take_while(|c| is_word && !is_end(*c)).map(char::len_utf8).sum::<usize>();
        let len = first.map_or(0, char::len_utf8) + rest;
        QueryError::new(QueryErrorKind::Syntax, start..start + len, expected)
    }

    pub(super) fn value_error(&self, range: Range<usize>, expected: impl Into<String>) -> QueryError {
        QueryError::new(QueryErrorKind::Value, range, expected)
    }

    pub(super) fn skip_space(&mut self) {
        let rest = match self.is_flat {
            true => self.rest().trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '(' | ')')),
            false => self.rest().trim_start(),
        };
        self.at = self.text.len() - rest.len();
    }

    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    pub(super) fn is_at_keyword(&self, keyword: &str) -> bool {
        self.rest()
            .strip_prefix(keyword)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c| is_end(c) || c == '('))
    }

    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_at_keyword(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    /// Says what follows a sign: `None` if it is a part of what follows, such as `--` and `->`, and
    /// else whether there is something right after it.
    pub(super) fn sign(&self, sign: char) -> Option<bool> {
        let rest = self.rest().strip_prefix(sign)?;
        match rest.chars().next() {
            Some('+' | '-' | '>' | '<' | '=' | '|' | ',' | ';' | ':' | '!') => None,
            next => Some(!next.is_none_or(is_end)),
        }
    }

    /// Takes the name of a field and its colon, if `is_field` says of the name and what follows
    /// that it is one.
    pub(super) fn field(&mut self, is_field: impl FnOnce(&str, &str) -> bool) -> Option<Name> {
        let (mut name, mut has_backslash) = (String::new(), false);
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                ':' => {
                    let after = &self.rest()[at + 1..];
                    if name.is_empty() || !is_field(&name, after) {
                        return None;
                    }
                    self.at += at + 1;
                    return Some(Name { text: name, has_backslash });
                }
                '\\' => {
                    name.push(chars.next()?.1);
                    has_backslash = true;
                }
                '_' => name.push(c),
                '.' | '-' if !name.is_empty() => name.push(c),
                _ if c.is_alphabetic() || c.is_alphanumeric() && !name.is_empty() => name.push(c),
                _ => return None,
            }
        }
        None
    }

    /// Takes a word: up to a space or a sign that means something.
    pub(super) fn word(&mut self) -> Result<Pattern, QueryError> {
        let start = self.at;
        self.take(|text| match text.first() {
            Some(c) if is_quote(c) => !text.is_inside_hebrew(),
            Some('^') => true,
            Some('~') => text.at > start && text.ends_with_distance(),
            first => first.is_none_or(|c| is_end(c) || c == '('),
        })
    }

    /// Takes a value: up to a space, a closing parenthesis or a boost.
    pub(super) fn value(&mut self) -> Result<Pattern, QueryError> {
        self.take(|text| text.is_at_end() || text.boost().is_some())
    }

    /// Takes one end of a range: quoted, or up to a space or a closing bracket.
    pub(super) fn end_of_range(&mut self) -> Result<Pattern, QueryError> {
        if self.first().is_some_and(is_quote) {
            return self.quoted();
        }
        self.take(|text| text.first().is_none_or(|c| is_end(c) || matches!(c, ']' | '}')))
    }

    /// Takes a quoted text of words. A `*` beside a letter or digit is a wildcard, as is a `?`
    /// between two.
    pub(super) fn phrase(&mut self) -> Result<Pattern, QueryError> {
        let phrase = self.quoted_with(|before, c, behind| {
            let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            match c {
                '*' if is_word(before) || is_word(behind) => Some(Piece::Any),
                '?' if is_word(before) && is_word(behind) => Some(Piece::One),
                _ => None,
            }
        })?;
        Ok(without_ones_of_addresses(phrase))
    }

    /// Takes a quoted name. A `*` right before the closing quote is a wildcard, if there is
    /// something right before it.
    pub(super) fn quoted(&mut self) -> Result<Pattern, QueryError> {
        self.quoted_with(|_, _, _| None)
    }

    /// Takes a quoted text, in which `wildcard` says of a character, and of those beside it,
    /// whether it is one.
    fn quoted_with(
        &mut self,
        wildcard: impl Fn(Option<char>, char, Option<char>) -> Option<Piece>,
    ) -> Result<Pattern, QueryError> {
        let Some(open) = self.first() else { return Err(self.expected("a quoted text")) };
        let own = closing(open).unwrap_or_default();
        self.at += open.len_utf8();
        let start = self.at;
        // Quotes of different kinds may belong together: keyboards know only some.
        let is_close = |c: char| own.contains(&c);
        let is_closed = self.rest().contains(is_close);
        let mut text = Pattern::default();
        loop {
            let Some(c) = self.first() else {
                self.at = self.text.len();
                return Err(self.expected("a closing `\"`"));
            };
            let behind = &self.rest()[c.len_utf8()..];
            let closes = |c: char| if is_closed { is_close(c) } else { is_quote(c) };
            if closes(c) {
                self.at += c.len_utf8();
                return Ok(text);
            }
            let is_wildcard =
                c == '*' && behind.starts_with(closes) && !self.text[start..self.at].ends_with(char::is_whitespace);
            let inner = wildcard(self.text[start..self.at].chars().next_back(), c, behind.chars().next());
            match c {
                '*' if is_wildcard && self.at > start => text.push(Piece::Any),
                '*' | '?' if inner.is_some() => inner.into_iter().for_each(|piece| text.push(piece)),
                '\\' if !behind.is_empty() => {
                    self.take_escaped(&mut text);
                    continue;
                }
                _ => text.push_char(c),
            }
            self.at += c.len_utf8();
        }
    }

    /// Takes whatever stands here up to the next space or parenthesis, one character at least, as
    /// it is.
    pub(super) fn plain(&mut self) -> &'a str {
        let rest = self.rest();
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let is_sign = rest.starts_with(|c| is_quote(c) || c == '(');
        let len = match rest[first..].find(|c| is_end(c) || c == '(' || is_quote(c)) {
            _ if is_sign => first,
            Some(len) => first + len,
            None => rest.len(),
        };
        self.at += len;
        &rest[..len]
    }

    /// Takes digits as a number.
    pub(super) fn whole<T: std::str::FromStr>(&mut self, expected: &str) -> Result<T, QueryError> {
        let len = self.rest().find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest().len());
        let number = self.rest()[..len].parse().map_err(|_| self.expected(expected))?;
        self.at += len;
        Ok(number)
    }

    /// Returns the boost that stands here, `^` included, and its length, if a word or value ends
    /// with it.
    pub(super) fn boost(&self) -> Option<(f32, usize)> {
        let number = self.rest().strip_prefix('^')?;
        let digits = |from: usize| number[from..].bytes().take_while(u8::is_ascii_digit).count();
        let mut len = digits(0);
        if number[len..].starts_with('.') {
            len += 1 + digits(len + 1);
        }
        if number[len..].starts_with(['e', 'E']) {
            let sign = usize::from(number[len + 1..].starts_with(['+', '-']));
            let exponent = digits(len + 1 + sign);
            len += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
        let factor: f32 = number[..len].parse().ok()?;
        (number[len..].chars().next().is_none_or(is_end)).then_some((factor, 1 + len))
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Says whether a `~` here ends a word: a distance or nothing follows.
    fn ends_with_distance(&self) -> bool {
        let behind = self.rest()[1..].trim_start_matches(|c: char| c.is_ascii_digit());
        behind.chars().next().is_none_or(|c| is_end(c) || c == '^')
    }

    /// Says whether Hebrew letters stand on both sides: gershayim are typed as a quote.
    fn is_inside_hebrew(&self) -> bool {
        let is_letter = |c: Option<char>| c.is_some_and(|c| matches!(c, '\u{591}'..='\u{5f4}'));
        let quote = self.first().map_or(0, char::len_utf8);
        is_letter(self.text[..self.at].chars().next_back()) && is_letter(self.rest()[quote..].chars().next())
    }

    fn take(&mut self, is_end: impl Fn(&Self) -> bool) -> Result<Pattern, QueryError> {
        let mut word = Pattern::default();
        while let Some(c) = self.first() {
            if is_end(self) {
                break;
            }
            let behind = self.rest()[c.len_utf8()..].chars().next();
            match c {
                '\\' if behind.is_none() => {
                    self.at += 1;
                    return Err(self.expected("a character after the backslash"));
                }
                '\\' => {
                    self.take_escaped(&mut word);
                    continue;
                }
                '*' => word.push(Piece::Any),
                // A question mark ends a question; within a word it is a wildcard.
                '?' if self.is_before_a_word() => word.push(Piece::One),
                _ => word.push_char(c),
            }
            self.at += c.len_utf8();
        }
        Ok(without_ones_of_addresses(word))
    }

    /// Says whether a word goes on behind one or more question marks.
    fn is_before_a_word(&self) -> bool {
        const MOST: usize = 64;
        let behind = self.rest().chars().take(MOST).find(|c| *c != '?');
        behind.is_some_and(|c| c.is_alphanumeric() || c == '*')
    }

    /// Takes a backslash and what it stands before. Within a word, before a letter, it is one of a
    /// path.
    fn take_escaped(&mut self, word: &mut Pattern) {
        self.at += 1;
        let Some(meant) = self.first() else { return };
        if meant.is_alphanumeric() && !word.is_empty() {
            word.push_char('\\');
        }
        word.push_char(meant);
        self.at += meant.len_utf8();
    }
}

/// In what looks like an address a question mark is no wildcard.
fn without_ones_of_addresses(pattern: Pattern) -> Pattern {
    let is_address = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains(['/', ':', '=', '&', '@']));
    if pattern.pieces().iter().any(is_address) { pattern.without_ones() } else { pattern }
}

/// Says whether a word ends before this character.
fn is_end(c: char) -> bool {
    c.is_whitespace() || c == ')'
}
