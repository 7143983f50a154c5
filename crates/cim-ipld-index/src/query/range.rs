//! Ranges of numbers and times, and the columns that they apply to.

use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::date::{self, Timestamp};
use crate::encoding::numbers;
use crate::keys::ColumnKind;

/// A numeric or time field, for ranges and sorting.
///
/// ```
/// use cim_ipld_index::{NumberField, Query};
///
/// let built = Query::term("whale").filter(Query::range(NumberField::Size, 100..));
/// assert_eq!(Query::parse("whale size:>=100")?, built);
/// # Ok::<(), cim_ipld_index::QueryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NumberField {
    /// When the content was created.
    CreatedAt,
    /// When the content was last changed.
    ModifiedAt,
    /// The size of the content in bytes.
    Size,
    /// The attribute of this name, if it is a number or a date.
    Attribute(Arc<str>),
}

/// A bound of a numeric range.
///
/// ```
/// use cim_ipld_index::{Number, Timestamp};
///
/// assert_eq!(Number::from(3u64), Number::Integer(3));
/// assert_eq!(Number::from(0.5), Number::Float(0.5));
/// assert_eq!(Number::from(Timestamp(0)), Number::Date(Timestamp(0)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Number {
    /// An integer. It is compared with integers and floating-point numbers, and with the
    /// milliseconds of [`NumberField::CreatedAt`] and [`NumberField::ModifiedAt`].
    Integer(i128),
    /// A floating-point number. A range with NaN as a bound is empty.
    Float(f64),
    /// A point in time, compared with times only.
    Date(Timestamp),
}

/// A range of a numeric or time field.
///
/// ```
/// use cim_ipld_index::{NumberField, NumberRange, Query};
///
/// let large = NumberRange::new(NumberField::Size, 1_000_000..);
/// assert_eq!(Query::in_range(large), Query::range(NumberField::Size, 1_000_000..));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberRange {
    pub(crate) field: NumberField,
    pub(crate) low: Bound<Number>,
    pub(crate) high: Bound<Number>,
}

impl NumberField {
    /// Returns the kinds of columns in which the field may be stored, and the attribute's name.
    pub(crate) fn columns(&self) -> (&'static [ColumnKind], &str) {
        match self {
            Self::CreatedAt => (&[ColumnKind::Created], ""),
            Self::ModifiedAt => (&[ColumnKind::Modified], ""),
            Self::Size => (&[ColumnKind::Size], ""),
            Self::Attribute(name) => (&[ColumnKind::Integer, ColumnKind::Float, ColumnKind::Date], name),
        }
    }
}

impl Number {
    /// Parses an integer, or a number with a decimal point or an exponent.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse::<i64>() {
            return Some(Self::from(whole));
        }
        if let Ok(whole) = text.parse::<u64>() {
            return Some(Self::from(whole));
        }
        let is_number = text.contains(|c: char| c.is_ascii_digit());
        text.parse::<f64>().ok().filter(|_| is_number).map(Self::Float)
    }
}

impl NumberRange {
    /// Returns the range of a field within the bounds.
    pub fn new<T: Into<Number> + Clone>(field: NumberField, bounds: impl RangeBounds<T>) -> Self {
        let bound = |bound: Bound<&T>| bound.cloned().map(Into::into);
        Self { field, low: bound(bounds.start_bound()), high: bound(bounds.end_bound()) }
    }

    /// Returns the ranges of an attribute that a text denotes: one if it is a number, and one if it
    /// is a date or period.
    pub(crate) fn of_text(name: &Arc<str>, text: &str) -> impl Iterator<Item = Self> {
        let number = Number::parse(text).map(|number| (Bound::Included(number), Bound::Included(number)));
        let date = date::parse(text)
            .map(|(from, to)| (Bound::Included(Number::Date(from)), Bound::Excluded(Number::Date(to))));
        let field = NumberField::Attribute(name.clone());
        [number, date].into_iter().flatten().map(move |(low, high)| Self { field: field.clone(), low, high })
    }

