//! The records of a document's files, which are attributes of the document.

use std::path::Path;

use cim_ipld::Cid;
use cim_ipld::index::{Document, MAX_KEYWORD_BYTES, Value, content_id};

use super::{PathKey, Stamp};

/// The attribute with the paths, for searches and hits.
pub(crate) const PATHS: &str = "path";
/// The attribute with the records, in the order of the paths.
pub(super) const RECORDS: &str = "cim.file";
/// The beginning of the names of attributes that only this program sets.
pub(crate) const RESERVED_PREFIX: &str = "cim.";

/// The maximum number of names in a title. Further paths are only in the attributes.
const NAMES_IN_TITLE: usize = 8;

/// A file as it was when it was indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRecord {
    pub(crate) key: PathKey,
    /// The absolute path as it is displayed.
    pub(crate) path: String,
    /// The length in bytes of the displayed name, which is the end of the path: the path relative
    /// to the indexed folder.
    pub(crate) name_bytes: usize,
    pub(crate) stamp: Stamp,
}

impl FileRecord {
    fn name(&self) -> &str {
        let start = self.path.len().checked_sub(self.name_bytes);
        start.and_then(|start| self.path.get(start..)).unwrap_or(&self.path)
    }

    fn text(&self, cid: &Cid) -> String {
        format!("{} {} {cid} {}", self.key.as_str(), self.stamp, self.name_bytes)
    }
}

/// The parts of a record in the index.
pub(super) struct RecordText<'a> {
    pub(super) key: &'a str,
    pub(super) stamp: Stamp,
    pub(super) cid: Cid,
    name_bytes: usize,
}

impl<'a> RecordText<'a> {
    /// Parses a record. The key comes first and may contain spaces.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (rest, name_bytes) = text.rsplit_once(' ')?;
        let (rest, cid) = rest.rsplit_once(' ')?;
        let (before_size, _) = rest.rsplit_once(' ')?;
        let (key, _) = before_size.rsplit_once(' ')?;
        Some(Self {
            key,
            stamp: rest[key.len() + 1..].parse().ok()?,
            cid: content_id::parse(cid).ok()?,
            name_bytes: name_bytes.parse().ok()?,
        })
    }
}

/// Returns the records of a document, in the order of their paths.
pub(crate) fn of(document: &Document) -> Vec<FileRecord> {
    let values = |name| document.attributes.get(name).into_iter().flat_map(texts);
    let record = |(text, path): (&str, &str)| {
        let text = RecordText::parse(text)?;
        let key = PathKey::from_text(text.key);
        Some(FileRecord { key, path: path.to_owned(), name_bytes: text.name_bytes, stamp: text.stamp })
    };
    values(RECORDS).zip(values(PATHS)).filter_map(record).collect()
}

/// Sets the records of a document, and everything that follows from them: the title of their names,
/// the type, and the time of the last modification.
pub(crate) fn set<'a>(document: &mut Document, records: impl Iterator<Item = &'a FileRecord> + Clone) {
    let cid = document.cid;
    let list = |value: &dyn Fn(&FileRecord) -> Value| Value::List(records.clone().map(value).collect());
    document.attributes.insert(RECORDS.to_owned(), list(&|record| Value::Keyword(record.text(&cid))));
    document.attributes.insert(
        PATHS.to_owned(),
        list(&|record| match record.path.clone() {
            path if path.len() <= MAX_KEYWORD_BYTES => Value::String(path),
            path => Value::Text(path),
        }),
    );
    let names: Vec<&str> = records.clone().take(NAMES_IN_TITLE).map(FileRecord::name).collect();
    document.title = Some(names.join(" | "));
    document.content_type = names.first().map(|name| content_type(Path::new(name)).to_owned());
    document.modified_at = records.map(|record| record.stamp.modified()).max();
}

/// Returns the media type suggested by the name of a text file.
fn content_type(path: &Path) -> &'static str {
    let guess = mime_guess::from_path(path).first_raw().unwrap_or("text/plain");
    // Some extensions of source files belong to binary formats too (.ts), but this file is text.
    let binary =
        guess != "image/svg+xml" && ["audio/", "font/", "image/", "video/"].iter().any(|kind| guess.starts_with(kind));
    if binary || guess == "application/octet-stream" { "text/plain" } else { guess }
}

/// Returns the strings of a list attribute.
pub(crate) fn texts(list: &Value) -> impl Iterator<Item = &str> {
    let items = match list {
        Value::List(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().filter_map(|value| match value {
        Value::String(text) | Value::Keyword(text) | Value::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use cim_ipld::persistence::content_cid;

    use super::*;

    #[test]
    fn types_come_from_names() {
        for (name, expected) in [
            ("a.md", "text/markdown"),
            ("a.html", "text/html"),
            ("a.json", "application/json"),
            ("a.rs", "text/x-rust"),
            ("a.svg", "image/svg+xml"),
            ("a.ts", "text/plain"),
            ("a.bin", "text/plain"),
            ("LICENSE", "text/plain"),
        ] {
            assert_eq!(content_type(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let record = |path: &str, name_bytes| FileRecord {
            key: PathKey::of(Path::new(path)),
            path: path.to_owned(),
            name_bytes,
            stamp: "1700000000123456789? 12".parse().expect("a stamp"),
        };
        let records = [record("/d/a b 7 8.txt", 9), record(&format!("/d/{}", "long/".repeat(400)), 5)];
        let mut document = Document::new(content_cid(b"text"));
        set(&mut document, records.iter());
        assert_eq!(of(&document), records);
        assert_eq!(document.title.as_deref(), Some("b 7 8.txt | long/"));
        assert!(document.validate().is_ok(), "the path of any file can be indexed");
    }
}
