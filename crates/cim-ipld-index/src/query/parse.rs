//! The parser of the query language.
//!
//! ```text
//! query  = clause ("OR"? clause)*        adjacent clauses are alternatives, except filters
//! clause = part ("AND" part)*            AND binds tighter than OR
//! part   = ("+" | "-" | "NOT")* unit ("^" number)?
//! unit   = "(" query ")" | field ":" unit | '"' words '*'? '"' ("~" number)? | word ("~" number?)?
//!        | (">=" | ">" | "<=" | "<") value | ("[" | "{") value "TO" value ("]" | "}")
//! ```
//!
//! Tags, types, numbers and times are filters: they are required whatever words are next to them,
//! unless OR joins them. Conditions on attributes are required in the same way, but their words are
//! also scored. Several types are alternatives even without OR.
//!
//! One parser reads a text in three ways. In strict mode, a deviation from the grammar is an error.
//! In lenient mode, it is recorded and taken literally: a misplaced operator is punctuation,
//! everything else is words. Typed mode is lenient, but a value that does not fit its field and
//! excessive nesting are errors.

use super::field::{Scope, is_value, resembling};
use super::group::Group;
use super::lexer::{Lexer, is_quote};
use super::node::{Clause, Sign};
use super::{Has, Node, Query, QueryError, QueryErrorKind};

/// The maximum nesting depth of parentheses. [`NOT_SO_DEEP`] repeats it.
const MAX_DEPTH: usize = 64;
/// The maximum number of errors that a lenient parse records.
const MAX_ERRORS: usize = 100;

const A_UNIT: &str = "a word, a phrase or `(`";
const NOT_SO_DEEP: &str = "at most 64 nested parentheses";
const A_VALUE: &str = "a value right after the `:`";
const A_BOOST: &str = "a boost such as 2 or 0.5";

/// Parses a text that must follow the grammar.
pub(super) fn strict(text: &str) -> Result<Query, QueryError> {
    Parser::new(text, Reading::Strict).query()
}

/// Parses any text, but refuses deviations from the grammar that cannot be meant as words.
pub(super) fn typed(text: &str) -> Result<Query, QueryError> {
    Parser::new(text, Reading::Typed).query()
}

/// Parses any text, and returns the deviations from the grammar as errors.
pub(super) fn lenient(text: &str) -> (Query, Vec<QueryError>) {
    let mut parser = Parser::new(text, Reading::Lenient);
    match parser.query() {
        Ok(query) => (query, parser.errors),
        Err(error) => unreachable!("a lenient parse records errors: {error}"),
    }
}

pub(super) struct Parser<'a> {
    pub(super) text: Lexer<'a>,
    reading: Reading,
    errors: Vec<QueryError>,
    deepest: usize,
}

