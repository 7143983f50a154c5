//! Encodes documents as bytes, the form in which a segment stores them and a journal can record
//! them.
//!
//! Layout, version 1: version byte; flags (varint, one bit per optional field); CID
//! (length-prefixed binary form); kind byte; then, each only if its flag is set: title, author,
//! content type (length-prefixed UTF-8), created, modified (zigzag varints of milliseconds), size
//! (varint), tags (count, then each), attributes (count, then name, type byte and value; for a
//! list, the count and each type byte and value; sorted by name), text. The text comes last, so
//! that a reader of the metadata can stop before it.

use std::ops::Range;

use bytes::Bytes;
use cid::Cid;

use crate::document::content_id;
use crate::document::date::Timestamp;
use crate::document::{Document, DocumentKind, MAX_CID_BYTES, Value};
use crate::encoding::wire::{Reader, put_bytes, put_varint, unzigzag, zigzag};
use crate::error::{Error, ErrorKind, Result};

const VERSION: u8 = 1;

const TITLE: u64 = 1;
const AUTHOR: u64 = 1 << 1;
const CONTENT_TYPE: u64 = 1 << 2;
const CREATED_AT: u64 = 1 << 3;
const MODIFIED_AT: u64 = 1 << 4;
const SIZE: u64 = 1 << 5;
const TAGS: u64 = 1 << 6;
const ATTRIBUTES: u64 = 1 << 7;
const TEXT: u64 = 1 << 8;
const ALL_FLAGS: u64 = (1 << 9) - 1;

const TEXT_VALUE: u8 = 0;
const KEYWORD_VALUE: u8 = 1;
const INTEGER_VALUE: u8 = 2;
const FLOAT_VALUE: u8 = 3;
const DATE_VALUE: u8 = 4;
const STRING_VALUE: u8 = 5;
const LIST_VALUE: u8 = 6;

/// Encodes a document. [`decode`] returns an equal document.
///
/// Equal documents give equal bytes.
///
/// # Errors
///
/// [`ErrorKind::InvalidDocument`] if the document exceeds a limit (see [`Document::validate`]).
///
/// ```
/// use cim_ipld_index::{Document, codec};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let document = Document::new(cid).with_text("call me Ishmael");
/// assert_eq!(codec::decode(&codec::encode(&document)?)?, document);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode(document: &Document) -> Result<Vec<u8>> {
    let text_len = document.text.as_ref().map_or(0, String::len);
    let mut out = Vec::with_capacity(text_len + 256);
    encode_to(document, &mut out)?;
    Ok(out)
}

/// Returns the encoded document, in a buffer of exactly its size, and the range of the CID in it.
pub(crate) fn encode_shared(document: &Document) -> Result<(Bytes, Range<usize>)> {
    let mut out = Vec::with_capacity(document.text.as_ref().map_or(0, String::len) + 256);
    let cid = encode_to(document, &mut out)?;
    Ok((out.into_boxed_slice().into(), cid))
}

/// Appends the encoded document to `out` and returns the range of the CID in it.
fn encode_to(document: &Document, out: &mut Vec<u8>) -> Result<Range<usize>> {
    document.validate()?;
    out.push(VERSION);
    put_varint(out, flags(document));
    let mut buffer = [0; MAX_CID_BYTES];
    let cid = cid_to_bytes(&document.cid, &mut buffer).ok_or_else(|| Error::invalid_document("the CID is too long"))?;
    put_bytes(out, cid);
    let cid_place = out.len() - cid.len()..out.len();
    out.push(document.kind.code());
    for text in [&document.title, &document.author, &document.content_type].into_iter().flatten() {
        put_bytes(out, text.as_bytes());
    }
    for time in [document.created_at, document.modified_at].into_iter().flatten() {
        put_varint(out, zigzag(time.0));
    }
    if let Some(size) = document.size {
        put_varint(out, size);
    }
    if !document.tags.is_empty() {
        put_varint(out, document.tags.len() as u64);
        document.tags.iter().for_each(|tag| put_bytes(out, tag.as_bytes()));
    }
    if !document.attributes.is_empty() {
        put_varint(out, document.attributes.len() as u64);
        for (name, value) in &document.attributes {
            put_bytes(out, name.as_bytes());
            put_value(out, value);
        }
    }
    if let Some(text) = &document.text {
        put_bytes(out, text.as_bytes());
    }
    Ok(cid_place)
}

/// Decodes a document that [`encode`] wrote.
///
/// # Errors
///
/// [`ErrorKind::UnsupportedVersion`] for a newer layout, [`ErrorKind::Damaged`] for malformed
/// bytes. Memory use is bounded by a small multiple of the input.
pub fn decode(bytes: &[u8]) -> Result<Document> {
    let (mut document, mut rest) = decode_head(bytes)?;
    document.text = rest.take_text()?;
    Ok(document)
}

