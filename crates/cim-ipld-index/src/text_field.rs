//! The text fields of a document.

use std::sync::Arc;

/// A text field that a query can name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Field {
    /// Title, author and text together: where a search without a field looks.
    #[default]
    Any,
    /// The title alone.
    Title,
    /// The author alone.
    Author,
    /// The attribute of this name, where it is a text.
    Attribute(Arc<str>),
}

impl Field {
    /// Returns the place of a field that every document may have; `None` for an attribute.
    pub(crate) fn index(&self) -> Option<usize> {
        match self {
            Self::Any => Some(0),
            Self::Title => Some(1),
            Self::Author => Some(2),
            Self::Attribute(_) => None,
        }
    }
}
