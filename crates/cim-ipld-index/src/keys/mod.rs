//! Keys of posting lists, sets and columns: one byte for the namespace, then the name.
//!
//! A field name is prefixed with its length (varint) if more bytes of the key follow it.

pub(crate) mod fields;

use crate::analysis::Form;
use crate::document::text_field::Field;
use crate::encoding::wire::{Reader, put_bytes};

/// The number of built-in text fields.
pub(crate) const FIELDS: usize = 3;

const ATTRIBUTE_WORD: u8 = 0x08;
/// Flags added to the first byte of the key of a word in another form.
const COMPOUND: u8 = 0x40;
const UNSTEMMED: u8 = 0x80;
const FORMS: u8 = COMPOUND | UNSTEMMED;
const TAG: u8 = 0x10;
const KEYWORD: u8 = 0x11;
const TYPE: u8 = 0x20;
const KIND: u8 = 0x21;
const COLUMN: u8 = 0x30;

/// The namespace of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// A word of a built-in text field.
    Word(usize),
    /// A word of an attribute, or a word of a built-in field in a form that does not count towards
    /// the field's length.
    OtherWord,
    /// A tag.
    Tag,
    /// A keyword attribute with its value.
    Keyword,
    /// A content type or a kind.
    Type,
    /// A numeric field.
    Column(ColumnKind),
}

/// The kind of numbers in a column. The codes are part of the format and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum ColumnKind {
    Created = 0,
    Modified = 1,
    Size = 2,
    /// An integer attribute.
    Integer = 3,
    /// A floating-point attribute.
    Float = 4,
    /// A date attribute.
    Date = 5,
    /// The number of words of a text attribute.
    Length = 6,
}

impl ColumnKind {
    const ALL: [Self; 7] =
        [Self::Created, Self::Modified, Self::Size, Self::Integer, Self::Float, Self::Date, Self::Length];
}

/// The number of namespaces whose distinct keys are counted: words, tags, content types.
pub(crate) const COUNTED: usize = 3;

/// Returns the index of the distinct count that a key belongs to, given its first byte.
pub(crate) fn counted(namespace: u8) -> Option<usize> {
    match namespace {
        TAG => Some(1),
        TYPE => Some(2),
        KEYWORD | KIND | COLUMN => None,
        _ => Some(0),
    }
}

/// Returns the first byte of the keys of words of a form in a built-in field, given the field's
/// index.
#[inline]
pub(crate) fn word_head(form: Form, field: usize) -> u8 {
    form_bits(form) | field as u8
}

/// Writes the common prefix of the keys of all words of a form in an attribute.
pub(crate) fn put_attribute(form: Form, name: &str, key: &mut Vec<u8>) {
    key.clear();
    key.push(form_bits(form) | ATTRIBUTE_WORD);
    put_bytes(key, name.as_bytes());
}

/// Writes the key of a word of a built-in field, given the field's index.
pub(crate) fn put_word(form: Form, field: usize, word: &str, key: &mut Vec<u8>) {
    put_name(word_head(form, field), word, key);
}

pub(crate) fn word(form: Form, field: &Field, word: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(word.len() + 1);
    match (field.index(), field) {
        (Some(index), _) => key.push(word_head(form, index)),
        (None, Field::Attribute(name)) => put_attribute(form, name, &mut key),
        (None, _) => unreachable!("a field has a place or is an attribute"),
    }
    key.extend_from_slice(word.as_bytes());
    key
}

/// Writes the key of a folded tag.
pub(crate) fn put_tag(folded: &str, key: &mut Vec<u8>) {
    put_name(TAG, folded, key);
}

/// Writes the key of a keyword.
pub(crate) fn put_keyword(name: &str, value: &str, key: &mut Vec<u8>) {
    key.clear();
    key.push(KEYWORD);
    put_bytes(key, name.as_bytes());
    key.extend_from_slice(value.as_bytes());
}

/// Writes the key of a folded content type.
pub(crate) fn put_content_type(folded: &str, key: &mut Vec<u8>) {
    put_name(TYPE, folded, key);
}

/// Writes the key of a kind.
pub(crate) fn put_kind(code: u8, key: &mut Vec<u8>) {
    key.clear();
    key.extend([KIND, code]);
}

/// Returns the key of a folded tag.
pub(crate) fn tag(folded: &str) -> Vec<u8> {
    written(|key| put_tag(folded, key))
}

/// Returns the key of a keyword.
pub(crate) fn keyword(name: &str, value: &str) -> Vec<u8> {
    written(|key| put_keyword(name, value, key))
}

/// Returns the key of a folded content type.
pub(crate) fn content_type(folded: &str) -> Vec<u8> {
    written(|key| put_content_type(folded, key))
}

pub(crate) fn kind(code: u8) -> Vec<u8> {
    written(|key| put_kind(code, key))
}

/// Returns the key of a column. The name is that of an attribute, or empty.
pub(crate) fn column(kind: ColumnKind, name: &str) -> Vec<u8> {
    let mut key = vec![COLUMN, kind as u8];
    key.extend_from_slice(name.as_bytes());
    key
}

/// Returns the namespace of a key, if it is a valid key.
pub(crate) fn namespace(key: &[u8]) -> Option<Namespace> {
    match *key.first()? {
        field if usize::from(field) < FIELDS => Some(Namespace::Word(usize::from(field))),
        head if head & !FORMS == ATTRIBUTE_WORD && head & FORMS != FORMS => {
            Reader::new(&key[1..]).str().ok().map(|_| Namespace::OtherWord)
        }
        head if usize::from(head & !FORMS) < FIELDS && head & FORMS != FORMS => Some(Namespace::OtherWord),
        TAG => Some(Namespace::Tag),
        KEYWORD => Reader::new(&key[1..]).str().ok().map(|_| Namespace::Keyword),
        TYPE | KIND => Some(Namespace::Type),
        COLUMN => {
            let kind = *ColumnKind::ALL.get(usize::from(*key.get(1)?))?;
            let is_named = kind >= ColumnKind::Integer;
            (std::str::from_utf8(&key[2..]).is_ok() && (is_named || key.len() == 2)).then_some(Namespace::Column(kind))
        }
        _ => None,
    }
}

/// Returns the field of a word's key, whatever the word's form.
pub(crate) fn field_of(key: &[u8]) -> Option<Field> {
    match namespace(key)? {
        Namespace::Word(_) | Namespace::OtherWord => match key[0] & !FORMS {
            0 => Some(Field::Any),
            1 => Some(Field::Title),
            2 => Some(Field::Author),
            _ => Some(Field::Attribute(Reader::new(&key[1..]).str().ok()?.into())),
        },
        _ => None,
    }
}

/// Returns whether a key denotes a content type (and not a kind).
pub(crate) fn is_content_type(key: &[u8]) -> bool {
    key.first() == Some(&TYPE)
}

fn form_bits(form: Form) -> u8 {
    match form {
        Form::Word => 0,
        Form::Compound => COMPOUND,
        Form::Unstemmed => UNSTEMMED,
    }
}

fn put_name(namespace: u8, name: &str, key: &mut Vec<u8>) {
    key.clear();
    key.push(namespace);
    key.extend_from_slice(name.as_bytes());
}

fn written(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut key = Vec::new();
    put(&mut key);
    key
}
