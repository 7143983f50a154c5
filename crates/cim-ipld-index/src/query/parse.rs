//! The query language.
//!
//! ```text
//! query  = clause ("OR"? clause)*        a clause beside another is an alternative, unless it filters
//! clause = part ("AND" part)*            AND binds tighter than OR
//! part   = ("+" | "-" | "NOT")* unit ("^" number)?
//! unit   = "(" query ")" | field ":" unit | '"' words '"' ("~" number)? | word ("*" | "~" number?)?
//!        | (">=" | ">" | "<=" | "<") value | ("[" | "{") value "TO" value ("]" | "}")
//! ```
//!
//! What names a tag, a type, a number or a time filters: it is wanted, whatever words stand beside it, unless OR stands
//! beside it. So is what names an attribute, whose words score.

use std::ops::Bound;
use std::sync::Arc;

use super::group::{Clause, Group, Sign};
use super::value::Value;
use super::words::Text;
use super::{Field, Node, Number, NumberField, Query, QueryError, Range};

/// The deepest nesting of parentheses and fields.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(text: &str) -> Result<Query, QueryError> {
    let mut parser = Parser { text: Text::new(text) };
    let group = parser.group(&Scope::Text(Field::Any), 0)?;
    if !parser.text.rest().is_empty() {
        return Err(parser.text.expected(A_UNIT));
    }
    Ok(group.into_query())
}

const A_UNIT: &str = "a word, a phrase or `(`";
const A_VALUE: &str = "a value right after the `:`";

struct Parser<'a> {
    text: Text<'a>,
}

/// What a word without a field of its own is about.
#[derive(Debug, Clone)]
enum Scope {
    Text(Field),
    Attribute(Arc<str>),
    Tag,
    Type,
    Number(NumberField),
}

