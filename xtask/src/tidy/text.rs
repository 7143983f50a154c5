//! Rules for every text file: whitespace, and no machine-specific paths.

use super::{Finding, Tree};

const TEXT_ENDINGS: &[&str] = &[".rs", ".toml", ".md", ".py", ".sh", ".yml", ".yaml", ".svg"];

/// Prefixes of machine-specific paths, in two halves so that this file passes its own rule.
const MACHINE_PATHS: &[(&str, &str)] =
    &[("/ho", "me/"), ("/ro", "ot/"), ("/Us", "ers/"), ("/tm", "p/"), ("/wo", "rk/"), ("C:\\", "Users")];

/// Returns whether the rules for text apply to the file, judged by its path.
pub(super) fn is_text(path: &str) -> bool {
    path == ".ci/run" || path == super::BASELINE || TEXT_ENDINGS.iter().any(|ending| path.ends_with(ending))
}

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in &tree.texts {
        for (number, line) in (1..).zip(text.lines()) {
            let mut find = |what: String| findings.push(Finding::new(path, number, what));
            if line.contains('\t') {
                find("a tab; indent with spaces".into());
            }
            if line.ends_with([' ', '\t']) {
                find("whitespace at the end of the line".into());
            }
            for (one, two) in MACHINE_PATHS {
                if names_machine_path(line, &format!("{one}{two}")) {
                    find(format!("{one}{two}… is a machine-specific path"));
                }
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            findings.push(Finding::new(path, 0, "does not end with a newline"));
        }
    }
}

/// Returns whether `line` contains `prefix` at the start of a path, not within a longer path such
/// as `docs/tmp/`.
fn names_machine_path(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '}' | '*' | '/'))
    })
}
