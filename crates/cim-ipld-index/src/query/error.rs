//! Why a query text cannot be understood.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, ErrorKind};

/// Why a query text, or a part of it, cannot be understood.
///
/// ```
/// use cim_ipld_index::{Query, QueryErrorKind};
///
/// let error = Query::parse("whale created:2024-02-30").unwrap_err();
/// assert_eq!((error.kind, error.range), (QueryErrorKind::Value, 14..24));
/// assert_eq!(error.expected, "a date such as 2024-01-31");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct QueryError {
    /// What is wrong with it.
    pub kind: QueryErrorKind,
    /// The bytes of the query text that cannot be understood; empty at its end.
    pub range: Range<usize>,
    /// What would have been understood there.
    pub expected: String,
}

/// What is wrong with a query text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueryErrorKind {
    /// A sign stands where it means nothing, or its counterpart is missing. The lenient parser
    /// takes it for punctuation.
    Syntax,
    /// A field cannot hold this value: `created:yesterday`. The lenient parser takes it for words,
    /// which is hardly what was meant.
    Value,
    /// The query is nested too deeply.
    Limit,
}

impl QueryError {
    pub(super) fn new(kind: QueryErrorKind, range: Range<usize>, expected: impl Into<String>) -> Self {
        Self { kind, range, expected: expected.into() }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {} of the query: expected {}", self.range.start, self.expected)
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        Self::new(ErrorKind::InvalidQuery, error.to_string()).caused_by(error)
    }
}
