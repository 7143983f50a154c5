//! The error for a query text that cannot be parsed.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, ErrorKind};

/// The error for a query text, or a part of one, that cannot be parsed.
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
    /// The kind of the error.
    pub kind: QueryErrorKind,
    /// The byte range of the query text that cannot be parsed; empty at the end of the text.
    pub range: Range<usize>,
    /// What the parser expected there.
    pub expected: String,
}

/// Classifies a [`QueryError`].
///
/// ```
/// use cim_ipld_index::{Query, QueryErrorKind};
///
/// assert_eq!(Query::parse("(whale").unwrap_err().kind, QueryErrorKind::Syntax);
/// assert_eq!(Query::parse("size:big").unwrap_err().kind, QueryErrorKind::Value);
/// assert_eq!(Query::parse(&"(".repeat(100)).unwrap_err().kind, QueryErrorKind::Limit);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueryErrorKind {
    /// An operator is misplaced, or a quote or parenthesis is unbalanced. The lenient parser treats
    /// it as punctuation.
    Syntax,
    /// The value does not fit the field: `created:yesterday`. The lenient parser treats it as
    /// words, which is rarely what was meant.
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
