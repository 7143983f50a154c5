//! The order of hits.

use serde::{Deserialize, Serialize};

use crate::query::NumberField;

/// The order of hits. Ties are broken by the byte order of the CIDs.
///
/// ```
/// use cim_ipld_index::{NumberField, SearchOptions, Sort};
///
/// let newest_first = SearchOptions::default().sort(Sort::descending(NumberField::CreatedAt));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Sort {
    /// The sort key.
    pub by: SortBy,
    /// The direction.
    pub order: SortOrder,
}

/// The key by which hits are sorted.
///
/// ```
/// use cim_ipld_index::{NumberField, Sort, SortBy, SortOrder};
///
/// assert_eq!(Sort::default(), Sort::by_score(SortOrder::Descending));
/// assert_eq!(Sort::ascending(NumberField::Size).by, SortBy::Number(NumberField::Size));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SortBy {
    /// The score.
    #[default]
    Score,
    /// A number or time. Documents without a value come last in either direction. If an attribute
    /// is an integer in some documents and a fraction or a date in others, the values are compared
    /// as numbers, and dates by their milliseconds.
    Number(NumberField),
}

/// The direction of a sort.
///
/// ```
/// use cim_ipld_index::{NumberField, Sort, SortOrder};
///
/// assert_eq!(SortOrder::default(), SortOrder::Descending);
/// assert_eq!(Sort::ascending(NumberField::CreatedAt).order, SortOrder::Ascending);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortOrder {
    /// Smallest first.
    Ascending,
    /// Largest first.
    #[default]
    Descending,
}

impl Sort {
    /// Sorts by the largest number or the latest time first.
    pub fn descending(field: NumberField) -> Self {
        Self { by: SortBy::Number(field), order: SortOrder::Descending }
    }

    /// Sorts by the smallest number or the earliest time first.
    pub fn ascending(field: NumberField) -> Self {
        Self { by: SortBy::Number(field), order: SortOrder::Ascending }
    }

    /// Sorts by score, best first or last.
    pub fn by_score(order: SortOrder) -> Self {
        Self { by: SortBy::Score, order }
    }
}

impl Default for Sort {
    fn default() -> Self {
        Self::by_score(SortOrder::Descending)
    }
}
