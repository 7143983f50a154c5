//! Documents and their limits.

pub mod cid_text;
pub mod codec;
pub mod content_id;
pub(crate) mod date;
pub(crate) mod text_field;

use std::collections::BTreeMap;

use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::document::date::Timestamp;
use crate::error::{Error, Result};

/// The maximum length of a CID, in bytes.
pub const MAX_CID_BYTES: usize = 128;
/// The maximum number of tags of a document.
pub const MAX_TAGS: usize = 1024;
/// The maximum length of a tag or content type, in bytes.
pub const MAX_TAG_BYTES: usize = 512;
/// The maximum number of attributes of a document.
pub const MAX_ATTRIBUTES: usize = 256;
/// The maximum length of an attribute name, in bytes.
pub const MAX_ATTRIBUTE_NAME_BYTES: usize = 256;
/// The maximum number of values in a list attribute.
pub const MAX_LIST_VALUES: usize = 16_384;
/// The maximum length of a keyword attribute, in bytes.
pub const MAX_KEYWORD_BYTES: usize = 1024;
/// The maximum size of a document's texts together (title, author, text and attributes), in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 128 * 1024 * 1024;

/// The kind of content that a document describes.
///
/// ```
/// use cim_ipld_index::DocumentKind;
///
/// assert_eq!(DocumentKind::from_code(DocumentKind::Audio.code()), Some(DocumentKind::Audio));
/// assert_eq!(DocumentKind::default(), DocumentKind::Document);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[repr(u8)]
pub enum DocumentKind {
    /// Text of any format.
    #[default]
    Document = 0,
    /// A still image.
    Image = 1,
    /// Sound.
    Audio = 2,
    /// Video.
    Video = 3,
}

/// The value of an attribute. Its type determines how it is indexed.
///
/// ```
/// use cim_ipld_index::{Document, MemoryIndex, Query, SearchOptions, Value};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let index = MemoryIndex::new();
/// let lang = Value::List(vec![Value::Keyword("en".into()), Value::Keyword("fr".into())]);
/// index.insert(&Document::new(cid).with_attribute("year", Value::Integer(1851)).with_attribute("lang", lang))?;
/// assert_eq!(index.search(&Query::parse("year:[1800 TO 1900] lang:fr")?, &SearchOptions::default())?.total, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Value {
    /// Text that is split into words. If it is nothing but a date with year, month and day, it is
    /// also a [`Date`](Self::Date) for ranges and sorting.
    Text(String),
    /// A name that only matches exactly.
    Keyword(String),
    /// An integer, for ranges and sorting.
    Integer(i64),
    /// A floating-point number, for ranges and sorting. Every bit pattern is preserved; NaN is not
    /// indexed.
    Float(f64),
    /// A point in time, for ranges and sorting.
    Date(Timestamp),
    /// Both a [`Text`](Self::Text) and a [`Keyword`](Self::Keyword).
    String(String),
    /// Several values, none of which is a list. Each string and keyword matches exactly; the words
    /// of all strings and texts are indexed, and no phrase matches across two values. Ranges and
    /// sorting use the smallest number and the earliest date.
    List(Vec<Value>),
}

/// One entry of the index: a CID and the metadata of the content it identifies.
///
/// ```
/// use cim_ipld_index::{Document, Timestamp, Value};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let document = Document::new(cid)
///     .with_title("Whale song")
///     .with_tag("ocean")
///     .with_content_type("audio/flac")
///     .with_created_at(Timestamp(1_700_000_000_000))
///     .with_attribute("duration_ms", Value::Integer(93_000));
/// assert!(document.validate().is_ok());
/// # Ok::<(), cid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Document {
    /// Identifies the content. An index contains one live document per CID. A CIDv0 is stored as
    /// the equivalent CIDv1.
    pub cid: Cid,
    /// The title, searched by default and with `title:`.
    pub title: Option<String>,
    /// The author, searched by default and with `author:`.
    pub author: Option<String>,
    /// Names to filter by. A tag matches as a whole, and is folded like a word: case, accents of
    /// Latin and Greek letters, and compatibility forms are ignored.
    pub tags: Vec<String>,
    /// The media type, compared ignoring case.
    pub content_type: Option<String>,
    /// When the content was created.
    pub created_at: Option<Timestamp>,
    /// When the content was last changed.
    pub modified_at: Option<Timestamp>,
    /// The size of the content in bytes.
    pub size: Option<u64>,
    /// The text to search.
    pub text: Option<String>,
    /// The kind of content.
    pub kind: DocumentKind,
    /// Custom fields. Any document may add new ones; each is indexed by the type of its value.
    pub attributes: BTreeMap<String, Value>,
}

