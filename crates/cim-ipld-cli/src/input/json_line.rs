//! JSON lines, with one document per line.
//!
//! An error names the position and the expected value and never quotes the line, because the
//! documents of an encrypted index must not end up in a log.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use cim_ipld::index::{Document, MAX_DOCUMENT_BYTES, Timestamp, content_id};
use cim_ipld::persistence::content_cid;
use serde_json::Value;

use super::json_attributes;
use super::json_fields::Fields;
use super::json_mistake::{Mistake, mismatch};
use super::{Batcher, Item, Skipped, Stop, unreadable};
use crate::failure::Failure;

/// The maximum length of a line: a document of maximum size with every byte escaped.
const MAX_LINE_BYTES: u64 = 6 * MAX_DOCUMENT_BYTES as u64;

const BUFFER_BYTES: usize = 256 << 10;

/// The UTF-8 byte order mark that some programs write before the first line. If files are
/// concatenated, it is also at the beginning of later lines.
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
        if is_utf16(&line) {
            let hint = "convert it, for example with `iconv -f UTF-16 -t UTF-8`";
            return Err(Failure::new(format!("{place}: line {number}: UTF-16 text, expected UTF-8"), hint).into());
        }
        let content = line.strip_suffix(b"\n").unwrap_or(&line);
        let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        if content.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let document = document(content, skipped)
            .map_err(|mistake| Failure::new(format!("{place}: line {number}: {}", mistake.what), mistake.hint))?;
        batcher.add(Item::Line(document), content.len() as u64)?;
    }
    Ok(())
}

/// Returns whether a line is UTF-16: with a byte order mark, or with a zero byte beside the first
/// character, which is ASCII in every line of JSON.
fn is_utf16(line: &[u8]) -> bool {
    matches!(line, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'{', ..] | [b'{', 0, ..])
}

/// Parses a line as a JSON object.
fn fields(line: &[u8]) -> Result<Fields, Mistake> {
    serde_json::from_slice(line).map_err(|error| {
        let other = if error.is_data() { serde_json::from_slice(line) } else { Err(error) };
        other.map_or_else(|error| Mistake::of_syntax(&error, line), |other| Mistake::no_object(&other))
    })
}

/// Parses one line. Unknown fields are counted and ignored; `null` is the same as a missing field.
fn document(line: &[u8], skipped: &mut Skipped) -> Result<Document, Mistake> {
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
    document.attributes = json_attributes::parse(fields.take("attributes"))?;
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
            (
                "{\"created_at\":\"secret\"}",
                "created_at: expected a date such as 2024-02-29 or 2024-02-29T12:00:00Z, or Unix seconds",
            ),
        ] {
            let said = document(line.as_bytes(), &mut Skipped::default()).expect_err(line);
            assert_eq!(said.what, expected, "{line}");
        }
        let long = format!(r#"{{"tags":["{}"]}}"#, "x".repeat(513));
        let said = document(long.as_bytes(), &mut Skipped::default()).expect_err("the tag is too long").what;
        assert!(said.contains("512") && !said.contains("xxx"), "{said}");
    }
    #[test]
    fn frequent_mistakes_have_a_hint() {
        for (line, expected) in [
            ("{", "`jq -c .`"),
            (r#"{"title":"secret","#, "`jq -c .`"),
            (r#"  "title": "secret","#, "`jq -c .`"),
            ("}", "`jq -c .`"),
            ("[", "`jq -c '.[]'`"),
            (r#"[{"title":"secret"}]"#, "`jq -c '.[]'`"),
            (r#"{"title":"secret"#, "correct that line"),
        ] {
            let said = document(line.as_bytes(), &mut Skipped::default()).expect_err(line);
            assert!(said.hint.contains(expected) && !said.what.contains("secret"), "{line}: {said:?}");
        }
        for line in [r#"{"title":"\ud83d"}"#, r#"{"title":"\ud83d\u0041"}"#, r#"{"title":"\ude00"}"#] {
            let said = document(line.as_bytes(), &mut Skipped::default()).expect_err(line);
            assert!(said.what.contains("half of a surrogate pair"), "{line}: {said:?}");
        }
    }

    #[test]
    fn utf16_is_recognized() {
        let units = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        for (line, expected) in [
            (units("\u{feff}{}", u16::to_le_bytes), true),
            (units("\u{feff}{}", u16::to_be_bytes), true),
            (units("{}", u16::to_le_bytes), true),
            (units("{}", u16::to_be_bytes), true),
            (b"{}".to_vec(), false),
            ("\u{feff}{}".into(), false),
        ] {
            assert_eq!(is_utf16(&line), expected, "{line:?}");
        }
    }
}
