//! Keys of posting lists and sets: one byte that says what is named, then the name.

use crate::query::Field;

/// The number of text fields.
pub(crate) const FIELDS: usize = 3;

const TAG: u8 = 0x10;
const TYPE: u8 = 0x20;
const KIND: u8 = 0x21;

/// Says what a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// A word of a text field.
    Word(usize),
    /// A tag.
    Tag,
    /// A content type or a kind.
    Type,
}

impl Field {
    /// Every text field, in the order of its code.
    pub(crate) const ALL: [Self; FIELDS] = [Self::Any, Self::Title, Self::Author];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Any => 0,
            Self::Title => 1,
            Self::Author => 2,
        }
    }
}

pub(crate) fn put_word(field: Field, word: &str, key: &mut Vec<u8>) {
    key.clear();
    key.push(field.index() as u8);
    key.extend_from_slice(word.as_bytes());
}

pub(crate) fn word(field: Field, word: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(word.len() + 1);
    put_word(field, word, &mut key);
    key
}

/// The key of a tag, which has been folded.
pub(crate) fn tag(folded: &str) -> Vec<u8> {
    prefixed(TAG, folded.as_bytes())
}

/// The key of a content type, which has been folded.
pub(crate) fn content_type(folded: &str) -> Vec<u8> {
    prefixed(TYPE, folded.as_bytes())
}

pub(crate) fn kind(code: u8) -> Vec<u8> {
    vec![KIND, code]
}

/// Says what a key names, if it is a key of this format.
pub(crate) fn namespace(key: &[u8]) -> Option<Namespace> {
    match *key.first()? {
        field if usize::from(field) < FIELDS => Some(Namespace::Word(usize::from(field))),
        TAG => Some(Namespace::Tag),
        TYPE | KIND => Some(Namespace::Type),
        _ => None,
    }
}

/// Says whether a key names a content type (and not a kind).
pub(crate) fn is_content_type(key: &[u8]) -> bool {
    key.first() == Some(&TYPE)
}

fn prefixed(prefix: u8, name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1);
    key.push(prefix);
    key.extend_from_slice(name);
    key
}
