//! The order of hits.

use serde::{Deserialize, Serialize};

use crate::query::NumberField;

/// Says in which order hits come. Equals come in the order of their CIDs' bytes.
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
    /// What is compared.
    pub by: SortBy,
    /// Which comes first.
    pub order: SortOrder,
}

/// Says what of two hits is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SortBy {
    /// How well they match.
    #[default]
    Score,
    /// A number or time; a document without one comes last in either order. An attribute that is a
    /// whole number here, a fraction or a date there is compared as a number, dates by their
    /// milliseconds.
    Number(NumberField),
}

/// Says which of two hits comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortOrder {
    /// The smaller.
    Ascending,
    /// The larger.
    #[default]
    Descending,
}

impl Sort {
    /// The largest number or the latest time first.
    pub fn descending(field: NumberField) -> Self {
        Self { by: SortBy::Number(field), order: SortOrder::Descending }
    }

    /// The smallest number or the earliest time first.
    pub fn ascending(field: NumberField) -> Self {
        Self { by: SortBy::Number(field), order: SortOrder::Ascending }
    }

    /// The best score first or last.
    pub fn by_score(order: SortOrder) -> Self {
        Self { by: SortBy::Score, order }
    }
}

impl Default for Sort {
    fn default() -> Self {
        Self::by_score(SortOrder::Descending)
    }
}
