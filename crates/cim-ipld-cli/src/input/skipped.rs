//! Skipped files and ignored fields.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

use serde_json::json;

use crate::failure::Failure;
use crate::shown::one_line;
use crate::status::Status;

/// The maximum number of unknown fields to name. Further ones are only counted.
const NAMED_FIELDS: usize = 8;

/// Why a file is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Binary,
    Unreadable,
    Oversized,
    Malformed,
    /// The folder of an index, or a file with a secret that opens one.
    Own,
    /// Beyond the maximum number of paths of a document.
    Repeated,
}

impl Reason {
    const ALL: [Self; 6] =
        [Self::Binary, Self::Unreadable, Self::Oversized, Self::Malformed, Self::Own, Self::Repeated];

    fn text(self) -> &'static str {
        match self {
            Self::Binary => "not text",
            Self::Unreadable => "not readable",
            Self::Oversized => "larger than the maximum document size",
            Self::Malformed => "not JSON lines",
            Self::Own => "a folder store or a secret of cim",
            Self::Repeated => "too many files with the same content",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Unreadable => "unreadable",
            Self::Oversized => "oversized",
            Self::Malformed => "malformed",
            Self::Own => "own",
            Self::Repeated => "repeated",
        }
    }
}

/// Counts what was skipped, and names important cases on standard error.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    verbose: bool,
    files: [u64; Reason::ALL.len()],
    /// Files that should have been indexed: named on the command line, unreadable or malformed.
    missed: u64,
    unknown_fields: BTreeSet<String>,
}

impl Skipped {
    pub(super) fn new(verbose: bool) -> Self {
        Self { verbose, ..Self::default() }
    }

    /// Notes a skipped file below a folder. Files that are not text are expected there; files
    /// that should have been indexed and were not count as failures.
    pub(crate) fn found(&mut self, path: &Path, reason: Reason, detail: Option<&dyn Display>) {
        let is_missed = matches!(reason, Reason::Unreadable | Reason::Malformed | Reason::Repeated);
        self.note(path, reason, detail, is_missed);
    }

    /// Notes a skipped file named on the command line.
    pub(super) fn named(&mut self, path: &Path, reason: Reason) {
        self.note(path, reason, None, true);
    }

    fn note(&mut self, path: &Path, reason: Reason, detail: Option<&dyn Display>, is_missed: bool) {
        self.files[reason as usize] += 1;
        self.missed += u64::from(is_missed);
        if is_missed || self.verbose {
            let detail = detail.map_or_else(String::new, |detail| format!(": {}", one_line(&detail.to_string())));
            eprintln!("skipped {}: {}{detail}", one_line(&path.display().to_string()), reason.text());
        }
    }

    pub(super) fn unknown_field(&mut self, name: &str) {
        if !self.unknown_fields.contains(name) {
            self.unknown_fields.insert(name.to_owned());
        }
    }

    fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.files)
    }

    /// Returns the lines that report what was skipped.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .counts()
            .filter(|(_, count)| *count > 0)
            .map(|(why, count)| {
                format!("skipped {count} {}: {}", if count == 1 { "file" } else { "files" }, why.text())
            })
            .collect();
        if !self.unknown_fields.is_empty() {
            let mut names: Vec<&str> = self.unknown_fields.iter().map(String::as_str).take(NAMED_FIELDS).collect();
            if self.unknown_fields.len() > NAMED_FIELDS {
                names.push("…");
            }
            lines.push(format!("ignored {} unknown fields: {}", self.unknown_fields.len(), names.join(", ")));
        }
        lines
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut object: serde_json::Map<_, _> =
            self.counts().map(|(reason, count)| (reason.name().to_owned(), count.into())).collect();
        object.insert("unknown_fields".to_owned(), json!(self.unknown_fields));
        object.into()
    }

    /// Returns the failure of the run if any file counts as missed.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let files = match self.missed {
            0 => return None,
            1 => "1 file was".to_owned(),
            count => format!("{count} files were"),
        };
        let hint = "the rest is stored; the lines above say what is wrong with each file";
        Some(Failure::of(Status::Skipped, format!("{files} skipped"), hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_said() {
        let mut skipped = Skipped::new(false);
        skipped.found(Path::new("a"), Reason::Binary, None);
        assert!(skipped.failure().is_none(), "folders hold other things than text");
        skipped.found(Path::new("b"), Reason::Oversized, None);
        skipped.named(Path::new("c"), Reason::Oversized);
        for name in ["lang", "licence", "lang"] {
            skipped.unknown_field(name);
        }
        let expected = [
            "skipped 1 file: not text",
            "skipped 2 files: larger than the maximum document size",
            "ignored 2 unknown fields: lang, licence",
        ];
        assert_eq!(skipped.lines(), expected);
        assert!(skipped.failure().is_some());
        assert!(Skipped::default().lines().is_empty());
    }
}
