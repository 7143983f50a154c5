//! Describes the parts of a query for error messages.

use super::{Planned, SetSelector, TermSelector};
use crate::budget::meter::Part;
use crate::query::{Pattern, Piece};

impl Planned {
    /// Describes a part of the query, as the subject of a sentence.
    pub(crate) fn describe(&self, part: Part) -> String {
        match part {
            Part::Query => "the query".to_owned(),
            Part::Leaf(leaf) => self.leaves.get(leaf).map_or_else(String::new, |leaf| leaf.want.describe()),
            Part::Phrase(leaf) => {
                let first = self.leaves.get(leaf).map_or_else(String::new, |leaf| leaf.want.describe());
                format!("the phrase that starts with {first}")
            }
            Part::Set(set) => self.sets.get(set).map_or("a filter", SetSelector::describe).to_owned(),
            Part::Facets => "counting the facets".to_owned(),
            Part::Hits => "reading the hits and their snippets".to_owned(),
        }
    }
}

impl TermSelector {
    fn describe(&self) -> String {
        match self {
            Self::Word(word) => format!("the word `{}`", shortened(word)),
            Self::Prefix(prefix) => format!("the prefix `{}*`", shortened(prefix)),
            Self::Like(pattern) => format!("the pattern `{}`", shortened(&text_of(pattern))),
            Self::Fuzzy(word) => format!("the fuzzy word `{}~`", shortened(&word.text())),
        }
    }
}

impl SetSelector {
    fn describe(&self) -> &'static str {
        match self {
            Self::Name(..) => "a filter by name",
            Self::NamesFrom(..) => "a filter by all names with a prefix",
            Self::NamesLike(..) => "a filter by all names with a pattern",
            Self::Words(_) => "a filter by the presence of words",
            Self::Numbers(..) => "a filter by a range of numbers or times",
        }
    }
}

/// Returns the beginning of a long text.
fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    match text.char_indices().nth(MAX_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn text_of(pattern: &Pattern) -> String {
    let pieces = pattern.pieces().iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Any => "*",
        Piece::One => "?",
    });
    pieces.collect()
}