impl Parser<'_> {
    fn group(&mut self, scope: &Scope, depth: usize) -> Result<Group, QueryError> {
        let mut clauses = Vec::new();
        let mut is_alternative = false;
        loop {
            self.text.skip_space();
            if self.text.rest().is_empty() || self.text.rest().starts_with(')') {
                break;
            }
            if self.text.is_at_keyword("AND") {
                return Err(self.text.expected("something before AND"));
            }
            if self.text.keyword("OR") {
                if clauses.is_empty() {
                    return Err(self.text.expected("something before OR"));
                }
                self.require_operand("OR")?;
                is_alternative = true;
            }
            let mut parts = self.conjunction(scope, depth)?;
            if parts.len() > 1 {
                let is_all = clauses.is_empty() && !is_alternative;
                self.text.skip_space();
                if is_all && (self.text.rest().is_empty() || self.text.rest().starts_with(')')) {
                    // Nothing but a conjunction: its parts are the group's.
                    return Ok(Group::new(parts));
                }
                let node = Group::new(parts).into_node();
                parts = node.into_iter().map(|node| Clause { sign: Sign::Optional, node, is_alternative }).collect();
            }
            clauses.extend(parts.into_iter().map(|part| Clause { is_alternative, ..part }));
            is_alternative = false;
        }
        Ok(Group::new(clauses))
    }

    /// One part, or several joined by AND, which are then all required or excluded.
    fn conjunction(&mut self, scope: &Scope, depth: usize) -> Result<Vec<Clause>, QueryError> {
        let mut parts: Vec<Clause> = self.part(scope, depth)?.into_iter().collect();
        let mut is_conjunction = false;
        loop {
            self.text.skip_space();
            if !self.text.keyword("AND") {
                break;
            }
            self.require_operand("AND")?;
            parts.extend(self.part(scope, depth)?);
            is_conjunction = true;
        }
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
                self.require_operand("NOT")?;
                is_excluded = !is_excluded;
            } else if self.text.sign('-')? {
                is_excluded = !is_excluded;
            } else if self.text.sign('+')? {
                is_required = true;
            } else {
                break;
            }
        }
        let Some(mut node) = self.unit(scope, depth)? else { return Ok(None) };
        if self.text.eat('^') {
            const A_BOOST: &str = "a boost such as 2 or 0.5";
            let factor: f32 = self.text.number(A_BOOST)?;
            if !factor.is_finite() {
                return Err(self.text.expected(A_BOOST));
            }
            node = Node::Boost(Box::new(node), factor);
        }
        let sign = match (is_excluded, is_required) {
            (true, _) => Sign::Excluded,
            (false, true) => Sign::Required,
            (false, false) => Sign::Optional,
        };
        Ok(Some(Clause { sign, node, is_alternative: false }))
    }

    fn unit(&mut self, scope: &Scope, depth: usize) -> Result<Option<Node>, QueryError> {
        if depth > MAX_DEPTH {
            return Err(self.text.expected("fewer nested parentheses"));
        }
        if self.text.eat('(') {
            let group = self.group(scope, depth + 1)?;
            if !self.text.eat(')') {
                return Err(self.text.expected("`)`"));
            }
            return Ok(group.into_node());
        }
        let name = self.text.field(|name, after| Scope::is_known(name) || after.starts_with(starts_value));
        if let Some(name) = name {
            if self.text.rest().is_empty() || self.text.rest().starts_with(|c: char| c.is_whitespace() || c == ')') {
                return Err(self.text.expected(A_VALUE));
            }
            return self.unit(&Scope::of(&name), depth + 1);
        }
        let is_range = self.text.rest().starts_with(['[', '{', '<', '>']);
        match scope {
            Scope::Text(Field::Any) => self.words(scope).map(Some),
            Scope::Text(_) if self.text.rest().starts_with(['[', '{']) => Err(self.text.expected("a word or a phrase")),
            Scope::Text(_) => self.words(scope).map(Some),
            Scope::Tag => self.value().map(|tag| Some(Node::Tag(tag))),
            Scope::Type => self.value().map(|name| Some(Node::Type(name))),
            Scope::Attribute(name) if is_range => self.range(NumberField::Attribute(name.clone())).map(Some),
            Scope::Number(field) if is_range => self.range(field.clone()).map(Some),
            Scope::Attribute(_) => self.words(scope).map(Some),
            Scope::Number(field) => self.equal(field.clone()).map(Some),
        }
    }

    /// A word or a phrase of a text or an attribute.
    fn words(&mut self, scope: &Scope) -> Result<Node, QueryError> {
        let field = scope.field();
        if self.text.rest().starts_with('"') {
            let text = self.text.quoted()?;
            let slop = if self.text.eat('~') { self.text.number("how many words may stand between")? } else { 0 };
            return Ok(match scope {
                Scope::Attribute(name) if slop == 0 => Node::Attribute { name: name.clone(), text },
                _ => Node::Words { field, text, slop },
            });
        }
        let start = self.text.at();
        let word = self.text.word()?;
        if self.text.at() == start {
            return Err(self.text.expected(A_UNIT));
        }
        if word.is_prefix {
            return Ok(match (scope, word.text.is_empty()) {
                (Scope::Attribute(name), true) => Node::Exists(name.clone()),
                (Scope::Attribute(name), false) => Node::AttributePrefix { name: name.clone(), text: word.text },
                (_, true) => Node::All,
                (_, false) => Node::Prefix { field, text: word.text },
            });
        }
        if self.text.eat('~') {
            let distance = match self.text.rest().chars().next() {
                Some(digit) if digit.is_ascii_digit() => self.text.number::<u8>("1 or 2")?,
                _ => 1,
            };
            if !(1..=2).contains(&distance) {
                return Err(self.text.expected("a distance of 1 or 2"));
            }
            return Ok(Node::Fuzzy { field, text: word.text, distance });
        }
        Ok(match scope {
            Scope::Attribute(name) => Node::Attribute { name: name.clone(), text: word.text },
            _ => Node::Words { field, text: word.text, slop: 0 },
        })
    }

    fn value(&mut self) -> Result<String, QueryError> {
        let start = self.text.at();
        let value = self.text.value()?;
        if self.text.at() == start { Err(self.text.expected(A_VALUE)) } else { Ok(value) }
    }

    /// A number or the span of a date, to be met exactly.
    fn equal(&mut self, field: NumberField) -> Result<Node, QueryError> {
        let (start, text) = (self.text.at(), self.text.value()?);
        let value = Value::of(&field, &text).ok_or_else(|| self.text.expected_at(start, Value::expected(&field)))?;
        let value = value.settled(&value);
        Ok(Node::Range(Range { field, low: value.low(true), high: value.high(true) }))
    }

    fn range(&mut self, field: NumberField) -> Result<Node, QueryError> {
        let (low, high) = match self.text.rest().as_bytes().first() {
            Some(b'[' | b'{') => self.between(&field)?,
            first => {
                let is_low = first == Some(&b'>');
                self.text.eat(if is_low { '>' } else { '<' });
                let is_included = self.text.eat('=');
                let (start, text) = (self.text.at(), self.text.value()?);
                let value = Value::of(&field, &text);
                let value = value.ok_or_else(|| self.text.expected_at(start, Value::expected(&field)))?;
                let value = value.settled(&value);
                if is_low {
                    (value.low(is_included), Bound::Unbounded)
                } else {
                    (Bound::Unbounded, value.high(is_included))
                }
            }
        };
        Ok(Node::Range(Range { field, low, high }))
    }

    fn between(&mut self, field: &NumberField) -> Result<(Bound<Number>, Bound<Number>), QueryError> {
        let includes_low = self.text.eat('[');
        if !includes_low {
            self.text.eat('{');
        }
        let low = self.end(field)?;
        self.text.skip_space();
        if !self.text.keyword("TO") {
            return Err(self.text.expected("TO"));
        }
        self.text.skip_space();
        let start = self.text.at();
        let high = self.end(field)?;
        self.text.skip_space();
        let includes_high = self.text.eat(']');
        if !includes_high && !self.text.eat('}') {
            return Err(self.text.expected("`]` or `}`"));
        }
        let (low, high) = match (low, high) {
            (Some(low), Some(high)) if low.meets(&high) => (Some(low.settled(&high)), Some(high.settled(&low))),
            (Some(_), Some(_)) => {
                return Err(self.text.expected_at(start, "two numbers or two dates"));
            }
            (low, high) => (low.map(|low| low.settled(&low)), high.map(|high| high.settled(&high))),
        };
        let low = low.map_or(Bound::Unbounded, |low| low.low(includes_low));
        let high = high.map_or(Bound::Unbounded, |high| high.high(includes_high));
        Ok((low, high))
    }

    /// One end of a range; `None` for `*`.
    fn end(&mut self, field: &NumberField) -> Result<Option<Value>, QueryError> {
        self.text.skip_space();
        let (start, text) = (self.text.at(), self.text.end_of_range()?);
        if text == "*" {
            return Ok(None);
        }
        let value = Value::of(field, &text);
        value.map(Some).ok_or_else(|| self.text.expected_at(start, format!("{} or `*`", Value::expected(field))))
    }

    fn require_operand(&mut self, after: &str) -> Result<(), QueryError> {
        self.text.skip_space();
        let rest = self.text.rest();
        if rest.is_empty() || rest.starts_with(')') || ["AND", "OR"].iter().any(|word| self.text.is_at_keyword(word)) {
            return Err(self.text.expected(format!("something after {after}")));
        }
        Ok(())
    }
}

impl Scope {
    fn is_known(name: &str) -> bool {
        !matches!(Self::of(name), Self::Attribute(_))
    }

    fn of(name: &str) -> Self {
        match name {
            "title" => Self::Text(Field::Title),
            "author" => Self::Text(Field::Author),
            "tag" => Self::Tag,
            "type" => Self::Type,
            "size" => Self::Number(NumberField::Size),
            "created" => Self::Number(NumberField::CreatedAt),
            "modified" => Self::Number(NumberField::ModifiedAt),
            _ => Self::Attribute(name.into()),
        }
    }

    fn field(&self) -> Field {
        match self {
            Self::Text(field) => field.clone(),
            Self::Attribute(name) => Field::Attribute(name.clone()),
            Self::Tag | Self::Type | Self::Number(_) => Field::Any,
        }
    }
}

/// Says whether the value of an attribute may start like this; else `http://` would be one.
fn starts_value(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '"' | '[' | '{' | '<' | '>' | '(' | '\\' | '*' | '_' | '-' | '+')
}