    /// Returns the range of codes in a column of this kind, or `None` if none can match.
    pub(crate) fn codes(&self, kind: ColumnKind) -> Option<RangeInclusive<u64>> {
        let bounds = [self.low, self.high];
        let is_date = |bound: &Bound<Number>| {
            matches!(bound, Bound::Included(Number::Date(_)) | Bound::Excluded(Number::Date(_)))
        };
        let is_bounded = |bound: &Bound<Number>| *bound != Bound::Unbounded;
        let takes_dates =
            !matches!(kind, ColumnKind::Size | ColumnKind::Integer | ColumnKind::Float | ColumnKind::Length);
        let takes_numbers = kind != ColumnKind::Date;
        if bounds.iter().any(|bound| is_bounded(bound) && if is_date(bound) { !takes_dates } else { !takes_numbers }) {
            return None;
        }
        let (low, high) = match kind {
            ColumnKind::Float => (low_float(self.low)?, high_float(self.high)?),
            ColumnKind::Size | ColumnKind::Length => {
                let (low, high) = (low_integer(self.low)?.max(0), high_integer(self.high)?.min(i128::from(u64::MAX)));
                (u64::try_from(low).ok()?, u64::try_from(high).ok()?)
            }
            ColumnKind::Created | ColumnKind::Modified | ColumnKind::Integer | ColumnKind::Date => {
                let low = low_integer(self.low)?.max(i128::from(i64::MIN));
                let high = high_integer(self.high)?.min(i128::from(i64::MAX));
                let code = |number: i128| i64::try_from(number).ok().map(numbers::of_integer);
                (code(low)?, code(high)?)
            }
        };
        (low <= high).then_some(low..=high)
    }
}

/// Returns the smallest integer within a lower bound.
fn low_integer(bound: Bound<Number>) -> Option<i128> {
    Some(match bound {
        Bound::Unbounded => i128::MIN,
        Bound::Included(Number::Integer(number)) => number,
        Bound::Excluded(Number::Integer(number)) => number.checked_add(1)?,
        Bound::Included(Number::Date(time)) => i128::from(time.0),
        Bound::Excluded(Number::Date(time)) => i128::from(time.0) + 1,
        Bound::Included(Number::Float(number)) => (!number.is_nan()).then_some(number.ceil() as i128)?,
        Bound::Excluded(Number::Float(number)) => {
            (!number.is_nan()).then_some(number.floor() as i128)?.checked_add(1)?
        }
    })
}

/// Returns the largest integer within an upper bound.
fn high_integer(bound: Bound<Number>) -> Option<i128> {
    Some(match bound {
        Bound::Unbounded => i128::MAX,
        Bound::Included(Number::Integer(number)) => number,
        Bound::Excluded(Number::Integer(number)) => number.checked_sub(1)?,
        Bound::Included(Number::Date(time)) => i128::from(time.0),
        Bound::Excluded(Number::Date(time)) => i128::from(time.0) - 1,
        Bound::Included(Number::Float(number)) => (!number.is_nan()).then_some(number.floor() as i128)?,
        Bound::Excluded(Number::Float(number)) => {
            (!number.is_nan()).then_some(number.ceil() as i128)?.checked_sub(1)?
        }
    })
}

/// Returns the code of the smallest float within a lower bound.
fn low_float(bound: Bound<Number>) -> Option<u64> {
    match bound {
        Bound::Unbounded => numbers::of_float(f64::NEG_INFINITY),
        Bound::Included(number) => nearest(number).map(|(code, is_below, _)| code + u64::from(is_below)),
        Bound::Excluded(number) => {
            nearest(number).map(|(code, is_below, is_exact)| code + u64::from(is_below || is_exact))
        }
    }
    .filter(|code| Some(*code) <= numbers::of_float(f64::INFINITY))
}

/// Returns the code of the largest float within an upper bound.
fn high_float(bound: Bound<Number>) -> Option<u64> {
    match bound {
        Bound::Unbounded => numbers::of_float(f64::INFINITY),
        Bound::Included(number) => {
            nearest(number).map(|(code, is_below, is_exact)| code - u64::from(!is_below && !is_exact))
        }
        Bound::Excluded(number) => nearest(number).map(|(code, is_below, _)| code - u64::from(!is_below)),
    }
    .filter(|code| Some(*code) >= numbers::of_float(f64::NEG_INFINITY))
}

