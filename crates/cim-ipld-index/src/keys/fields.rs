//! Extracts the keys of a document: its words with their positions, names and numbers.

use crate::analysis::{Analyzer, Form, Scratch, fold_keyword};
use crate::document::{Document, Value, date};
use crate::encoding::numbers;
use crate::keys::{self, ColumnKind, FIELDS};

/// The gap in positions between two parts of the combined field, and between two values of a list,
/// so that no phrase matches across them.
const FIELD_GAP: u32 = 32;

/// Calls `each` with every word: its form, the index of its field (see
/// [`Field::index`](crate::document::text_field::Field::index)), the word, and its position.
/// Returns the number of words of each field, not counting other forms. `text` is the main text of
/// the document.
///
/// The combined field contains text, title and author in this order, so that positions in the text,
/// the longest part, are small. Every position is below 2^28, because every document is shorter
/// than that.
pub(crate) fn visit_words(
    document: &Document,
    text: Option<&str>,
    analyzer: &Analyzer,
    scratch: &mut Scratch,
    mut each: impl FnMut(Form, usize, &str, u32),
) -> [u32; FIELDS] {
    let mut lengths = [0; FIELDS];
    let mut base = 0;
    let fields = [text, document.title.as_deref(), document.author.as_deref()];
    for (field, text) in fields.into_iter().enumerate() {
        let Some(text) = text else { continue };
        let positions = analyzer.analyze(text, scratch, |form, token| {
            let counted = u32::from(form == Form::Word);
            each(form, 0, token.word, base + token.position);
            lengths[0] += counted;
            if field > 0 {
                each(form, field, token.word, token.position);
                lengths[field] += counted;
            }
        });
        base += positions + FIELD_GAP;
    }
    lengths
}

/// The value of an attribute that has words: a text, or a list with texts.
pub(crate) struct AttributeText<'a>(&'a Value);

/// Iterates over the attributes that have words.
pub(crate) fn texts(document: &Document) -> impl Iterator<Item = (&str, AttributeText<'_>)> {
    let texts = document.attributes.iter().map(|(name, value)| (name.as_str(), AttributeText(value)));
    texts.filter(|(_, text)| text.parts().next().is_some())
}

impl<'a> AttributeText<'a> {
    fn parts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.items().iter().filter_map(|value| match value {
            Value::Text(text) | Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Returns the length of the text, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.parts().map(str::len).sum()
    }

    /// Calls `each` with every word: its form, the word, and its position.
    pub(crate) fn visit_words(
        &self,
        analyzer: &Analyzer,
        scratch: &mut Scratch,
        mut each: impl FnMut(Form, &str, u32),
    ) {
        let mut base = 0;
        for text in self.parts() {
            base += FIELD_GAP
                + analyzer.analyze(text, scratch, |form, token| each(form, token.word, base + token.position));
        }
    }
}

/// Calls `each` with the key of every tag, keyword, content type and kind, written to `key`. Tags
/// that fold to the same text give the same key several times.
pub(crate) fn visit_names(document: &Document, key: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
    for tag in &document.tags {
        keys::put_tag(&fold_keyword(tag), key);
        each(key);
    }
    for (name, value) in &document.attributes {
        let is_list = matches!(value, Value::List(_));
        for item in value.items() {
            let name_of_number: String;
            let value = match item {
                Value::Keyword(value) | Value::String(value) => value,
                Value::Integer(number) if is_list => {
                    name_of_number = number.to_string();
                    &name_of_number
                }
                Value::Float(number) if is_list && number.is_finite() => {
                    name_of_number = number.to_string();
                    &name_of_number
                }
                _ => continue,
            };
            keys::put_keyword(name, value, key);
            each(key);
        }
    }
    if let Some(content_type) = &document.content_type {
        keys::put_content_type(&fold_keyword(content_type), key);
        each(key);
    }
    keys::put_kind(document.kind.code(), key);
    each(key);
}

/// Calls `each` with every number of the document that is stored in a column, except lengths: the
/// column kind, the attribute's name and the code.
pub(crate) fn visit_numbers<E>(
    document: &Document,
    mut each: impl FnMut(ColumnKind, &str, u64) -> Result<(), E>,
) -> Result<(), E> {
    let own = [
        (ColumnKind::Created, document.created_at.map(|time| numbers::of_integer(time.0))),
        (ColumnKind::Modified, document.modified_at.map(|time| numbers::of_integer(time.0))),
        (ColumnKind::Size, document.size),
    ];
    for (kind, number) in own {
        if let Some(number) = number {
            each(kind, "", number)?;
        }
    }
    for (name, value) in &document.attributes {
        for kind in [ColumnKind::Integer, ColumnKind::Float, ColumnKind::Date] {
            let number = |value: &Value| match (kind, value) {
                (ColumnKind::Integer, Value::Integer(number)) => Some(numbers::of_integer(*number)),
                (ColumnKind::Float, Value::Float(number)) => numbers::of_float(*number),
                (ColumnKind::Date, Value::Date(time)) => Some(numbers::of_integer(time.0)),
                (ColumnKind::Date, Value::Text(text) | Value::String(text)) => {
                    date::of_text(text).map(|time| numbers::of_integer(time.0))
                }
                _ => None,
            };
            // A column stores one number per document. Codes sort like the numbers they encode.
            if let Some(number) = value.items().iter().filter_map(number).min() {
                each(kind, name, number)?;
            }
        }
    }
    Ok(())
}
