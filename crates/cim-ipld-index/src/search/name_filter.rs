//! Filters names in a table: by a pattern, or by content type with or without parameters.

use crate::query::Pattern;

/// A condition on the names in a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct NameFilter {
    /// The length of the key's prefix before the name, in bytes.
    start: usize,
    criterion: Criterion,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Criterion {
    Like(Pattern),
    /// A content type with any parameters.
    Essence(String),
    /// A content type with parameters, without spaces.
    Exact(String),
}

impl NameFilter {
    pub(super) fn of_pattern(start: usize, pattern: Pattern) -> Self {
        Self { start, criterion: Criterion::Like(pattern) }
    }

    /// Creates a filter for a folded content type.
    pub(super) fn of_type(start: usize, name: &str) -> Self {
        let criterion = match name.split_once(';') {
            None => Criterion::Essence(name.trim().to_owned()),
            Some(_) => Criterion::Exact(without_space(name)),
        };
        Self { start, criterion }
    }

    pub(super) fn accepts(&self, key: &[u8]) -> bool {
        let Some(name) = key.get(self.start..).and_then(|name| std::str::from_utf8(name).ok()) else { return false };
        match &self.criterion {
            Criterion::Like(pattern) => pattern.accepts(name),
            Criterion::Essence(essence) => name.split(';').next().is_some_and(|own| own.trim() == essence),
            Criterion::Exact(wanted) => without_space(name) == *wanted,
        }
    }
}

fn without_space(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).collect()
}
