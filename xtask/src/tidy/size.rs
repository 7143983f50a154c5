//! Limits on the size of files and functions. Larger ones must be listed in the baseline. Entries
//! are added and raised by hand; `--shrink` only lowers and removes them.

use std::collections::BTreeMap;

use super::baseline::{Baseline, Entry};
use super::rust::Source;
use super::{BASELINE, Finding, Tree};

/// A longer file probably contains a second idea, and needs an entry in the baseline.
const FILE_AIM: usize = 400;
/// A longer file is refused regardless of the baseline.
const FILE_LIMIT: usize = 800;
/// A longer function needs an entry in the baseline.
const FUNCTION_AIM: usize = 70;

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let baseline = match tree.texts.get(BASELINE).map_or(Ok(Baseline::default()), |text| Baseline::parse(text)) {
        Ok(baseline) => baseline,
        Err((line, what)) => return findings.push(Finding::new(BASELINE, line, what)),
    };
    let measured = measure(tree);
    for (entry, size) in &measured {
        let path = entry.path();
        let allowed = baseline.entries.get(entry).copied().unwrap_or(0);
        if matches!(entry, Entry::Lines { .. }) && *size > FILE_LIMIT {
            findings.push(Finding::new(path, 0, format!("has {size} lines, but the limit is {FILE_LIMIT}")));
        } else if *size > allowed {
            let line = entry.line(*size);
            let aim = entry.aim();
            findings.push(Finding::new(
                path,
                0,
                format!(
                    "{} has {size} lines, more than {aim}: split it, or set its entry in {BASELINE} to `{line}` and \
                     justify that in the commit",
                    entry.subject()
                ),
            ));
        }
    }
    for (entry, allowed) in &baseline.entries {
        let size = measured.get(entry).copied().unwrap_or(0);
        if size < *allowed {
            let what =
                format!("the entry `{}` is larger than necessary: run cargo xtask tidy --shrink", entry.line(*allowed));
            findings.push(Finding::new(BASELINE, 0, what));
        }
    }
}

/// Returns the baseline with every entry lowered to the current size. Nothing is raised or added.
pub(super) fn shrink(tree: &Tree) -> String {
    let text = tree.texts.get(BASELINE).map_or("", String::as_str);
    let Ok(mut baseline) = Baseline::parse(text) else { return text.to_owned() };
    let measured = measure(tree);
    baseline.entries.retain(|entry, _| measured.contains_key(entry));
    for (entry, allowed) in &mut baseline.entries {
        *allowed = measured[entry].min(*allowed);
    }
    baseline.render()
}

/// Returns all files and functions above their limits.
fn measure(tree: &Tree) -> BTreeMap<Entry, usize> {
    let mut sizes = BTreeMap::new();
    for (path, text) in &tree.texts {
        if path.ends_with(".rs") || path.ends_with(".py") || path.ends_with(".sh") {
            sizes.insert(Entry::Lines { path: path.clone() }, text.lines().count());
        }
    }
    for (path, source) in &tree.sources {
        for (name, length) in functions(source) {
            let size: &mut usize = sizes.entry(Entry::Function { path: path.clone(), name }).or_default();
            *size = length.max(*size);
        }
    }
    sizes.retain(|entry, size| *size > entry.aim());
    sizes
}

impl Entry {
    fn aim(&self) -> usize {
        match self {
            Self::Lines { .. } => FILE_AIM,
            Self::Function { .. } => FUNCTION_AIM,
        }
    }
}

/// Returns the name and length in lines of every function with a body, from the line of `fn` to the
/// closing brace.
fn functions(source: &Source) -> Vec<(String, usize)> {
    let tokens = tokens(source);
    let mut functions = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [(line, "fn"), (_, name)] = pair else { continue };
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            continue;
        }
        if let Some(end) = body_end(&tokens[at + 2..]) {
            functions.push(((*name).to_owned(), end - line + 1));
        }
    }
    functions
}

/// Returns the line of the closing brace of the body that follows a signature, if it has one.
fn body_end(tokens: &[(usize, &str)]) -> Option<usize> {
    let mut brackets = 0usize;
    let mut braces = 0usize;
    for (line, token) in tokens {
        match *token {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            ";" if braces == 0 && brackets == 0 => return None,
            "{" => braces += 1,
            "}" if braces <= 1 => return Some(*line),
            "}" => braces -= 1,
            _ => {}
        }
    }
    None
}

/// Returns the words and punctuation of the code, each with its line index.
fn tokens(source: &Source) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let word = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let end = if is_name(first) { word } else { first.len_utf8() };
            tokens.push((index, &rest[..end]));
            rest = rest[end..].trim_start();
        }
    }
    tokens
}
