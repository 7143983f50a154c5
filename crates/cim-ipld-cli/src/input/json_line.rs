//! JSON lines, with one document per line.
//!
//! An error names the position and the expected value and never quotes the line, because the
//! documents of an encrypted index must not end up in a log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use cim_ipld::index::{self, Document, MAX_DOCUMENT_BYTES, MAX_KEYWORD_BYTES, Timestamp, content_id};
use cim_ipld::persistence::content_cid;
use serde_json::Value;

use super::json_fields::Fields;
use super::{Batcher, Item, Skipped, Stop, unreadable};
use crate::failure::Failure;

/// The maximum length of a line: a document of maximum size with every byte escaped.
const MAX_LINE_BYTES: u64 = 6 * MAX_DOCUMENT_BYTES as u64;

const BUFFER_BYTES: usize = 256 << 10;

/// The UTF-8 byte order mark that some programs write before the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Returns whether the name of a file indicates JSON lines.
pub(super) fn is_named(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| ["jsonl", "ndjson"].iter().any(|name| extension.eq_ignore_ascii_case(name)))
}

pub(super) fn read_file(path: &Path, batcher: &mut Batcher, skipped: &mut Skipped) -> Result<(), Stop> {
    let place = path.display().to_string();
    let file = File::open(path).map_err(|error| unreadable(&place, &error))?;
    read(BufReader::with_capacity(BUFFER_BYTES, file), &place, batcher, skipped)
}

pub(super) fn read(
    mut input: impl BufRead,
    place: &dyn std::fmt::Display,
    batcher: &mut Batcher,
    skipped: &mut Skipped,
) -> Result<(), Stop> {
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let mut limited = std::io::Read::take(&mut input, MAX_LINE_BYTES);
        let read = limited.read_until(b'\n', &mut line).map_err(|error| unreadable(place, &error))?;
        if read == 0 {
            break;
        }
        let content = line.strip_suffix(b"\n").unwrap_or(&line);
        let content = if number == 1 { content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content) } else { content };
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        if content.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let document = document(content, skipped).map_err(|what| {
            let hint = "correct that line and run the command again; documents that are already stored are replaced";
            Failure::new(format!("{place}: line {number}: {what}"), hint)
        })?;
        batcher.add(Item::Line(document), content.len() as u64)?;
    }
    Ok(())
}

/// Parses a line as a JSON object.
fn fields(line: &[u8]) -> Result<Fields, String> {
    serde_json::from_slice(line).or_else(|error| {
        if !error.is_data() {
            return Err(syntax(&error));
        }
        let other: Value = serde_json::from_slice(line).map_err(|error| syntax(&error))?;
        Err(format!("expected a JSON object, found {}", kind(&other)))
    })
}

/// Parses one line. Unknown fields are counted and ignored; `null` is the same as a missing field.
fn document(line: &[u8], skipped: &mut Skipped) -> Result<Document, String> {
    let mut fields = fields(line)?;
    let cid = match text(&mut fields, "cid")? {
        Some(cid) => content_id::parse(&cid).map_err(|error| format!("cid: {error}"))?,
        None => content_cid(line),
    };
    let mut document = Document::new(cid);
    document.title = text(&mut fields, "title")?;
    document.author = text(&mut fields, "author")?;
    document.tags = texts(&mut fields, "tags")?;
    document.content_type = text(&mut fields, "type")?;
    document.created_at = time(&mut fields, "created_at")?;
    document.modified_at = time(&mut fields, "modified_at")?;
    document.size = count(&mut fields, "size")?;
    document.text = text(&mut fields, "text")?;
    document.attributes = attributes(&mut fields)?;
    for name in &fields.unknown {
        skipped.unknown_field(name);
    }
    document.validate().map_err(|error| error.to_string())?;
    Ok(document)
}

fn text(fields: &mut Fields, name: &str) -> Result<Option<String>, String> {
    match fields.take(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(mismatch(name, "a string", &other)),
    }
}

fn texts(fields: &mut Fields, name: &str) -> Result<Vec<String>, String> {
    let values = match fields.take(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(values)) => values,
        Some(other) => return Err(mismatch(name, "an array of strings", &other)),
    };
    let text = |value| match value {
        Value::String(text) => Ok(text),
        other => Err(mismatch(name, "strings in the array", &other)),
    };
    values.into_iter().map(text).collect()
}

fn count(fields: &mut Fields, name: &str) -> Result<Option<u64>, String> {
    match fields.take(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(count) => Ok(Some(count)),
            None => Err(mismatch(name, "a whole number from 0 to 18446744073709551615", &value)),
        },
    }
}

