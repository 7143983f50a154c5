//! Field names in a query text.

use std::sync::Arc;

use super::{Field, NumberField};

/// The field to which a word of a query text applies.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    /// No field: title, author and text together.
    Bare,
    Text(Field),
    /// The name of an attribute. The second value is the built-in field that the name resembles,
    /// unless the name is escaped with a backslash.
    Attribute(Arc<str>, Option<&'static str>),
    Tag,
    Type,
    Number(NumberField),
}

/// The field names, then their aliases, which are the names of the same fields in a serialized
/// [`Hit`](crate::Hit).
const NAMES: [&str; 12] = [
    "title",
    "author",
    "text",
    "tag",
    "type",
    "size",
    "created",
    "modified",
    "tags",
    "content_type",
    "created_at",
    "modified_at",
];

/// The list of fields in error messages.
pub(crate) const FIELDS: &str = "title, author, text, tag, type, size, created, modified";

impl Scope {
    /// Returns the built-in field with this name, ignoring case.
    pub(super) fn known(name: &str) -> Option<Self> {
        Some(match &*name.to_ascii_lowercase() {
            "title" => Self::Text(Field::Title),
            "author" => Self::Text(Field::Author),
            "text" => Self::Text(Field::Any),
            "tag" | "tags" => Self::Tag,
            "type" | "content_type" => Self::Type,
            "size" => Self::Number(NumberField::Size),
            "created" | "created_at" => Self::Number(NumberField::CreatedAt),
            "modified" | "modified_at" => Self::Number(NumberField::ModifiedAt),
            _ => return None,
        })
    }

    pub(super) fn field(&self) -> Field {
        match self {
            Self::Text(field) => field.clone(),
            Self::Attribute(name, _) => Field::Attribute(name.clone()),
            Self::Bare | Self::Tag | Self::Type | Self::Number(_) => Field::Any,
        }
    }
}

/// Returns the field that was probably meant: its name differs by one typo. Short names, which
/// resemble many other words, only match with two letters swapped.
pub(super) fn resembling(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    NAMES.into_iter().find(|known| {
        let shorter = known.len().min(name.len());
        if shorter >= 5 { is_one_typo_apart(known.as_bytes(), name.as_bytes()) } else { is_swapped(known, &name) }
    })
}

/// Returns whether `a` and `b` differ by one byte inserted, removed or replaced, or by two swapped
/// neighbours.
fn is_one_typo_apart(a: &[u8], b: &[u8]) -> bool {
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[start..], &b[start..]);
    match (a, b) {
        ([_, a_rest @ ..], [_, b_rest @ ..]) if a_rest == b_rest => true,
        ([x, y, a_rest @ ..], [v, w, b_rest @ ..]) if a_rest == b_rest && x == w && y == v => true,
        ([_, rest @ ..], b) if rest == b => true,
        (a, [_, rest @ ..]) => rest == a,
        _ => false,
    }
}

fn is_swapped(a: &str, b: &str) -> bool {
    a.len() == b.len() && a != b && {
        let (mut a_sorted, mut b_sorted) = (a.as_bytes().to_vec(), b.as_bytes().to_vec());
        a_sorted.sort_unstable();
        b_sorted.sort_unstable();
        a_sorted == b_sorted && is_one_typo_apart(a.as_bytes(), b.as_bytes())
    }
}

/// Returns whether a text that follows a name and a colon can be the value of an attribute. `//`
/// cannot, so that `http://` is not an attribute, and neither can a second colon.
pub(super) fn is_value(text: &str) -> bool {
    !text.starts_with("//") && text.starts_with(|c: char| !c.is_whitespace() && !matches!(c, ':' | ')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_name_the_field_that_was_meant() {
        let cases = [
            ("titel", Some("title")),
            ("Tittle", Some("title")),
            ("titles", Some("title")),
            ("autor", Some("author")),
            ("creatd", Some("created")),
            ("modifeid", Some("modified")),
            ("created_ta", Some("created_at")),
            ("tpye", Some("type")),
            ("szie", Some("size")),
            ("test", None),
            ("site", None),
            ("file", None),
            ("tap", None),
            ("lang", None),
            ("localhost", None),
            ("todo", None),
            ("re", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(resembling(name), expected, "{name}");
        }
        NAMES.into_iter().for_each(|name| assert!(Scope::known(name).is_some(), "{name}"));
    }
}
