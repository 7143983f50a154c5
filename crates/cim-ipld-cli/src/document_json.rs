//! Documents and hits as JSON.

use std::collections::BTreeMap;

use cim_ipld::index::{Document, DocumentKind, Hit, SearchResults, Timestamp, Value};
use jiff::SignedDuration;
use jiff::civil::date;
use serde::Serialize;

use crate::file_records::{PATHS, RESERVED_PREFIX, texts};

/// A document with the fields of a JSON line. Missing fields are omitted.
#[derive(Debug, Serialize)]
pub(crate) struct DocumentJson<'a> {
    cid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// Only for images, audio and video, which programs index through the library.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'a str, serde_json::Value>,
}

/// The object of `search --json`. Every field is always present, here and in the hits.
#[derive(Debug, Serialize)]
pub(crate) struct ResultsJson<'a> {
    total: u64,
    hits: Vec<HitJson<'a>>,
    took_us: u64,
}

#[derive(Debug, Serialize)]
struct HitJson<'a> {
    cid: String,
    score: f32,
    title: Option<&'a str>,
    author: Option<&'a str>,
    tags: &'a [String],
    #[serde(rename = "type")]
    content_type: Option<&'a str>,
    /// The paths of its files, if it was read from files.
    paths: Vec<&'a str>,
    snippet: Option<&'a str>,
}

impl<'a> From<&'a Document> for DocumentJson<'a> {
    fn from(document: &'a Document) -> Self {
        let kind = (document.kind != DocumentKind::Document).then(|| kind_name(document.kind));
        Self {
            cid: document.cid.to_string(),
            title: document.title.as_deref(),
            author: document.author.as_deref(),
            tags: &document.tags,
            content_type: document.content_type.as_deref(),
            created_at: document.created_at.map(time_text),
            modified_at: document.modified_at.map(time_text),
            size: document.size,
            text: document.text.as_deref(),
            kind,
            attributes: (document.attributes.iter())
                .filter(|(name, _)| !name.starts_with(RESERVED_PREFIX))
                .map(|(name, value)| (name.as_str(), value_json(value)))
                .collect(),
        }
    }
}

impl<'a> ResultsJson<'a> {
    pub(crate) fn new(results: &'a SearchResults, took: std::time::Duration) -> Self {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Self { total: results.total, hits: results.hits.iter().map(HitJson::from).collect(), took_us }
    }
}

impl<'a> From<&'a Hit> for HitJson<'a> {
    fn from(hit: &'a Hit) -> Self {
        Self {
            cid: hit.cid.to_string(),
            score: hit.score,
            title: hit.title.as_deref(),
            author: hit.author.as_deref(),
            tags: &hit.tags,
            content_type: hit.content_type.as_deref(),
            paths: hit.attributes.get(PATHS).into_iter().flat_map(texts).collect(),
            snippet: hit.snippet.as_ref().map(|snippet| snippet.text.as_str()),
        }
    }
}

/// Returns the name of a kind of content.
pub(crate) fn kind_name(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Document => "document",
        DocumentKind::Image => "image",
        DocumentKind::Audio => "audio",
        DocumentKind::Video => "video",
        _ => "other",
    }
}

/// Formats a time as RFC 3339 in UTC with milliseconds. All times have the same width, so that they
/// sort as text. A time whose year does not have four digits is formatted as Unix milliseconds.
pub(crate) fn time_text(time: Timestamp) -> String {
    /// The years 0 to 9999.
    const FOUR_DIGITS: std::ops::Range<i64> = -62_167_219_200_000..253_402_300_800_000;
    if !FOUR_DIGITS.contains(&time.0) {
        return time.0.to_string();
    }
    // Not `jiff::Timestamp`, whose range ends a day earlier.
    let shown = date(1970, 1, 1).at(0, 0, 0, 0).saturating_add(SignedDuration::from_millis(time.0));
    shown.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn value_json(value: &Value) -> serde_json::Value {
    match value {
        // Booleans of a JSON line are stored as keywords.
        Value::Keyword(text) if text == "true" || text == "false" => (text == "true").into(),
        Value::Text(text) | Value::Keyword(text) | Value::String(text) => text.as_str().into(),
        Value::List(values) => values.iter().map(value_json).collect(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Date(time) => time_text(*time).into(),
        _ => serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_width() {
        for (milliseconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_120, "2023-11-14T22:13:20.120Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "253402300800000"),
            (i64::MIN, "-9223372036854775808"),
        ] {
            assert_eq!(time_text(Timestamp(milliseconds)), expected);
        }
    }
}
