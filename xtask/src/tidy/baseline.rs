//! The baseline file, which lists accepted sizes above the limits: `lines N PATH` or
//! `function N PATH NAME`, one per line.

use std::collections::BTreeMap;

const HEAD: &str = "# Files and functions above the size limits, and their allowed sizes. `cargo xtask tidy --shrink` lowers and removes\n\
    # entries; a new or larger entry is written by hand and justified in its commit.\n";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    Lines { path: String },
    Function { path: String, name: String },
}

impl Entry {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Lines { path } | Self::Function { path, .. } => path,
        }
    }

    /// Returns the name of what is measured, as the subject of a sentence.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::Lines { .. } => "the file".to_owned(),
            Self::Function { name, .. } => format!("function {name}"),
        }
    }

    pub(super) fn line(&self, size: usize) -> String {
        match self {
            Self::Lines { path } => format!("lines {size} {path}"),
            Self::Function { path, name } => format!("function {size} {path} {name}"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Baseline {
    pub(super) entries: BTreeMap<Entry, usize>,
}

impl Baseline {
    /// Parses the file. An error is a line number and a description.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut entries = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            let (size, entry) = match words[..] {
                ["lines", size, path] => (size, Entry::Lines { path: path.into() }),
                ["function", size, path, name] => (size, Entry::Function { path: path.into(), name: name.into() }),
                _ => return Err((number, "is neither `lines N PATH` nor `function N PATH NAME`".into())),
            };
            let size = size.parse().map_err(|_| (number, format!("{size} is not a number")))?;
            entries.insert(entry, size);
        }
        Ok(Self { entries })
    }

    pub(super) fn render(&self) -> String {
        let lines = self.entries.iter().map(|(entry, size)| entry.line(*size) + "\n");
        std::iter::once(HEAD.to_owned()).chain(lines).collect()
    }
}
