//! A test of the names in a table: a pattern, or a content type with or without its parameters.

use crate::query::Pattern;

/// Which names of a table are wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NameFilter {
    /// How many bytes of a key stand before the name.
    start: usize,
    criterion: Criterion,
}

#[derive(Debug, Clone, PartialEq)]
enum Criterion {
    Like(Pattern),
    /// A content type, whatever its parameters.
    Essence(String),
    /// A content type with parameters, without spaces.
    Exact(String),
}

impl NameFilter {
    pub(super) fn of_pattern(start: usize, pattern: Pattern) -> Self {
        Self { start, criterion: Criterion::Like(pattern) }
    }

    /// Takes a content type that has been folded.
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
