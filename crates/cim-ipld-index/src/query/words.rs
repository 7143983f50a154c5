//! The pieces of a query text: words, quoted texts, names of fields, numbers; with a backslash, any character is itself.

use super::QueryError;

/// A place in a query text.
pub(super) struct Text<'a> {
    text: &'a str,
    at: usize,
}

/// A word as it is meant, without its backslashes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether a `*` ends it, which is then not in the text.
    pub(super) is_prefix: bool,
}

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn expected(&self, expected: impl Into<String>) -> QueryError {
        self.expected_at(self.at, expected)
    }

    pub(super) fn expected_at(&self, position: usize, expected: impl Into<String>) -> QueryError {
        QueryError { position, expected: expected.into() }
    }

    pub(super) fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
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
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || c == '('))
    }

    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_at_keyword(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    /// Takes a sign, which must stand right before what it is about.
    pub(super) fn sign(&mut self, sign: char) -> Result<bool, QueryError> {
        // Signs in a row, such as `--`, are a word (that holds nothing to look for).
        if !self.rest().starts_with(sign) || self.rest()[1..].starts_with(['+', '-']) {
            return Ok(false);
        }
        self.at += 1;
        match self.rest().chars().next() {
            Some(next) if !next.is_whitespace() && next != ')' => Ok(true),
            _ => Err(self.expected(format!("a word right after `{sign}`"))),
        }
    }

    /// Takes the name of a field and its colon, if `is_field` says of the name and what follows that it is one.
    pub(super) fn field(&mut self, is_field: impl FnOnce(&str, &str) -> bool) -> Option<String> {
        let mut name = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                ':' => {
                    let after = &self.rest()[at + 1..];
                    let found = !name.is_empty() && is_field(&name, after);
                    self.at += if found { at + 1 } else { 0 };
                    return found.then_some(name);
                }
                '\\' => name.push(chars.next()?.1),
                '_' => name.push(c),
                '.' | '-' if !name.is_empty() => name.push(c),
                _ if c.is_alphabetic() || c.is_alphanumeric() && !name.is_empty() => name.push(c),
                _ => return None,
            }
        }
        None
    }

    /// Takes a word: up to a space or a character that means something.
    pub(super) fn word(&mut self) -> Result<Word, QueryError> {
        self.take(|c| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '^' | '~'))
    }

    /// Takes a value: quoted, or up to a space or a closing parenthesis.
    pub(super) fn value(&mut self) -> Result<String, QueryError> {
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let word = self.take(|c| c.is_whitespace() || c == ')')?;
        Ok(if word.is_prefix { word.text + "*" } else { word.text })
    }

    /// Takes one end of a range: quoted, or up to a space or a closing bracket.
    pub(super) fn end_of_range(&mut self) -> Result<String, QueryError> {
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let word = self.take(|c| c.is_whitespace() || matches!(c, ']' | '}' | ')'))?;
        Ok(if word.is_prefix { word.text + "*" } else { word.text })
    }

    pub(super) fn quoted(&mut self) -> Result<String, QueryError> {
        self.at += 1;
        let word = self.take(|c| c == '"')?;
        if !self.eat('"') {
            return Err(self.expected("a closing `\"`"));
        }
        Ok(if word.is_prefix { word.text + "*" } else { word.text })
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self, expected: &str) -> Result<T, QueryError> {
        let is_end = |c: char| !c.is_ascii_digit() && c != '.';
        let len = self.rest().find(is_end).unwrap_or(self.rest().len());
        let number = self.rest()[..len].parse().map_err(|_| self.expected(expected))?;
        self.at += len;
        Ok(number)
    }

    fn take(&mut self, is_end: impl Fn(char) -> bool) -> Result<Word, QueryError> {
        let mut text = String::new();
        let mut is_prefix = false;
        while let Some(c) = self.rest().chars().next().filter(|c| !is_end(*c)) {
            self.at += c.len_utf8();
            is_prefix = c == '*';
            if c != '\\' {
                text.push(c);
                continue;
            }
            let Some(meant) = self.rest().chars().next() else {
                return Err(self.expected("a character after the backslash"));
            };
            self.at += meant.len_utf8();
            text.push(meant);
        }
        if is_prefix {
            text.pop();
        }
        Ok(Word { text, is_prefix })
    }
}
