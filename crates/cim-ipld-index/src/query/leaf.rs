//! Builds query nodes from the words, phrases and wildcards of a query text.

use super::field::Scope;
use super::{Field, Has, Node, Pattern};

impl Node {
    /// Builds a node that searches for the text as words.
    pub(super) fn plain(scope: &Scope, text: String) -> Self {
        let field = match scope {
            Scope::Text(field) => field.clone(),
            _ => Field::Any,
        };
        Self::Words { field, text, slop: 0 }
    }

    pub(super) fn phrase(scope: &Scope, phrase: &Pattern, slop: u32) -> Self {
        match (phrase.as_text(), phrase.as_prefix()) {
            (Some(text), _) => match scope {
                Scope::Attribute(name, _) if slop == 0 => {
                    Self::Attribute { name: name.clone(), text: text.to_owned() }.named(scope)
                }
                _ => Self::Words { field: scope.field(), text: text.to_owned(), slop }.named(scope),
            },
            (None, None) => match scope {
                Scope::Attribute(name, _) if slop == 0 => {
                    Self::AttributeLike { name: name.clone(), pattern: phrase.clone() }.named(scope)
                }
                _ => Self::Like { field: scope.field(), pattern: phrase.clone(), slop }.named(scope),
            },
            (None, Some(text)) => match scope {
                Scope::Attribute(name, _) if slop == 0 => {
                    Self::AttributePrefix { name: name.clone(), text: text.to_owned() }.named(scope)
                }
                _ => Self::Prefix { field: scope.field(), text: text.to_owned(), slop }.named(scope),
            },
        }
    }

    pub(super) fn word(scope: &Scope, word: Pattern) -> Self {
        if let Some(text) = word.as_text() {
            let text = text.to_owned();
            return match scope {
                Scope::Attribute(name, _) => Self::Attribute { name: name.clone(), text }.named(scope),
                _ => Self::Words { field: scope.field(), text, slop: 0 },
            };
        }
        match (scope, word.as_prefix()) {
            (Scope::Bare, Some("")) => Self::All,
            (Scope::Attribute(name, _), Some("")) => Self::Exists(name.clone()).named(scope),
            (_, Some("")) => Self::Has(Has::Words(scope.field())),
            (Scope::Attribute(name, _), Some(prefix)) => {
                Self::AttributePrefix { name: name.clone(), text: prefix.to_owned() }.named(scope)
            }
            (_, Some(prefix)) => Self::Prefix { field: scope.field(), text: prefix.to_owned(), slop: 0 },
            (Scope::Attribute(name, _), None) => Self::AttributeLike { name: name.clone(), pattern: word }.named(scope),
            (_, None) => Self::Like { field: scope.field(), pattern: word, slop: 0 },
        }
    }

    pub(super) fn fuzzy(scope: &Scope, text: String, distance: u8) -> Self {
        Self::Fuzzy { field: scope.field(), text, distance }.named(scope)
    }

    /// Returns whether the node is a text of punctuation only, which has no words.
    pub(super) fn is_punctuation(&self) -> bool {
        matches!(self, Self::Words { text, .. } if text.chars().all(|c| c.is_ascii_punctuation()))
    }

    /// Marks a node on an attribute as unresolved, since the attribute may not exist.
    fn named(self, scope: &Scope) -> Self {
        match scope {
            Scope::Attribute(name, resembled) => {
                Self::Named { name: name.clone(), resembled: *resembled, node: Box::new(self) }
            }
            _ => self,
        }
    }
}
