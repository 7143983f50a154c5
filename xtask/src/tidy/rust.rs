//! Rules for Rust code and comments, and the scanner of Rust sources that other rules use.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// A scanned Rust file: its lines once with only the code (strings blanked) and once with only the
/// comments.
#[derive(Default)]
pub(super) struct Source {
    pub(super) code: Vec<String>,
    pub(super) comments: Vec<String>,
}

/// Macros that mark unfinished work, and the finding for each.
const UNFINISHED: &[(&str, &str)] =
    &[("dbg!", "a debugging print"), ("todo!", "unfinished work"), ("unimplemented!", "unfinished work")];

/// The maximum width of comments, which as prose need shorter lines than code.
const COMMENT_COLUMNS: usize = 100;

/// A library that consists of tests, in which a failed expectation may panic.
const TEST_LIBRARY: &str = "crates/cim-ipld-backend-testkit/";

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, source) in &tree.sources {
        let text = tree.texts.get(path).map_or("", String::as_str);
        for line in long_comments(text, source) {
            let what = format!("a comment of more than {COMMENT_COLUMNS} columns: wrap it");
            findings.push(Finding::new(path, line, what));
        }
    }
    let test_files = test_files(tree);
    for (path, source) in &tree.sources {
        let is_test = path.starts_with(TEST_LIBRARY) || test_files.contains(path);
        let is_library = path.starts_with("crates/") && path.contains("/src/") && !is_test;
        let test_lines = test_lines(&source.code);
        for (index, (code, comment)) in source.code.iter().zip(&source.comments).enumerate() {
            let mut find = |what: String| findings.push(Finding::new(path, index + 1, what));
            for (call, why) in UNFINISHED {
                if has_word(code, call) {
                    find(format!("{call}: {why}"));
                }
            }
            for mark in ["FIXME", "TODO"] {
                if has_word(comment, mark) {
                    find(format!("{mark}: do it, or record it outside of the code"));
                }
            }
            if code.contains("#[ignore") {
                find("#[ignore]: run the test or delete it".into());
            }
            if comment.split_once("```").is_some_and(|(_, info)| info.split(',').any(|word| word.trim() == "ignore")) {
                find("an example that is not compiled".into());
            }
            if is_library && !test_lines.contains(&index) && code.contains(".unwrap()") {
                find(".unwrap() in a library: return the error, or expect() with the invariant".into());
            }
        }
    }
}

/// Returns the lines, from 1, that are overlong comments, except for code in examples.
fn long_comments(text: &str, source: &Source) -> Vec<usize> {
    let mut is_example = false;
    let mut long = Vec::new();
    for (number, ((line, code), comment)) in (1..).zip(text.lines().zip(&source.code).zip(&source.comments)) {
        if !code.trim().is_empty() || comment.trim().is_empty() {
            is_example = false;
            continue;
        }
        // Table rows cannot be wrapped.
        let is_row = comment.trim_start_matches(['/', '!', ' ']).starts_with('|');
        let is_fence = comment.contains("```");
        is_example ^= is_fence;
        if !is_example && !is_fence && !is_row && line.chars().count() > COMMENT_COLUMNS {
            long.push(number);
        }
    }
    long
}

/// Returns whether `line` contains `word` as a whole word.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

/// Returns the files declared by a `#[cfg(test)] mod name;` elsewhere.
fn test_files(tree: &Tree) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for (path, source) in &tree.sources {
        let stem = path.strip_suffix(".rs").unwrap_or(path);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let own =
            if stem.ends_with("/lib") || stem.ends_with("/main") || stem.ends_with("/mod") { folder } else { stem };
        for line in test_lines(&source.code) {
            let words: Vec<&str> = source.code[line].split_whitespace().collect();
            if let Some(name) = words.iter().position(|word| *word == "mod").and_then(|at| words.get(at + 1)) {
                let name = name.trim_end_matches(';');
                files.insert(format!("{own}/{name}.rs"));
                files.insert(format!("{own}/{name}/mod.rs"));
                let inside = format!("{own}/{name}/");
                files.extend(tree.sources.keys().filter(|path| path.starts_with(&inside)).cloned());
            }
        }
    }
    files
}

/// Returns the indices of the lines of every item under `#[cfg(test)]`.
fn test_lines(code: &[String]) -> BTreeSet<usize> {
    let mut lines = BTreeSet::new();
    for (start, line) in code.iter().enumerate() {
        let Some(at) = ["#[cfg(test)]", "#[cfg(all(test"].iter().find_map(|cfg| line.find(cfg)) else { continue };
        let mut depth = 0usize;
        let mut end = code.len() - 1;
        'item: for (index, line) in code.iter().enumerate().skip(start) {
            for c in line.chars().skip(if index == start { at } else { 0 }) {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth == 0 && matches!(c, '}' | ';') {
                    end = index;
                    break 'item;
                }
            }
        }
        lines.extend(start..=end);
    }
    lines
}

impl Source {
    pub(super) fn parse(text: &str) -> Self {
        let mut reader = Reader { rest: text, source: Self::default(), code: String::new(), comment: String::new() };
        while !reader.rest.is_empty() {
            reader.step();
        }
        reader.end_line();
        reader.source
    }
}

/// Scans a file and sorts its characters into code and comments.
struct Reader<'a> {
    rest: &'a str,
    source: Source,
    code: String,
    comment: String,
}

impl Reader<'_> {
    fn step(&mut self) {
        let after_name = self.code.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.comment.push_str(&self.rest[..end]);
            self.rest = &self.rest[end..];
        } else if self.rest.starts_with("/*") {
            let end = block_comment_end(self.rest);
            self.take(end, |reader, c| reader.comment.push(c));
        } else if let Some(end) = raw_string_end(self.rest).filter(|_| !after_name) {
            self.blank(end);
        } else if self.rest.starts_with('"') {
            self.blank(quoted_end(self.rest, '"'));
        } else if is_char_literal(self.rest) {
            self.blank(quoted_end(self.rest, '\''));
        } else {
            let first = self.rest.chars().next().map_or(0, char::len_utf8);
            self.take(first, |reader, c| reader.code.push(c));
        }
    }

    /// Consumes a literal, keeping only its quotes.
    fn blank(&mut self, end: usize) {
        self.code.push('"');
        self.take(end, |_, _| {});
        self.code.push('"');
    }

    fn take(&mut self, end: usize, mut keep: impl FnMut(&mut Self, char)) {
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        for c in taken.chars() {
            if c == '\n' { self.end_line() } else { keep(self, c) }
        }
    }

    fn end_line(&mut self) {
        self.source.code.push(std::mem::take(&mut self.code));
        self.source.comments.push(std::mem::take(&mut self.comment));
    }
}

/// Returns the end of a block comment, which may be nested.
fn block_comment_end(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Returns the end of a raw string (`r"…"`, `br#"…"#`, `cr"…"`) at the start of `text`.
fn raw_string_end(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"]
        .into_iter()
        .find(|prefix| text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"')))?;
    let hashes = text[prefix.len()..].chars().take_while(|c| *c == '#').count();
    let open = prefix.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text[open..].find(&close).map_or(text.len(), |at| open + at + close.len()))
}

/// Returns the end of a quoted literal at the start of `text`.
fn quoted_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Distinguishes `'a'` and `'\n'` from the lifetime `'a`.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('\'')
        && match (chars.next(), chars.next()) {
            (Some('\\'), _) => true,
            (Some(_), third) => third == Some('\''),
            _ => false,
        }
}
