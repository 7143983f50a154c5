//! What is wrong with a line, and what to do about it. Nothing here quotes the line.

use serde_json::Value;

const CORRECT: &str = "correct that line and run the command again; documents that are already stored are replaced";
const ONE_LINE_EACH: &str =
    "every document must be on a line of its own; `jq -c .` rewrites JSON that is spread over several lines";
const ONE_ELEMENT_EACH: &str =
    "every document must be on a line of its own; `jq -c '.[]'` writes the elements of an array as lines";
const HALF_A_CHARACTER: &str = "a \\u escape is half of a surrogate pair without the other half";

/// A mistake in a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) what: String,
    pub(super) hint: &'static str,
}

impl From<String> for Mistake {
    fn from(what: String) -> Self {
        Self { what, hint: CORRECT }
    }
}

impl Mistake {
    /// Describes why a line is not JSON. The message of serde_json quotes no input, because lines
    /// are parsed as arbitrary values.
    pub(super) fn of_syntax(error: &serde_json::Error, line: &[u8]) -> Self {
        let text = error.to_string();
        let what = match text.split(" at line ").next().unwrap_or(&text) {
            "lone leading surrogate in hex escape" | "unexpected end of hex escape" => HALF_A_CHARACTER,
            other => other,
        };
        let what = format!("not JSON at column {}: {what}", error.column());
        Self { what, hint: hint(error, line) }
    }

    /// Describes a line of JSON that is not an object.
    pub(super) fn no_object(found: &Value) -> Self {
        let hint = if found.is_array() { ONE_ELEMENT_EACH } else { CORRECT };
        Self { what: format!("expected a JSON object, found {}", kind(found)), hint }
    }
}

fn hint(error: &serde_json::Error, line: &[u8]) -> &'static str {
    let line = line.trim_ascii();
    match (line.first(), line.last()) {
        (Some(b'['), _) if error.is_eof() => ONE_ELEMENT_EACH,
        // A line that ends within an object, or that consists of a member or the end of one.
        (Some(b'{'), Some(b'{' | b'[' | b',')) if error.is_eof() => ONE_LINE_EACH,
        (Some(b'"'), Some(b',' | b'{' | b'[')) | (Some(b'}' | b']'), _) => ONE_LINE_EACH,
        _ => CORRECT,
    }
}

pub(super) fn mismatch(name: &str, expected: &str, found: &Value) -> String {
    format!("{name}: expected {expected}, found {}", kind(found))
}

pub(super) fn kind(value: &Value) -> &'static str {
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
