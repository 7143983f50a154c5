//! The fields of a JSON line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The names of the fields that are read.
const NAMES: [&str; 10] =
    ["attributes", "author", "cid", "created_at", "modified_at", "size", "tags", "text", "title", "type"];

/// The values of the known fields of a line, and the names of the others. Of a repeated field, the
/// last value counts.
#[derive(Default)]
pub(super) struct Fields {
    values: [Option<Value>; NAMES.len()],
    pub(super) unknown: Vec<String>,
}

impl Fields {
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.values[NAMES.iter().position(|known| *known == name)?].take()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key()? {
            let value: Value = map.next_value()?;
            match name {
                Name::Known(index) => fields.values[index] = Some(value),
                Name::Unknown(name) => fields.unknown.push(name),
            }
        }
        Ok(fields)
    }
}

/// The name of a field: its index in [`NAMES`], or an unknown name.
enum Name {
    Known(usize),
    Unknown(String),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        let index = NAMES.iter().position(|known| *known == name);
        Ok(index.map_or_else(|| Name::Unknown(name.to_owned()), Name::Known))
    }
}
