//! Rules for the structure of the project: required files of each crate, numbering of decisions.

use super::{Finding, Tree};

const DECISIONS: &str = "docs/decisions";

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for name in tree.crates() {
        crate_parts(tree, &format!("crates/{name}"), findings);
    }
    decisions(tree, findings);
}

fn crate_parts(tree: &Tree, folder: &str, findings: &mut Vec<Finding>) {
    for part in ["README.md", "CHANGELOG.md"] {
        if !tree.paths.contains(&format!("{folder}/{part}")) {
            findings.push(Finding::new(folder, 0, format!("has no {part}")));
        }
    }
    if !tree.has_folder(&format!("{folder}/tests")) && !tree.has_folder(&format!("{folder}/examples")) {
        findings.push(Finding::new(folder, 0, "has neither tests nor examples"));
    }
    let library = format!("{folder}/src/lib.rs");
    if tree.texts.get(&library).is_some_and(|text| !starts_with_documentation(text)) {
        findings.push(Finding::new(&library, 1, "a library must begin with its documentation (//!)"));
    }
}

fn starts_with_documentation(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#![cfg_attr"));
    first.is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc"))
}

/// Decisions are named `NNNN-title.md` and numbered from 0000 without gaps or duplicates.
fn decisions(tree: &Tree, findings: &mut Vec<Finding>) {
    let inside = tree.paths.iter().filter_map(|path| Some((path, path.strip_prefix(DECISIONS)?.strip_prefix('/')?)));
    let mut expected = 0;
    for (path, name) in inside {
        let number = name.split_once('-').filter(|(digits, _)| digits.len() == 4 && name.ends_with(".md"));
        match number.and_then(|(digits, _)| digits.parse::<u32>().ok()) {
            None => findings.push(Finding::new(path, 0, "its name is not NNNN-title.md")),
            Some(number) if number != expected => {
                findings.push(Finding::new(path, 0, format!("has number {number:04}, but {expected:04} is next")));
                expected = number + 1;
            }
            Some(_) => expected += 1,
        }
    }
}