/// The treatment of deviations from the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// They are errors.
    Strict,
    /// They are taken literally, or are errors if they cannot be meant as words.
    Typed,
    /// They are taken literally.
    Lenient,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, reading: Reading) -> Self {
        Self { text: Lexer::new(text), reading, errors: Vec::new(), deepest: 0 }
    }

    fn query(&mut self) -> Result<Query, QueryError> {
        let group = self.group(&Scope::Bare, 0)?;
        if !self.text.rest().is_empty() {
            return Err(self.text.expected(A_UNIT));
        }
        let query = group.into_query(self.deepest);
        let text = self.text.whole_text();
        if query == Query::default() && text.contains(char::is_alphanumeric) {
            // The text consists of operators only: search for them as words.
            return Ok(Query::term(text.trim()));
        }
        Ok(query)
    }

    /// Returns the error, or records it and continues.
    fn fail(&mut self, error: QueryError) -> Result<(), QueryError> {
        let is_refused = match self.reading {
            Reading::Strict => true,
            Reading::Typed => error.kind != QueryErrorKind::Syntax,
            Reading::Lenient => false,
        };
        if is_refused {
            return Err(error);
        }
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
        self.text.is_quiet = self.reading == Reading::Lenient && self.errors.len() == MAX_ERRORS;
        Ok(())
    }

    fn group(&mut self, scope: &Scope, depth: usize) -> Result<Group, QueryError> {
        let mut clauses = Vec::new();
        let mut is_alternative = false;
        loop {
            self.text.skip_space();
            if self.text.rest().is_empty() {
                break;
            }
            if self.text.rest().starts_with(')') {
                if depth > 0 || self.reading == Reading::Strict {
                    break;
                }
                self.fail(self.text.expected(A_UNIT))?;
                self.text.eat(')');
                continue;
            }
            if self.text.is_at_keyword("AND") {
                self.fail(self.text.expected("something before AND"))?;
                self.text.keyword("AND");
                continue;
            }
            if self.text.is_at_keyword("OR") {
                if clauses.is_empty() {
                    self.fail(self.text.expected("something before OR"))?;
                }
                self.text.keyword("OR");
                is_alternative = self.has_operand("OR")? && !clauses.is_empty();
                continue;
            }
            let parts = self.conjunction(scope, depth)?;
            let is_all = clauses.is_empty() && !is_alternative && parts.len() > 1;
            if is_all && self.is_group_over(depth) {
                // The group is a single conjunction: its parts are the group's clauses.
                return Ok(Group::new(parts));
            }
            if parts.len() > 1 {
                let node = Group::new(parts).into_node();
                clauses.extend(node.map(|node| Clause { sign: Sign::Optional, node, is_alternative }));
            } else {
                clauses.extend(parts.into_iter().map(|part| Clause { is_alternative, ..part }));
            }
            is_alternative = false;
        }
        Ok(Group::new(clauses))
    }

    fn is_group_over(&mut self, depth: usize) -> bool {
        self.text.skip_space();
        let rest = self.text.rest();
        rest.is_empty() || rest.starts_with(')') && (depth > 0 || self.reading == Reading::Strict)
    }

    /// Parses one part, or several joined by AND, which are then all required or excluded.
    fn conjunction(&mut self, scope: &Scope, depth: usize) -> Result<Vec<Clause>, QueryError> {
        let mut parts = vec![self.part(scope, depth)?];
        loop {
            self.text.skip_space();
            if !self.text.keyword("AND") {
                break;
            }
            let mut has_operand = self.has_operand("AND")?;
            // An operator too many, or punctuation between the operands, does not end the
            // conjunction.
            while !has_operand && self.text.keyword("AND") {
                has_operand = self.has_operand("AND")?;
            }
            if !has_operand {
                break;
            }
            let mut part = self.part(scope, depth)?;
            while part.as_ref().is_some_and(|part| part.node.is_punctuation()) && self.is_before_a_unit() {
                part = self.part(scope, depth)?;
            }
            parts.push(part);
        }
        let is_conjunction = parts.len() > 1;
        let mut parts: Vec<Clause> = parts.into_iter().flatten().collect();
        if is_conjunction {
            parts.iter_mut().filter(|part| part.sign == Sign::Optional).for_each(|part| part.sign = Sign::Required);
        }
        Ok(parts)
    }

    fn part(&mut self, scope: &Scope, depth: usize) -> Result<Option<Clause>, QueryError> {
        let (mut is_required, mut is_excluded) = (false, false);
        loop {
            self.text.skip_space();
            if self.text.keyword("NOT") {
                if !self.has_operand("NOT")? {
                    return Ok(None);
                }
                is_excluded = !is_excluded;
                continue;
            }
            let Some(sign) = self.text.first().filter(|first| matches!(first, '-' | '+')) else { break };
            match self.text.sign(sign) {
                None => break,
                Some(true) if sign == '-' => is_excluded = !is_excluded,
                Some(true) => is_required = true,
                Some(false) => {
                    self.text.skip(1);
                    self.fail(self.text.expected(format!("a word right after `{sign}`")))?;
                    return Ok(Some(Clause::of(Node::plain(scope, sign.to_string()))));
                }
            }
            self.text.skip(1);
        }
        let Some(mut node) = self.unit(scope, depth)? else { return Ok(None) };
        if self.text.rest().starts_with('^') {
            match self.text.boost() {
                Some((factor, len)) if factor.is_finite() => {
                    self.text.skip(len);
                    node = Node::Boost(Box::new(node), factor);
                }
                _ => self.fail(self.text.expected_at(self.text.at() + 1, A_BOOST))?,
            }
        }
        let sign = match (is_excluded, is_required) {
            (true, _) => Sign::Excluded,
            (false, true) => Sign::Required,
            (false, false) => Sign::Optional,
        };
        Ok(Some(Clause { sign, node, is_alternative: false }))
    }

    fn unit(&mut self, scope: &Scope, depth: usize) -> Result<Option<Node>, QueryError> {
        let start = self.text.at();
        match self.exact_unit(scope, depth) {
            Err(error) if self.reading != Reading::Strict => {
                self.text.is_flat |= error.kind == QueryErrorKind::Limit;
                self.fail(error)?;
                self.text.back_to(start);
                let text = self.text.plain().to_owned();
                Ok(Some(Node::plain(scope, text)))
            }
            unit => unit,
        }
    }

    fn exact_unit(&mut self, scope: &Scope, depth: usize) -> Result<Option<Node>, QueryError> {
        if self.text.rest().starts_with('(') {
            return self.parentheses(scope, depth);
        }
        let Some(inner) = self.field(scope) else { return self.leaf(scope).map(Some) };
        let is_spaced = !matches!(inner, Scope::Attribute(..)) && self.text.first().is_some_and(char::is_whitespace);
        if is_spaced && !self.text.rest().trim_start().is_empty() {
            self.fail(self.text.expected(A_VALUE))?;
            self.text.skip_space();
        }
        if self.text.is_at_end() {
            return Err(self.text.expected(A_VALUE));
        }
        match self.text.rest().starts_with('(') {
            true => self.parentheses(&inner, depth),
            // The rest is the field's value, including any colons.
            false => self.leaf(&inner).map(Some),
        }
    }

    fn parentheses(&mut self, scope: &Scope, depth: usize) -> Result<Option<Node>, QueryError> {
        if depth >= MAX_DEPTH {
            let error = self.text.expected(NOT_SO_DEEP);
            return Err(QueryError { kind: QueryErrorKind::Limit, ..error });
        }
        self.deepest = self.deepest.max(depth + 1);
        self.text.eat('(');
        let group = self.group(scope, depth + 1)?;
        if !self.text.eat(')') {
            self.fail(self.text.expected("`)`"))?;
        }
        Ok(group.into_node())
    }

    /// Consumes a field name, if one is allowed here.
    fn field(&mut self, scope: &Scope) -> Option<Scope> {
        if matches!(scope, Scope::Tag | Scope::Type) {
            return None;
        }
        let takes_any = matches!(scope, Scope::Bare);
        let is_field = |name: &str, after: &str| Scope::known(name).is_some() || takes_any && is_value(after);
        let name = self.text.field(is_field)?;
        let known = Scope::known(&name.text).filter(|_| !name.has_backslash);
        let resembled = || if name.has_backslash { None } else { resembling(&name.text) };
        Some(known.unwrap_or_else(|| Scope::Attribute(name.text.as_str().into(), resembled())))
    }

    fn leaf(&mut self, scope: &Scope) -> Result<Node, QueryError> {
        let is_range = self.text.rest().starts_with(['[', '{', '<', '>']);
        match scope {
            Scope::Text(_) if self.text.rest().starts_with(['[', '{']) => Err(self.text.expected("a word or a phrase")),
            Scope::Tag | Scope::Type => self.name(scope),
            Scope::Attribute(name, _) if is_range => self.range(super::NumberField::Attribute(name.clone())),
            // Brackets after the name of a number or time are never meant as words.
            Scope::Number(field) if is_range => {
                let range = self.range(field.clone());
                range.map_err(|error| QueryError { kind: QueryErrorKind::Value, ..error })
            }
            Scope::Number(field) => self.equal(field.clone()),
            Scope::Bare | Scope::Text(_) | Scope::Attribute(..) => self.words(scope),
        }
    }

    /// Parses a word or phrase of a text or attribute.
    fn words(&mut self, scope: &Scope) -> Result<Node, QueryError> {
        if self.text.first().is_some_and(is_quote) {
            let phrase = self.text.phrase()?;
            let slop = if self.text.eat('~') {
                self.distance("the maximum number of words in between, such as 2")?
            } else {
                0
            };
            return Ok(Node::phrase(scope, &phrase, slop));
        }
        let start = self.text.at();
        let word = self.text.word()?;
        if self.text.at() == start {
            return Err(self.text.expected(A_UNIT));
        }
        if !self.text.eat('~') {
            return Ok(Node::word(scope, word));
        }
        let start = self.text.at();
        let distance = if self.text.is_at_end() || self.text.rest().starts_with('^') {
            1
        } else {
            self.distance("a distance of 1 or 2")?
        };
        match (word.as_text(), distance) {
            (None, _) => Err(self.text.value_error(start - 1..self.text.at(), "no `~` after a wildcard")),
            (Some(_), 0) => Ok(Node::word(scope, word)),
            (Some(text), 1) => Ok(Node::fuzzy(scope, text.to_owned(), 1)),
            (Some(text), 2) => Ok(Node::fuzzy(scope, text.to_owned(), 2)),
            (Some(_), _) => Err(self.text.value_error(start..self.text.at(), "a distance of 1 or 2")),
        }
    }

    /// Parses the number after a `~`.
    fn distance(&mut self, expected: &str) -> Result<u32, QueryError> {
        let start = self.text.at();
        let distance =
            self.text.whole(expected).ok().filter(|_| self.text.is_at_end() || self.text.first() == Some('^'));
        distance.ok_or_else(|| self.text.value_error(start..start + self.text.len_of_word_at(start), expected))
    }

    /// Parses a tag or type.
    fn name(&mut self, scope: &Scope) -> Result<Node, QueryError> {
        let is_quoted = self.text.first().is_some_and(is_quote);
        let start = self.text.at();
        let name = if is_quoted { self.text.quoted()? } else { self.text.value()? };
        if self.text.at() == start {
            return Err(self.text.expected(A_VALUE));
        }
        let is_tag = matches!(scope, Scope::Tag);
        Ok(match (name.as_text(), name.as_prefix()) {
            (Some(text), _) if is_tag => Node::Tag(text.to_owned()),
            (Some(text), _) => Node::Type(text.to_owned()),
            (None, Some("")) => Node::Has(if is_tag { Has::Tag } else { Has::Type }),
            (None, _) if is_tag => Node::TagLike(name),
            (None, _) => Node::TypeLike(name),
        })
    }

    /// Returns whether something other than an operator follows.
    fn is_before_a_unit(&mut self) -> bool {
        self.text.skip_space();
        let rest = self.text.rest();
        !rest.is_empty() && !rest.starts_with(')') && !["AND", "OR"].iter().any(|word| self.text.is_at_keyword(word))
    }

    /// Returns whether an operand follows an operator.
    fn has_operand(&mut self, after: &str) -> Result<bool, QueryError> {
        let has_operand = self.is_before_a_unit();
        if !has_operand {
            self.fail(self.text.expected(format!("something after {after}")))?;
        }
        Ok(has_operand)
    }
}
