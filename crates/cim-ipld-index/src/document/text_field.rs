//! The text fields of a document.

use std::sync::Arc;

/// A text field that a query can search.
///
/// ```
/// use cim_ipld_index::{Field, Query};
///
/// assert_eq!(Query::parse("title:whale")?, Query::term_in(Field::Title, "whale"));
/// assert_eq!(Query::parse("whale")?, Query::term_in(Field::Any, "whale"));
/// # Ok::<(), cim_ipld_index::QueryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Field {
    /// Title, author and text together: the default field.
    #[default]
    Any,
    /// The title.
    Title,
    /// The author.
    Author,
    /// The attribute of this name, where it is a text.
    Attribute(Arc<str>),
}

impl Field {
    /// Returns the index of a built-in field, or `None` for an attribute.
    pub(crate) fn index(&self) -> Option<usize> {
        match self {
            Self::Any => Some(0),
            Self::Title => Some(1),
            Self::Author => Some(2),
            Self::Attribute(_) => None,
        }
    }
}