/// Parses a time: a date in query syntax, or Unix seconds.
fn time(fields: &mut Fields, name: &str) -> Result<Option<Timestamp>, String> {
    const EXPECTED: &str = "a date such as 2024-02-29 or 2024-02-29T12:00:00Z, or Unix seconds";
    let value = match fields.take(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let time = match &value {
        Value::String(text) => text.parse::<Timestamp>().ok(),
        // The range that jiff can format. Milliseconds given as seconds are far outside.
        Value::Number(number) => match number.as_i64() {
            Some(seconds) => jiff::Timestamp::from_second(seconds).ok().map(|time| time.as_millisecond()),
            None => number.as_f64().and_then(|seconds| {
                let milliseconds = (seconds * 1000.0).round();
                // A float converts to the nearest integer; jiff refuses what is out of its range.
                jiff::Timestamp::from_millisecond(milliseconds as i64).ok().map(|time| time.as_millisecond())
            }),
        }
        .map(Timestamp),
        _ => None,
    };
    time.map(Some).ok_or_else(|| match value {
        Value::String(_) | Value::Number(_) => format!("{name}: expected {EXPECTED}"),
        other => mismatch(name, EXPECTED, &other),
    })
}

fn attributes(fields: &mut Fields) -> Result<BTreeMap<String, index::Value>, String> {
    let attributes = match fields.take("attributes") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(attributes)) => attributes,
        Some(other) => return Err(mismatch("attributes", "an object", &other)),
    };
    let mut read = BTreeMap::new();
    for (name, value) in attributes {
        if let Some(value) = attribute(value)? {
            read.insert(name, value);
        }
    }
    Ok(read)
}

/// Parses the value of an attribute. A string becomes a date if it is a date with year, month and
/// day.
fn attribute(value: Value) -> Result<Option<index::Value>, String> {
    let value = match value {
        Value::Null => return Ok(None),
        Value::Array(values) => {
            let values = values.into_iter().filter(|value| !value.is_null()).map(|value| match value {
                Value::Array(_) => Err(mismatch("attributes", "no nested lists", &value)),
                value => item(value),
            });
            index::Value::List(values.collect::<Result<_, _>>()?)
        }
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(time) if text.len() >= "2024-02-29".len() => index::Value::Date(time),
            _ => string(text),
        },
        value => item(value)?,
    };
    Ok(Some(value))
}

fn item(value: Value) -> Result<index::Value, String> {
    Ok(match value {
        Value::Bool(truth) => index::Value::Keyword(truth.to_string()),
        Value::String(text) => string(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => index::Value::Integer(whole),
            (None, Some(number)) => index::Value::Float(number),
            (None, None) => return Err("attributes: a number is out of range".to_owned()),
        },
        other => return Err(mismatch("attributes", "strings, numbers, dates, booleans and lists of them", &other)),
    })
}

/// Returns a string that is searchable by word and by exact value, or by word only if it is too
/// long.
fn string(text: String) -> index::Value {
    if text.len() <= MAX_KEYWORD_BYTES { index::Value::String(text) } else { index::Value::Text(text) }
}

