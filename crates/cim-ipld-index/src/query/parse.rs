//! The query language.
//!
//! ```text
//! query  = clause*                       clauses joined by AND bind tighter than OR or nothing
//! clause = ("+" | "-" | "NOT")? unit ("^" number)?
//! unit   = "(" query ")" | field ":" unit | '"' words '"' ("~" number)? | word ("*" | "~" number?)?
//! ```

use super::{Field, Filter, Node, Query, QueryError};

/// The deepest nesting of parentheses and fields.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(text: &str) -> Result<Query, QueryError> {
    let mut parser = Parser { text, at: 0, filter: Filter::default() };
    let root = parser.alternatives(&Field::Any, 0)?;
    if parser.at < text.len() {
        return Err(parser.expected("a word, a phrase or `(`"));
    }
    Ok(Query { root, filter: parser.filter })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    filter: Filter,
}

#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Optional,
    Required,
    Excluded,
}

impl<'a> Parser<'a> {
    fn alternatives(&mut self, field: &Field, depth: usize) -> Result<Option<Node>, QueryError> {
        let (mut must, mut should, mut must_not) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.skip_space();
            if self.rest().is_empty() || self.rest().starts_with(')') {
                break;
            }
            if is_keyword(self.rest(), "AND") {
                return Err(self.expected("something before AND"));
            }
            if self.keyword("OR") {
                if must.is_empty() && should.is_empty() && must_not.is_empty() {
                    return Err(self.expected("something before OR"));
                }
                self.require_operand("OR")?;
            }
            let Some((sign, node)) = self.conjunction(field, depth)? else { continue };
            match sign {
                Sign::Optional => should.push(node),
                Sign::Required => must.push(node),
                Sign::Excluded => must_not.push(node),
            }
        }
        Ok(join(must, should, must_not))
    }

    /// Clauses joined by AND.
    fn conjunction(&mut self, field: &Field, depth: usize) -> Result<Option<(Sign, Node)>, QueryError> {
        let (first_sign, first) = self.clause(field, depth)?;
        self.skip_space();
        if !self.rest().starts_with("AND") || !self.keyword("AND") {
            return Ok(first.map(|node| (first_sign, node)));
        }
        let (mut must, mut must_not) = (Vec::new(), Vec::new());
        let mut sort = |sign: Sign, node: Option<Node>| match (sign, node) {
            (_, None) => {}
            (Sign::Excluded, Some(node)) => must_not.push(node),
            (_, Some(node)) => must.push(node),
        };
        sort(first_sign, first);
        loop {
            self.require_operand("AND")?;
            let (sign, node) = self.clause(field, depth)?;
            sort(sign, node);
            self.skip_space();
            if !self.keyword("AND") {
                break;
            }
        }
        Ok(join(must, Vec::new(), must_not).map(|node| (Sign::Optional, node)))
    }

    fn clause(&mut self, field: &Field, depth: usize) -> Result<(Sign, Option<Node>), QueryError> {
        self.skip_space();
        let sign = if self.keyword("NOT") {
            self.require_operand("NOT")?;
            Sign::Excluded
        } else if self.eat_sign('-')? {
            Sign::Excluded
        } else if self.eat_sign('+')? {
            Sign::Required
        } else {
            Sign::Optional
        };
        let node = self.unit(field, sign, depth)?;
        let Some(node) = node else { return Ok((sign, None)) };
        if !self.eat('^') {
            return Ok((sign, Some(node)));
        }
        let factor = self.number("a boost such as 2 or 0.5")?;
        Ok((sign, Some(Node::Boost(Box::new(node), factor))))
    }

    fn unit(&mut self, field: &Field, sign: Sign, depth: usize) -> Result<Option<Node>, QueryError> {
        if depth > MAX_DEPTH {
            return Err(self.expected("fewer nested parentheses"));
        }
        if self.eat('(') {
            let node = self.alternatives(field, depth + 1)?;
            if !self.eat(')') {
                return Err(self.expected("`)`"));
            }
            return Ok(node);
        }
        if self.rest().starts_with('"') {
            return self.phrase(field).map(Some);
        }
        let start = self.at;
        let word = self.word();
        if word.is_empty() {
            return Err(self.expected("a word, a phrase or `(`"));
        }
        if let Some((name, _)) = word.split_once(':')
            && let Some(known) = KnownField::of(name)
        {
            self.at = start + name.len() + 1;
            return self.in_field(known, sign, depth);
        }
        self.word_node(field, word).map(Some)
    }

    fn in_field(&mut self, known: KnownField, sign: Sign, depth: usize) -> Result<Option<Node>, QueryError> {
        if self.rest().is_empty() || self.rest().starts_with(char::is_whitespace) {
            return Err(self.expected("a value right after the `:`"));
        }
        match known {
            KnownField::Text(field) => self.unit(&field, sign, depth + 1),
            KnownField::Tag => {
                let tag = self.value()?;
                if sign == Sign::Excluded {
                    self.filter.no_tags.push(tag)
                } else {
                    self.filter.all_tags.push(tag)
                }
                Ok(None)
            }
            KnownField::Type if sign == Sign::Excluded => {
                Err(self.expected("a type that is wanted (`-type:` is not known)"))
            }
            KnownField::Type => {
                let content_type = self.value()?;
                self.filter.content_types.push(content_type);
                Ok(None)
            }
        }
    }

    fn phrase(&mut self, field: &Field) -> Result<Node, QueryError> {
        let text = self.quoted()?;
        let slop = if self.eat('~') { self.number::<u32>("how many words may stand between")? } else { 0 };
        Ok(Node::Words { field: field.clone(), text, slop })
    }

    fn word_node(&mut self, field: &Field, word: &'a str) -> Result<Node, QueryError> {
        if word == "*" {
            return Ok(Node::All);
        }
        if let Some(stem) = word.strip_suffix('*') {
            return Ok(Node::Prefix { field: field.clone(), text: stem.to_owned() });
        }
        if self.eat('~') {
            let distance = match self.rest().chars().next() {
                Some(digit) if digit.is_ascii_digit() => self.number::<u8>("1 or 2")?,
                _ => 1,
            };
            if !(1..=2).contains(&distance) {
                return Err(self.expected("a distance of 1 or 2"));
            }
            return Ok(Node::Fuzzy { field: field.clone(), text: word.to_owned(), distance });
        }
        Ok(Node::Words { field: field.clone(), text: word.to_owned(), slop: 0 })
    }

    /// A value of a filter: quoted, or up to the next space or parenthesis.
    fn value(&mut self) -> Result<String, QueryError> {
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let len = self.rest().find(|c: char| c.is_whitespace() || c == ')').unwrap_or(self.rest().len());
        let value = &self.rest()[..len];
        self.at += len;
        if value.is_empty() { Err(self.expected("a value right after the `:`")) } else { Ok(value.to_owned()) }
    }

    fn quoted(&mut self) -> Result<String, QueryError> {
        self.at += 1;
        let Some(len) = self.rest().find('"') else {
            self.at = self.text.len();
            return Err(self.expected("a closing `\"`"));
        };
        let quoted = self.rest()[..len].to_owned();
        self.at += len + 1;
        Ok(quoted)
    }

    fn word(&mut self) -> &'a str {
        let is_end = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '^' | '~');
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn number<T: std::str::FromStr>(&mut self, expected: &str) -> Result<T, QueryError> {
        let is_end = |c: char| !c.is_ascii_digit() && c != '.';
        let len = self.rest().find(is_end).unwrap_or(self.rest().len());
        match self.rest()[..len].parse() {
            Ok(number) => {
                self.at += len;
                Ok(number)
            }
            Err(_) => Err(self.expected(expected)),
        }
    }

    /// Takes a sign, which must stand right before what it is about.
    fn eat_sign(&mut self, sign: char) -> Result<bool, QueryError> {
        // Signs in a row, such as `--`, are a word (that holds nothing to look for).
        if !self.rest().starts_with(sign) || self.rest()[1..].starts_with(['+', '-']) {
            return Ok(false);
        }
        self.at += 1;
        match self.rest().chars().next() {
            Some(next) if !next.is_whitespace() => Ok(true),
            _ => Err(self.expected(&format!("a word right after `{sign}`"))),
        }
    }

    fn require_operand(&mut self, after: &str) -> Result<(), QueryError> {
        self.skip_space();
        let rest = self.rest();
        if rest.is_empty() || rest.starts_with(')') || is_keyword(rest, "AND") || is_keyword(rest, "OR") {
            return Err(self.expected(&format!("something after {after}")));
        }
        Ok(())
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = is_keyword(self.rest(), keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn expected(&self, expected: &str) -> QueryError {
        QueryError { position: self.at, expected: expected.to_owned() }
    }
}

enum KnownField {
    Text(Field),
    Tag,
    Type,
}

impl KnownField {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "title" => Self::Text(Field::Title),
            "author" => Self::Text(Field::Author),
            "tag" => Self::Tag,
            "type" => Self::Type,
            _ => return None,
        })
    }
}

fn is_keyword(text: &str, keyword: &str) -> bool {
    text.strip_prefix(keyword)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || c == '('))
}

/// One node of what was found; a part that only excludes takes from everything.
fn join(mut must: Vec<Node>, mut should: Vec<Node>, must_not: Vec<Node>) -> Option<Node> {
    if must_not.is_empty() {
        match (must.len(), should.len()) {
            (0, 0) => return None,
            (1, 0) => return must.pop(),
            (0, 1) => return should.pop(),
            _ => {}
        }
    } else if must.is_empty() && should.is_empty() {
        must.push(Node::All);
    }
    Some(Node::Bool { must, should, must_not })
}
