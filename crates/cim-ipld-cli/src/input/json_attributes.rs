//! The `attributes` object of a JSON line.

use std::collections::BTreeMap;

use cim_ipld::index::{self, MAX_KEYWORD_BYTES};
use serde_json::Value;

use super::json_mistake::{kind, mismatch};
use crate::file_records::RESERVED_PREFIX;

/// The maximum number of characters of a name in an error.
const NAME_CHARS: usize = 60;

/// Parses the attributes. `null` is the same as a missing attribute.
pub(super) fn parse(attributes: Option<Value>) -> Result<BTreeMap<String, index::Value>, String> {
    let attributes = match attributes {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(attributes)) => attributes,
        Some(other) => return Err(mismatch("attributes", "an object", &other)),
    };
    let mut read = BTreeMap::new();
    for (name, value) in attributes {
        let at = |what: String| format!("attributes.{}: {what}", name.chars().take(NAME_CHARS).collect::<String>());
        if name.starts_with(RESERVED_PREFIX) {
            return Err(at(format!("names that begin with {RESERVED_PREFIX} are reserved")));
        }
        if let Some(value) = attribute(value).map_err(at)? {
            read.insert(name, value);
        }
    }
    Ok(read)
}

fn attribute(value: Value) -> Result<Option<index::Value>, String> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Array(values) => {
            let values = values.into_iter().filter(|value| !value.is_null()).map(|value| match value {
                Value::Array(_) => Err(format!("expected no nested lists, found {}", kind(&value))),
                value => item(value),
            });
            index::Value::List(values.collect::<Result<_, _>>()?)
        }
        value => item(value)?,
    }))
}

fn item(value: Value) -> Result<index::Value, String> {
    Ok(match value {
        Value::Bool(truth) => index::Value::Keyword(truth.to_string()),
        Value::String(text) => string(text),
        // An identifier beyond the range of integers must not be rounded.
        Value::Number(number) if number.is_u64() && !number.is_i64() => string(number.to_string()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => index::Value::Integer(whole),
            (None, Some(number)) => index::Value::Float(number),
            (None, None) => return Err("the number is out of range".to_owned()),
        },
        other => {
            return Err(format!("expected a string, number, boolean or a list of these, found {}", kind(&other)));
        }
    })
}

/// Returns a string that is searchable by word, by exact value and, if it is a date, as a date, or
/// by word only if it is too long.
fn string(text: String) -> index::Value {
    if text.len() <= MAX_KEYWORD_BYTES { index::Value::String(text) } else { index::Value::Text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<BTreeMap<String, index::Value>, String> {
        parse(Some(serde_json::from_str(json).expect(json)))
    }

    #[test]
    fn attributes_are_read_by_what_they_are() {
        use index::Value::{Float, Integer, Keyword, List, String};
        for (value, expected) in [
            (r#""en""#, String("en".into())),
            (r#""2024""#, String("2024".into())),
            (r#""1970-01-02""#, String("1970-01-02".into())),
            (r#""1970-01-01T00:00:01Z""#, String("1970-01-01T00:00:01Z".into())),
            ("7", Integer(7)),
            ("9223372036854775807", Integer(i64::MAX)),
            ("9223372036854775808", String("9223372036854775808".into())),
            ("1.5", Float(1.5)),
            ("true", Keyword("true".into())),
            (r#"["a", 2, null, false]"#, List(vec![String("a".into()), Integer(2), Keyword("false".into())])),
        ] {
            let read = parsed(&format!(r#"{{"x":{value},"y":null}}"#)).expect(value);
            assert_eq!(read, BTreeMap::from([("x".to_owned(), expected)]), "{value}");
        }
        let long = format!(r#"{{"x":"{}"}}"#, "a ".repeat(MAX_KEYWORD_BYTES));
        let read = parsed(&long).expect("a long text is words");
        assert!(matches!(read["x"], index::Value::Text(_)));
    }

    #[test]
    fn a_bad_attribute_is_named_and_its_value_is_not() {
        let long = format!(r#"{{"{}":{{}}}}"#, "n".repeat(1_000));
        for (json, expected) in [
            (r#""secret""#, "attributes: expected an object, found a string"),
            (
                r#"{"a":{"b":"secret"}}"#,
                "attributes.a: expected a string, number, boolean or a list of these, found an object",
            ),
            (r#"{"a":[["secret"]]}"#, "attributes.a: expected no nested lists, found an array"),
            (r#"{"cim.file":"secret"}"#, "attributes.cim.file: names that begin with cim. are reserved"),
            (
                long.as_str(),
                &format!(
                    "attributes.{}: expected a string, number, boolean or a list of these, found an object",
                    "n".repeat(60)
                ),
            ),
        ] {
            assert_eq!(parsed(json).as_ref().map_err(String::as_str), Err(expected), "{json}");
        }
    }
}