fn mismatch(name: &str, expected: &str, found: &Value) -> String {
    format!("{name}: expected {expected}, found {}", kind(found))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number that is not whole",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Returns the message of serde_json without its line number. The message quotes no input, because
/// lines are parsed as arbitrary values.
fn syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!("not JSON at column {}: {what}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_read() {
        let line = br#"{"cid":"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy","title":"T","author":"A",
            "tags":["x","y"],"type":"text/plain","created_at":"2024-02-29T12:00:00.5+01:00","modified_at":1700000000,
            "size":7,"text":"W","lang":"en"}"#;
        let mut skipped = Skipped::default();
        let read = document(line, &mut skipped).expect("the line is a document");
        let expected =
            Document::new("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse().expect("a CID"))
                .with_title("T")
                .with_author("A")
                .with_tag("x")
                .with_tag("y")
                .with_content_type("text/plain")
                .with_created_at(Timestamp(1_709_204_400_500))
                .with_modified_at(Timestamp(1_700_000_000_000))
                .with_size(7)
                .with_text("W");
        assert_eq!(read, expected);
        assert_eq!(skipped.lines(), ["ignored 1 unknown fields: lang"]);
    }

    #[test]
    fn attributes_are_read_by_what_they_are() {
        use index::Value::{Date, Float, Integer, Keyword, List, String};
        for (value, expected) in [
            (r#""en""#, String("en".into())),
            (r#""2024""#, String("2024".into())),
            (r#""1970-01-02""#, Date(Timestamp(86_400_000))),
            (r#""1970-01-01T00:00:01Z""#, Date(Timestamp(1000))),
            ("7", Integer(7)),
            ("1.5", Float(1.5)),
            ("true", Keyword("true".into())),
            (r#"["a", 2, null, false]"#, List(vec![String("a".into()), Integer(2), Keyword("false".into())])),
        ] {
            let line = format!(r#"{{"attributes":{{"x":{value},"y":null}}}}"#);
            let read = document(line.as_bytes(), &mut Skipped::default()).expect(&line);
            assert_eq!(read.attributes, BTreeMap::from([("x".to_owned(), expected)]), "{value}");
        }
        let long = format!(r#"{{"attributes":{{"x":"{}"}}}}"#, "a ".repeat(MAX_KEYWORD_BYTES));
        let read = document(long.as_bytes(), &mut Skipped::default()).expect("a long text is words");
        assert!(matches!(read.attributes["x"], index::Value::Text(_)));
    }

    #[test]
    fn a_line_without_cid_has_that_of_its_bytes() {
        for line in ["{}", r#"{"text":"a"}"#, r#"{ "text" : "a" , "cid" : null }"#] {
            let read = document(line.as_bytes(), &mut Skipped::default()).expect("the line is a document");
            assert_eq!(read.cid, content_cid(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn times_are_read() {
        for (value, expected) in [
            (r#""1970-01-01T00:00:00Z""#, Some(0)),
            (r#""2023-11-14T22:13:20.123Z""#, Some(1_700_000_000_123)),
            (r#""2023-11-14T23:13:20+01:00""#, Some(1_700_000_000_000)),
            ("1700000000", Some(1_700_000_000_000)),
            ("-1", Some(-1000)),
            ("1700000000.1235", Some(1_700_000_000_124)),
            ("1700000000000", None),
            ("1e300", None),
            (r#""2023-11-14""#, Some(1_699_920_000_000)),
            (r#""2023-11-14T22:13""#, Some(1_700_000_000_000 - 20_000)),
            (r#""2023-11-14 22:13:20""#, Some(1_700_000_000_000)),
            (r#""2023-02-30""#, None),
            (r#""yesterday""#, None),
            ("true", None),
        ] {
            let line = format!(r#"{{"created_at":{value}}}"#);
            let read = document(line.as_bytes(), &mut Skipped::default());
            let read = read.ok().and_then(|document| document.created_at).map(|time| time.0);
            assert_eq!(read, expected, "{value}");
        }
    }

    #[test]
    fn a_bad_line_is_named_by_what_was_expected_and_never_quoted() {
        for (line, expected) in [
            ("{\"secret", "not JSON at column 8: EOF while parsing a string"),
            ("\"secret\"", "expected a JSON object, found a string"),
            ("{\"title\":\"secret\"} secret", "not JSON at column 20: trailing characters"),
            ("{\"title\":5}", "title: expected a string, found a number"),
            ("{\"tags\":\"secret\"}", "tags: expected an array of strings, found a string"),
            ("{\"tags\":[1]}", "tags: expected strings in the array, found a number"),
            ("{\"size\":-1}", "size: expected a whole number from 0 to 18446744073709551615, found a number"),
            (
                "{\"size\":1.5}",
                "size: expected a whole number from 0 to 18446744073709551615, found a number that is not whole",
            ),
            ("{\"cid\":\"secret\"}", "cid: invalid CID: not a multibase encoding"),
            ("{\"attributes\":\"secret\"}", "attributes: expected an object, found a string"),
            (
                "{\"attributes\":{\"a\":{\"b\":\"secret\"}}}",
                "attributes: expected strings, numbers, dates, booleans and lists of them, found an object",
            ),
            ("{\"attributes\":{\"a\":[[]]}}", "attributes: expected no nested lists, found an array"),
            (
                "{\"created_at\":\"secret\"}",
                "created_at: expected a date such as 2024-02-29 or 2024-02-29T12:00:00Z, or Unix seconds",
            ),
        ] {
            let said = document(line.as_bytes(), &mut Skipped::default()).expect_err(line);
            assert_eq!(said, expected, "{line}");
        }
        let long = format!(r#"{{"tags":["{}"]}}"#, "x".repeat(513));
        let said = document(long.as_bytes(), &mut Skipped::default()).expect_err("the tag is too long");
        assert!(said.contains("512") && !said.contains("xxx"), "{said}");
    }
}
