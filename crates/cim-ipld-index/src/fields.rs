//! From a document to its keys: which words stand where, which names it has.

use crate::analysis::{Analyzer, Scratch, fold_keyword};
use crate::document::Document;
use crate::keys::{self, FIELDS};
use crate::query::Field;

/// The positions left free between two parts of the combined field, so that no phrase spans them.
const FIELD_GAP: u32 = 32;

/// Calls `each` for every word: its field, the word, its position. Returns the number of words of each field.
///
/// The combined field holds text, title and author in this order, so that positions in the text, which has the most of
/// them, are small. No position reaches 2^28, since no document does.
pub(crate) fn visit_words(
    document: &Document,
    analyzer: &Analyzer,
    scratch: &mut Scratch,
    mut each: impl FnMut(Field, &str, u32),
) -> [u32; FIELDS] {
    let mut lengths = [0; FIELDS];
    let mut base = 0;
    let parts =
        [(None, &document.text), (Some(Field::Title), &document.title), (Some(Field::Author), &document.author)];
    for (field, text) in parts {
        let Some(text) = text else { continue };
        let positions = analyzer.analyze(text, scratch, |token| {
            each(Field::Any, token.word, base + token.position);
            lengths[Field::Any.index()] += 1;
            if let Some(field) = field {
                each(field, token.word, token.position);
                lengths[field.index()] += 1;
            }
        });
        base += positions + FIELD_GAP;
    }
    lengths
}

/// Calls `each` once for the key of every tag, of the content type and of the kind.
pub(crate) fn visit_names<E>(document: &Document, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut tags: Vec<String> = document.tags.iter().map(|tag| fold_keyword(tag)).collect();
    tags.sort_unstable();
    tags.dedup();
    for tag in &tags {
        each(&keys::tag(tag))?;
    }
    if let Some(content_type) = &document.content_type {
        each(&keys::content_type(&fold_keyword(content_type)))?;
    }
    each(&keys::kind(document.kind.code()))
}
