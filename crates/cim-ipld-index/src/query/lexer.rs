//! The lexer of query texts: words, quoted texts, field names, numbers. A backslash escapes any
//! special character.

use std::ops::Range;

use super::pattern::{Pattern, Piece};
use super::{QueryError, QueryErrorKind};

/// A position in a query text.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Whether errors omit what was expected, because they are discarded.
    pub(super) is_quiet: bool,
    /// Whether parentheses are treated as spaces, because the nesting is too deep.
    pub(super) is_flat: bool,
}

/// A field name as written.
pub(super) struct Name {
    pub(super) text: String,
    pub(super) has_backslash: bool,
}

/// Returns whether a character is a quotation mark. Apostrophes are not.
pub(super) fn is_quote(c: char) -> bool {
    closing(c).is_some()
}

/// Returns the marks that can close a quoted text opened by this character.
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

    /// Returns whether the text, a word or a group ends here.
    pub(super) fn is_at_end(&self) -> bool {
        self.first().is_none_or(is_end)
    }

    pub(super) fn expected(&self, expected: impl Into<String>) -> QueryError {
        self.expected_at(self.at, expected)
    }

    /// Returns an error for the text at `start`, up to the next space if that is near.
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

    /// Returns the length of the text at `start` up to the next space or parenthesis.
    pub(super) fn len_of_word_at(&self, start: usize) -> usize {
        let text = &self.text[start..];
        text.find(is_end).unwrap_or(text.len())
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

    /// Consumes the `TO` of a range, in upper or lower case.
    pub(super) fn range_keyword(&mut self) -> bool {
        let rest = self.rest();
        let behind = rest.strip_prefix("TO").or_else(|| rest.strip_prefix("to"));
        let found = behind.is_some_and(|rest| rest.chars().next().is_none_or(|c| is_end(c) || matches!(c, ']' | '}')));
        self.at += if found { 2 } else { 0 };
        found
    }

    /// Classifies an operator character. Returns `None` if it is part of a longer token, such as
    /// `--` or `->`; otherwise, whether an operand follows directly.
    pub(super) fn sign(&self, sign: char) -> Option<bool> {
        let rest = self.rest().strip_prefix(sign)?;
        match rest.chars().next() {
            Some('+' | '-' | '>' | '<' | '=' | '|' | ',' | ';' | ':' | '!') => None,
            next => Some(!next.is_none_or(is_end)),
        }
    }

    /// Consumes a field name and its colon, if `is_field` returns true for the name and the text
    /// after it.
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

    /// Consumes a word, up to a space or a special character.
    pub(super) fn word(&mut self) -> Result<Pattern, QueryError> {
        let start = self.at;
        self.take(|text| match text.first() {
            Some(c) if is_quote(c) => !text.is_inside_hebrew(),
            Some('^') => true,
            Some('~') => text.at > start && text.ends_with_distance(),
            first => first.is_none_or(|c| is_end(c) || c == '('),
        })
    }

    /// Consumes a value, up to a space, a closing parenthesis or a boost.
    pub(super) fn value(&mut self) -> Result<Pattern, QueryError> {
        self.take(|text| text.is_at_end() || text.boost().is_some())
    }

    /// Consumes one end of a range: a quoted text, or up to a space or closing bracket.
    pub(super) fn end_of_range(&mut self) -> Result<Pattern, QueryError> {
        if self.first().is_some_and(is_quote) {
            return self.quoted();
        }
        self.take(|text| text.first().is_none_or(|c| is_end(c) || matches!(c, ']' | '}')))
    }

    /// Consumes a quoted text of words. A `*` next to a letter or digit is a wildcard, as is a `?`
    /// between two of them.
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

    /// Consumes a quoted name. A `*` directly before the closing quote is a wildcard, if the text
    /// before it is not empty.
    pub(super) fn quoted(&mut self) -> Result<Pattern, QueryError> {
        self.quoted_with(|_, _, _| None)
    }

    /// Consumes a quoted text. `wildcard` decides, from a character and its neighbours, whether it
    /// is a wildcard.
    fn quoted_with(
        &mut self,
        wildcard: impl Fn(Option<char>, char, Option<char>) -> Option<Piece>,
    ) -> Result<Pattern, QueryError> {
        let Some(open) = self.first() else { return Err(self.expected("a quoted text")) };
        let own = closing(open).unwrap_or_default();
        self.at += open.len_utf8();
        let start = self.at;
        // Opening and closing quotes may be of different kinds, because many keyboards only have
        // some.
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

    /// Consumes literal text up to the next space or parenthesis, at least one character.
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

    /// Consumes an integer.
    pub(super) fn whole<T: std::str::FromStr>(&mut self, expected: &str) -> Result<T, QueryError> {
        let len = self.rest().find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest().len());
        let number = self.rest()[..len].parse().map_err(|_| self.expected(expected))?;
        self.at += len;
        Ok(number)
    }

    /// Returns the boost at this position and its length, including `^`, if it ends a word or
    /// value.
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

    /// Returns whether a `~` at this position ends a word: it is followed by a distance or by
    /// nothing.
    fn ends_with_distance(&self) -> bool {
        let behind = self.rest()[1..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        behind.chars().next().is_none_or(|c| is_end(c) || c == '^')
    }

    /// Returns whether both neighbours are Hebrew letters, because gershayim are typed as a quote.
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
                // A trailing question mark is punctuation; within a word it is a wildcard.
                '?' if self.is_before_a_word() => word.push(Piece::One),
                _ => word.push_char(c),
            }
            self.at += c.len_utf8();
        }
        Ok(without_ones_of_addresses(word))
    }

    /// Returns whether the word continues after one or more question marks.
    fn is_before_a_word(&self) -> bool {
        const MOST: usize = 64;
        let mut behind = self.rest().chars().take(MOST).skip_while(|c| *c == '?');
        match behind.next() {
            Some('.' | '-' | '_') => behind.next().is_some_and(char::is_alphanumeric),
            next => next.is_some_and(|c| c.is_alphanumeric() || c == '*'),
        }
    }

    /// Consumes a backslash and the character it escapes. Within a word, before a letter, it is a
    /// literal path separator.
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

/// Makes question marks literal in text that looks like a URL or path.
fn without_ones_of_addresses(pattern: Pattern) -> Pattern {
    let is_address = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains(['/', ':', '=', '&', '@']));
    if pattern.pieces().iter().any(is_address) { pattern.without_ones() } else { pattern }
}

/// Returns whether a word ends before this character.
fn is_end(c: char) -> bool {
    c.is_whitespace() || c == ')'
}
