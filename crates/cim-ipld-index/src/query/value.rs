//! Values in a query text: numbers and dates.

use std::ops::Bound;

use super::{Number, NumberField};
use crate::document::date;

/// A value that is a number, a date, or possibly either.
#[derive(Clone, Copy)]
pub(super) struct Value {
    number: Option<Number>,
    /// The start of the date's span, and the start of the following span.
    date: Option<(Number, Number)>,
}

impl Value {
    pub(super) fn of(field: &NumberField, text: &str) -> Option<Self> {
        let is_time = matches!(field, NumberField::CreatedAt | NumberField::ModifiedAt);
        let number = (!is_time).then(|| Number::parse(text)).flatten();
        let date = (*field != NumberField::Size).then(|| date::parse(text)).flatten();
        let date = date.map(|(from, to)| (Number::Date(from), Number::Date(to)));
        (number.is_some() || date.is_some()).then_some(Self { number, date })
    }

    pub(super) fn expected(field: &NumberField) -> &'static str {
        match field {
            NumberField::Size => "a number",
            NumberField::CreatedAt | NumberField::ModifiedAt => "a date such as 2024-01-31",
            NumberField::Attribute(_) => "a number or a date such as 2024-01-31",
        }
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.number.is_some() && other.number.is_some() || self.date.is_some() && other.date.is_some()
    }

    /// Returns the value as a number if both values can be numbers, otherwise as a date.
    pub(super) fn resolved(self, other: &Self) -> Self {
        let is_number = self.number.is_some() && other.number.is_some();
        if is_number { Self { date: None, ..self } } else { Self { number: None, ..self } }
    }

    pub(super) fn low(self, is_included: bool) -> Bound<Number> {
        match (self.number, self.date) {
            (_, Some((from, to))) => Bound::Included(if is_included { from } else { to }),
            (Some(number), None) if is_included => Bound::Included(number),
            (Some(number), None) => Bound::Excluded(number),
            (None, None) => Bound::Unbounded,
        }
    }

    pub(super) fn high(self, is_included: bool) -> Bound<Number> {
        match (self.number, self.date) {
            (_, Some((from, to))) => Bound::Excluded(if is_included { to } else { from }),
            (Some(number), None) if is_included => Bound::Included(number),
            (Some(number), None) => Bound::Excluded(number),
            (None, None) => Bound::Unbounded,
        }
    }
}