/// A valid encoded document, which [`Memtable::insert_encoded`](crate::Memtable::insert_encoded)
/// stores as it is.
///
/// The bytes are shared, not copied, and the text is not copied out of them.
///
/// ```
/// use cim_ipld_index::{Document, EncodedDocument, codec};
///
/// let cid: cid::Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse()?;
/// let document = Document::new(cid).with_text("call me Ishmael");
/// let encoded = EncodedDocument::decode(codec::encode(&document)?)?;
/// assert_eq!(encoded.cid(), cid);
/// assert_eq!(encoded.to_document(), document);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct EncodedDocument {
    bytes: Bytes,
    /// The document without its text.
    head: Document,
    cid: Range<usize>,
    text: Option<Range<usize>>,
}

impl EncodedDocument {
    /// Decodes a document that [`encode`] wrote.
    ///
    /// # Errors
    ///
    /// Those of [`decode`], and also [`ErrorKind::Damaged`] for a CIDv0, which [`encode`] never
    /// writes, and [`ErrorKind::InvalidDocument`] for a document that exceeds a limit.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        let (head, mut rest, cid) = decode_parts(&bytes)?;
        let text_len = rest.text()?.map(str::len);
        head.validate_with_text(text_len.unwrap_or(0))?;
        if content_id::canonical(head.cid) != head.cid {
            return Err(Error::damaged("a document has a CIDv0"));
        }
        // The text comes last.
        let text = text_len.map(|len| bytes.len() - len..bytes.len());
        Ok(Self { bytes, head, cid, text })
    }

    /// Returns the CID of the document.
    pub fn cid(&self) -> Cid {
        self.head.cid
    }

    /// Returns the document.
    pub fn to_document(&self) -> Document {
        Document { text: self.text().map(str::to_owned), ..self.head.clone() }
    }

    /// Returns the document without its text.
    pub(crate) fn head(&self) -> &Document {
        &self.head
    }

    pub(crate) fn text(&self) -> Option<&str> {
        let text = self.bytes.get(self.text.clone()?)?;
        Some(std::str::from_utf8(text).expect("the text was checked when it was decoded"))
    }

    /// Returns the encoded bytes and the range of the CID in them.
    pub(crate) fn encoded(&self) -> (&Bytes, Range<usize>) {
        (&self.bytes, self.cid.clone())
    }
}

/// The rest of an encoded document after the metadata: the text, if present.
pub(crate) struct Tail<'a> {
    reader: Reader<'a>,
    has_text: bool,
}

impl<'a> Tail<'a> {
    pub(crate) fn text(&mut self) -> Result<Option<&'a str>> {
        let text = if self.has_text { Some(self.reader.str()?) } else { None };
        if !self.reader.is_empty() {
            return Err(Error::damaged("trailing bytes follow a document"));
        }
        Ok(text)
    }

    fn take_text(&mut self) -> Result<Option<String>> {
        Ok(self.text()?.map(str::to_owned))
    }
}

/// Returns the document without its text, and the undecoded text.
pub(crate) fn decode_head(bytes: &[u8]) -> Result<(Document, Tail<'_>)> {
    let (document, tail, _) = decode_parts(bytes)?;
    Ok((document, tail))
}

/// Returns the document without its text, the undecoded text, and the range of the CID.
fn decode_parts(bytes: &[u8]) -> Result<(Document, Tail<'_>, Range<usize>)> {
    let mut reader = Reader::new(bytes);
    let (flags, cid) = decode_start(&mut reader)?;
    let cid_end = bytes.len() - reader.remaining();
    let cid_range = cid_end - cid.encoded_len()..cid_end;
    let mut document = Document::new(cid);
    document.kind =
        DocumentKind::from_code(reader.u8()?).ok_or_else(|| Error::damaged("a document has an unknown kind"))?;
    for (flag, field) in
        [(TITLE, &mut document.title), (AUTHOR, &mut document.author), (CONTENT_TYPE, &mut document.content_type)]
    {
        if flags & flag != 0 {
            *field = Some(reader.str()?.to_owned());
        }
    }
    for (flag, field) in [(CREATED_AT, &mut document.created_at), (MODIFIED_AT, &mut document.modified_at)] {
        if flags & flag != 0 {
            *field = Some(Timestamp(unzigzag(reader.varint()?)));
        }
    }
    if flags & SIZE != 0 {
        document.size = Some(reader.varint()?);
    }
    if flags & TAGS != 0 {
        for _ in 0..reader.count()? {
            document.tags.push(reader.str()?.to_owned());
        }
    }
    if flags & ATTRIBUTES != 0 {
        for _ in 0..reader.count()? {
            let name = reader.str()?.to_owned();
            let value = take_value(&mut reader)?;
            if document.attributes.insert(name, value).is_some() {
                return Err(Error::damaged("a document has a duplicate attribute"));
            }
        }
    }
    Ok((document, Tail { reader, has_text: flags & TEXT != 0 }, cid_range))
}

