//! Parses numbers, dates and ranges in a query text.

use std::ops::Bound;

use super::lexer::is_quote;
use super::parse::Parser;
use super::value::Value;
use super::{Node, Number, NumberField, NumberRange, QueryError};

impl Parser<'_> {
    /// Parses a number or date that must match exactly; `*` matches any value.
    pub(super) fn equal(&mut self, field: NumberField) -> Result<Node, QueryError> {
        let (low, high) = match self.value_or_any(&field)? {
            None => (Bound::Unbounded, Bound::Unbounded),
            Some(value) => (value.low(true), value.high(true)),
        };
        Ok(Node::Range(NumberRange { field, low, high }))
    }

    /// Parses a comparison such as `>=1`, or two bounds in brackets.
    pub(super) fn range(&mut self, field: NumberField) -> Result<Node, QueryError> {
        let (low, high) = match self.text.first() {
            Some('[' | '{') => self.between(&field)?,
            first => {
                let is_low = first == Some('>');
                self.text.skip(1);
                let is_included = self.text.eat('=');
                match self.value_or_any(&field)? {
                    None => (Bound::Unbounded, Bound::Unbounded),
                    Some(value) if is_low => (value.low(is_included), Bound::Unbounded),
                    Some(value) => (Bound::Unbounded, value.high(is_included)),
                }
            }
        };
        Ok(Node::Range(NumberRange { field, low, high }))
    }

    fn value_or_any(&mut self, field: &NumberField) -> Result<Option<Value>, QueryError> {
        let start = self.text.at();
        let is_quoted = self.text.first().is_some_and(is_quote);
        let text = if is_quoted { self.text.quoted()? } else { self.text.value()? };
        if text.as_prefix() == Some("") {
            return Ok(None);
        }
        let value = text.as_text().and_then(|text| Value::of(field, text));
        let value = value.ok_or_else(|| self.text.value_error(start..self.text.at(), Value::expected(field)))?;
        Ok(Some(value.resolved(&value)))
    }

    fn between(&mut self, field: &NumberField) -> Result<(Bound<Number>, Bound<Number>), QueryError> {
        let includes_low = self.text.eat('[') || !self.text.eat('{');
        let low = self.end(field)?;
        self.text.skip_space();
        if !self.text.range_keyword() {
            return Err(self.text.expected("TO"));
        }
        self.text.skip_space();
        let start = self.text.at();
        let high = self.end(field)?;
        let end = self.text.at();
        self.text.skip_space();
        let includes_high = self.text.eat(']');
        if !includes_high && !self.text.eat('}') {
            return Err(self.text.expected("`]` or `}`"));
        }
        let (low, high) = match (low, high) {
            (Some(low), Some(high)) if low.meets(&high) => (Some(low.resolved(&high)), Some(high.resolved(&low))),
            (Some(_), Some(_)) => return Err(self.text.value_error(start..end, "two numbers or two dates")),
            (low, high) => (low.map(|low| low.resolved(&low)), high.map(|high| high.resolved(&high))),
        };
        let low = low.map_or(Bound::Unbounded, |low| low.low(includes_low));
        let high = high.map_or(Bound::Unbounded, |high| high.high(includes_high));
        Ok((low, high))
    }

    /// Parses one end of a range. Returns `None` for `*`.
    fn end(&mut self, field: &NumberField) -> Result<Option<Value>, QueryError> {
        self.text.skip_space();
        let (start, text) = (self.text.at(), self.text.end_of_range()?);
        if text.as_prefix() == Some("") {
            return Ok(None);
        }
        let value = text.as_text().and_then(|text| Value::of(field, text));
        let expected = || format!("{} or `*`", Value::expected(field));
        value.map(Some).ok_or_else(|| self.text.value_error(start..self.text.at(), expected()))
    }
}