/// Returns the code of the float nearest to a number, whether that float is below the number, and
/// whether it equals it.
fn nearest(number: Number) -> Option<(u64, bool, bool)> {
    match number {
        Number::Float(number) => Some((numbers::of_float(number)?, false, true)),
        Number::Integer(number) => {
            // The float nearest to an integer is an integer, so the conversion back is exact.
            let float = number as f64;
            Some((numbers::of_float(float)?, (float as i128) < number, float as i128 == number))
        }
        Number::Date(_) => None,
    }
}

macro_rules! from_integers {
    ($($integer:ty),*) => {
        $(impl From<$integer> for Number {
            fn from(number: $integer) -> Self {
                Self::Integer(i128::from(number))
            }
        })*
    };
}

from_integers!(i32, u32, i64, u64);

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<Timestamp> for Number {
    fn from(time: Timestamp) -> Self {
        Self::Date(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(range: &NumberRange, value: f64) -> bool {
        let number = |number: Number| match number {
            Number::Integer(number) => number as f64,
            Number::Float(number) => number,
            Number::Date(time) => time.0 as f64,
        };
        (range.low.map(number), range.high.map(number)).contains(&value)
    }

    fn bound() -> impl Strategy<Value = Bound<Number>> {
        let number = prop_oneof![
            (-20i128..20).prop_map(Number::Integer),
            (-40i32..40).prop_map(|half| Number::Float(f64::from(half) / 2.0)),
        ];
        prop_oneof![
            1 => Just(Bound::Unbounded),
            3 => number.clone().prop_map(Bound::Included),
            3 => number.prop_map(Bound::Excluded),
        ]
    }

    proptest! {
        #[test]
        fn codes_hold_what_the_bounds_hold(low in bound(), high in bound(), halves in -50i32..50) {
            let range = NumberRange { field: NumberField::Size, low, high };
            let in_codes = |kind, code| range.codes(kind).is_some_and(|codes| codes.contains(&code));
            let value = f64::from(halves) / 2.0;
            prop_assert_eq!(in_codes(ColumnKind::Float, numbers::of_float(value).unwrap()), holds(&range, value));
            let whole = i64::from(halves);
            prop_assert_eq!(in_codes(ColumnKind::Integer, numbers::of_integer(whole)), holds(&range, whole as f64));
            if whole >= 0 {
                prop_assert_eq!(in_codes(ColumnKind::Size, whole as u64), holds(&range, whole as f64));
            }
        }
    }

    #[test]
    fn numbers_that_no_float_is_are_compared_exactly() {
        let odd = (1i128 << 53) + 1;
        let even = numbers::of_float((1i64 << 53) as f64).unwrap();
        let next = numbers::of_float(((1i64 << 53) + 2) as f64).unwrap();
        let codes = |low, high| NumberRange { field: NumberField::Size, low, high }.codes(ColumnKind::Float);
        let number = Number::Integer(odd);
        assert_eq!(*codes(Bound::Included(number), Bound::Unbounded).unwrap().start(), next);
        assert_eq!(*codes(Bound::Unbounded, Bound::Included(number)).unwrap().end(), even);
        assert_eq!(codes(Bound::Included(number), Bound::Included(number)), None);
        assert_eq!(codes(Bound::Excluded(Number::Float(f64::INFINITY)), Bound::Unbounded), None);
        assert_eq!(codes(Bound::Included(Number::Float(f64::NAN)), Bound::Unbounded), None);
    }

    #[test]
    fn dates_meet_times_and_numbers_meet_numbers() {
        let at = Bound::Included(Number::Date(Timestamp(5)));
        let dates = NumberRange { field: NumberField::CreatedAt, low: at, high: Bound::Unbounded };
        assert!(dates.codes(ColumnKind::Created).is_some() && dates.codes(ColumnKind::Date).is_some());
        assert_eq!((dates.codes(ColumnKind::Integer), dates.codes(ColumnKind::Size)), (None, None));
        let all = NumberRange { field: NumberField::Size, low: Bound::Unbounded, high: Bound::Unbounded };
        assert_eq!(all.codes(ColumnKind::Size), Some(0..=u64::MAX));
        assert_eq!(all.codes(ColumnKind::Date), Some(0..=u64::MAX));
    }
}