impl Value {
    /// Returns the values of a list, or the single value itself.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            value => std::slice::from_ref(value),
        }
    }
}

impl DocumentKind {
    /// All kinds, in order of their codes.
    pub const ALL: [Self; 4] = [Self::Document, Self::Image, Self::Audio, Self::Video];

    /// Returns the stable code of the kind.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns the kind with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl Document {
    /// Creates a document with only a CID.
    pub fn new(cid: Cid) -> Self {
        Self {
            cid,
            title: None,
            author: None,
            tags: Vec::new(),
            content_type: None,
            created_at: None,
            modified_at: None,
            size: None,
            text: None,
            kind: DocumentKind::Document,
            attributes: BTreeMap::new(),
        }
    }

    /// Sets the title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets the author.
    #[must_use]
    pub fn with_author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Sets the content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Sets when the content was created.
    #[must_use]
    pub fn with_created_at(mut self, at: Timestamp) -> Self {
        self.created_at = Some(at);
        self
    }

    /// Sets when the content was last changed.
    #[must_use]
    pub fn with_modified_at(mut self, at: Timestamp) -> Self {
        self.modified_at = Some(at);
        self
    }

    /// Sets the size of the content in bytes.
    #[must_use]
    pub fn with_size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Sets the text to search.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Sets the kind of content.
    #[must_use]
    pub fn with_kind(mut self, kind: DocumentKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets an attribute.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: Value) -> Self {
        self.attributes.insert(name.into(), value);
        self
    }

    /// Checks the document against the limits of the index.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`](crate::ErrorKind::InvalidDocument), naming the limit that is
    /// exceeded.
    pub fn validate(&self) -> Result<()> {
        self.validate_with_text(self.text.as_ref().map_or(0, String::len))
    }

    /// Validates a document whose text has `text_len` bytes and may be stored elsewhere.
    pub(crate) fn validate_with_text(&self, text_len: usize) -> Result<()> {
        limit("the CID", self.cid.encoded_len(), MAX_CID_BYTES)?;
        if self.tags.len() > MAX_TAGS {
            return Err(Error::invalid_document(format!("{} tags; the limit is {MAX_TAGS}", self.tags.len())));
        }
        for tag in self.tags.iter().chain(&self.content_type) {
            limit("a tag or content type", tag.len(), MAX_TAG_BYTES)?;
        }
        if self.attributes.len() > MAX_ATTRIBUTES {
            let count = self.attributes.len();
            return Err(Error::invalid_document(format!("{count} attributes; the limit is {MAX_ATTRIBUTES}")));
        }
        for (name, value) in &self.attributes {
            limit("an attribute name", name.len(), MAX_ATTRIBUTE_NAME_BYTES)?;
            if value.items().len() > MAX_LIST_VALUES {
                let count = value.items().len();
                return Err(Error::invalid_document(format!(
                    "a list of {count} values; the limit is {MAX_LIST_VALUES}"
                )));
            }
            for value in value.items() {
                match value {
                    Value::Keyword(keyword) | Value::String(keyword) => {
                        limit("a keyword", keyword.len(), MAX_KEYWORD_BYTES)?
                    }
                    Value::List(_) => return Err(Error::invalid_document("a list attribute contains a list")),
                    _ => {}
                }
            }
        }
        limit("the document", self.text_bytes() + text_len, MAX_DOCUMENT_BYTES)
    }

    /// Returns the size of all texts but the main one, in bytes.
    fn text_bytes(&self) -> usize {
        let attributes = self.attributes.values().flat_map(Value::items).map(|value| match value {
            Value::Text(text) | Value::Keyword(text) | Value::String(text) => text.len(),
            _ => 0,
        });
        [&self.title, &self.author].into_iter().flatten().map(String::len).chain(attributes).sum()
    }
}

fn limit(what: &str, bytes: usize, limit: usize) -> Result<()> {
    if bytes > limit {
        return Err(Error::invalid_document(format!("{what} takes {bytes} bytes; the limit is {limit}")));
    }
    Ok(())
}