/// Returns only the CID of an encoded document.
pub(crate) fn decode_cid(bytes: &[u8]) -> Result<Cid> {
    Ok(decode_start(&mut Reader::new(bytes))?.1)
}

/// Writes the canonical binary form of a CID without allocating. Returns `None` if it is longer
/// than [`MAX_CID_BYTES`].
pub(crate) fn cid_to_bytes<'a>(cid: &Cid, buffer: &'a mut [u8; MAX_CID_BYTES]) -> Option<&'a [u8]> {
    let len = content_id::canonical(*cid).write_bytes(&mut buffer[..]).ok()?;
    Some(&buffer[..len])
}

/// Decodes a CID that takes up all of `bytes`.
pub(crate) fn cid_from_bytes(bytes: &[u8]) -> Result<Cid> {
    content_id::from_bytes(bytes).map_err(|error| Error::damaged("a CID is malformed").caused_by(error))
}

fn decode_start(reader: &mut Reader<'_>) -> Result<(u64, Cid)> {
    match reader.u8()? {
        VERSION => {}
        0 => return Err(Error::damaged("a document has no valid version byte")),
        newer => {
            return Err(Error::new(
                ErrorKind::UnsupportedVersion,
                format!("a document has layout version {newer}; this version supports up to {VERSION}"),
            ));
        }
    }
    let flags = reader.varint()?;
    if flags & !ALL_FLAGS != 0 {
        return Err(Error::damaged("a document has unknown flags"));
    }
    Ok((flags, cid_from_bytes(reader.bytes()?)?))
}

fn flags(document: &Document) -> u64 {
    [
        (TITLE, document.title.is_some()),
        (AUTHOR, document.author.is_some()),
        (CONTENT_TYPE, document.content_type.is_some()),
        (CREATED_AT, document.created_at.is_some()),
        (MODIFIED_AT, document.modified_at.is_some()),
        (SIZE, document.size.is_some()),
        (TAGS, !document.tags.is_empty()),
        (ATTRIBUTES, !document.attributes.is_empty()),
        (TEXT, document.text.is_some()),
    ]
    .into_iter()
    .filter_map(|(flag, set)| set.then_some(flag))
    .sum()
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            out.push(TEXT_VALUE);
            put_bytes(out, text.as_bytes());
        }
        Value::Keyword(text) => {
            out.push(KEYWORD_VALUE);
            put_bytes(out, text.as_bytes());
        }
        Value::Integer(number) => {
            out.push(INTEGER_VALUE);
            put_varint(out, zigzag(*number));
        }
        Value::Float(number) => {
            out.push(FLOAT_VALUE);
            out.extend(number.to_bits().to_le_bytes());
        }
        Value::Date(time) => {
            out.push(DATE_VALUE);
            put_varint(out, zigzag(time.0));
        }
        Value::String(text) => {
            out.push(STRING_VALUE);
            put_bytes(out, text.as_bytes());
        }
        Value::List(items) => {
            out.push(LIST_VALUE);
            put_varint(out, items.len() as u64);
            items.iter().for_each(|item| put_value(out, item));
        }
    }
}

fn take_value(reader: &mut Reader<'_>) -> Result<Value> {
    match reader.u8()? {
        LIST_VALUE => {
            let mut items = Vec::new();
            for _ in 0..reader.count()? {
                let kind = reader.u8()?;
                items.push(take_item(reader, kind)?);
            }
            Ok(Value::List(items))
        }
        kind => take_item(reader, kind),
    }
}

/// Decodes a value that is not a list.
fn take_item(reader: &mut Reader<'_>, kind: u8) -> Result<Value> {
    Ok(match kind {
        TEXT_VALUE => Value::Text(reader.str()?.to_owned()),
        KEYWORD_VALUE => Value::Keyword(reader.str()?.to_owned()),
        INTEGER_VALUE => Value::Integer(unzigzag(reader.varint()?)),
        FLOAT_VALUE => Value::Float(f64::from_bits(u64::from_le_bytes(reader.array()?))),
        DATE_VALUE => Value::Date(Timestamp(unzigzag(reader.varint()?))),
        STRING_VALUE => Value::String(reader.str()?.to_owned()),
        _ => return Err(Error::damaged("an attribute has an unknown type")),
    })
}
