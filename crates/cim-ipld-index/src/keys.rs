//! Keys of posting lists, sets and columns: one byte that says what is named, then the name.
//!
//! Where a field's name is followed by something, the name has its length in front (varint).

use crate::analysis::Form;
use crate::text_field::Field;
use crate::wire::{Reader, put_bytes};

/// The number of text fields that every document may have.
pub(crate) const FIELDS: usize = 3;

const ATTRIBUTE_WORD: u8 = 0x08;
/// What is added to the first byte of a word's key where the word is of another form.
const COMPOUND: u8 = 0x40;
const UNSTEMMED: u8 = 0x80;
const FORMS: u8 = COMPOUND | UNSTEMMED;
const TAG: u8 = 0x10;
const KEYWORD: u8 = 0x11;
const TYPE: u8 = 0x20;
const KIND: u8 = 0x21;
const COLUMN: u8 = 0x30;

/// Says what a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// A word of a text field.
    Word(usize),
    /// A word of an attribute, or of a text field in a form that does not count for its length.
    OtherWord,
    /// A tag.
    Tag,
    /// An attribute that is a keyword, with its value.
    Keyword,
    /// A content type or a kind.
    Type,
    /// A field with numbers.
    Column(ColumnKind),
}

/// Says what the numbers of a column are. The codes are part of the format and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum ColumnKind {
    Created = 0,
    Modified = 1,
    Size = 2,
    /// A whole number of an attribute.
    Integer = 3,
    /// A number of an attribute.
    Float = 4,
    /// A time of an attribute.
    Date = 5,
    /// The number of words of an attribute that is a text.
    Length = 6,
}

impl ColumnKind {
    const ALL: [Self; 7] =
        [Self::Created, Self::Modified, Self::Size, Self::Integer, Self::Float, Self::Date, Self::Length];
}

/// What is counted of distinct keys, by the place of its count.
pub(crate) const COUNTED: usize = 3;

/// Returns the place of the count of distinct words, tags or content types that a key belongs to,
/// given its first byte.
pub(crate) fn counted(namespace: u8) -> Option<usize> {
    match namespace {
        TAG => Some(1),
        TYPE => Some(2),
        KEYWORD | KIND | COLUMN => None,
        _ => Some(0),
    }
}

/// Returns the first byte of the keys of words of a form in a field that every document may have,
/// given its place.
#[inline]
pub(crate) fn word_head(form: Form, field: usize) -> u8 {
    form_bits(form) | field as u8
}

/// Writes what the keys of all words of a form in an attribute start with.
pub(crate) fn put_attribute(form: Form, name: &str, key: &mut Vec<u8>) {
    key.clear();
    key.push(form_bits(form) | ATTRIBUTE_WORD);
    put_bytes(key, name.as_bytes());
}

/// Writes the key of a word of a field that every document may have, given its place.
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

/// Writes the key of a tag, which has been folded.
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

/// Writes the key of a content type, which has been folded.
pub(crate) fn put_content_type(folded: &str, key: &mut Vec<u8>) {
    put_name(TYPE, folded, key);
}

/// Writes the key of a kind.
pub(crate) fn put_kind(code: u8, key: &mut Vec<u8>) {
    key.clear();
    key.extend([KIND, code]);
}

/// The key of a tag, which has been folded.
pub(crate) fn tag(folded: &str) -> Vec<u8> {
    written(|key| put_tag(folded, key))
}

/// The key of a keyword.
pub(crate) fn keyword(name: &str, value: &str) -> Vec<u8> {
    written(|key| put_keyword(name, value, key))
}

/// The key of a content type, which has been folded.
pub(crate) fn content_type(folded: &str) -> Vec<u8> {
    written(|key| put_content_type(folded, key))
}

pub(crate) fn kind(code: u8) -> Vec<u8> {
    written(|key| put_kind(code, key))
}

/// The key of a column; the name is that of an attribute, or empty.
pub(crate) fn column(kind: ColumnKind, name: &str) -> Vec<u8> {
    let mut key = vec![COLUMN, kind as u8];
    key.extend_from_slice(name.as_bytes());
    key
}

/// Says what a key names, if it is a key of this format.
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

/// Returns the field in which the key of a word looks, whatever its form.
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

/// Says whether a key names a content type (and not a kind).
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
