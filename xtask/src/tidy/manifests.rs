//! Rules for all `Cargo.toml` files: every dependency is explained and used, and the facade has few
//! features.

use std::collections::BTreeSet;

use super::{Finding, Tree};

const DEPENDENCIES: &str = "docs/dependencies.md";
const FACADE: &str = "crates/cim-ipld/Cargo.toml";
const FACADE_FEATURES: usize = 4;

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    dependencies(tree, findings);
    let features = tree.texts.get(FACADE).map(|text| keys(text, |section| section == "features"));
    let count = features.map_or(0, |features| features.iter().filter(|name| **name != "default").count());
    if count > FACADE_FEATURES {
        findings.push(Finding::new(FACADE, 0, format!("{count} features; the facade has at most {FACADE_FEATURES}")));
    }
}

fn dependencies(tree: &Tree, findings: &mut Vec<Finding>) {
    let manifests = || tree.texts.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    let ours: BTreeSet<&str> = manifests().filter_map(|(_, text)| package_name(text)).collect();
    let mut declared = BTreeSet::new();
    let mut used = BTreeSet::new();
    for (_, text) in manifests() {
        declared.extend(keys(text, |section| section == "workspace.dependencies"));
        used.extend(keys(text, |section| section != "workspace.dependencies" && section.ends_with("dependencies")));
        used.extend(tables(text));
    }
    for name in declared.difference(&used) {
        findings.push(Finding::new(
            "Cargo.toml",
            0,
            format!("the dependency {name} is declared, but no package uses it"),
        ));
    }
    let table = tree.texts.get(DEPENDENCIES).map_or("", String::as_str);
    let rows: BTreeSet<&str> = table.lines().filter_map(row_name).collect();
    let foreign: BTreeSet<&str> = used.difference(&ours).copied().collect();
    for name in foreign.difference(&rows) {
        findings.push(Finding::new(DEPENDENCIES, 0, format!("has no line for {name}")));
    }
    for name in rows.iter().filter(|name| !foreign.contains(*name) && !declared.contains(*name)) {
        findings.push(Finding::new(DEPENDENCIES, 0, format!("has a line for {name}, which nothing depends on")));
    }
}

/// Returns the name in the first cell of a table row: "| `name` | …".
fn row_name(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)
}

fn package_name(text: &str) -> Option<&str> {
    let (_, package) = text.split_once("[package]")?;
    let line = package.lines().find(|line| line.starts_with("name"))?;
    line.split('"').nth(1)
}

/// Returns the keys of all sections whose names `wanted` accepts.
fn keys(text: &str, wanted: impl Fn(&str) -> bool) -> BTreeSet<&str> {
    let mut inside = false;
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        if let Some(section) = section(line) {
            inside = wanted(section);
        } else if inside && line.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && line.contains('=') {
            keys.extend(line.split([' ', '=', '.']).next());
        }
    }
    keys
}

/// Returns the names in section headers such as `[dependencies.name]`.
fn tables(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(section)
        .filter(|section| !section.starts_with("workspace."))
        .filter_map(|section| section.rsplit_once("dependencies.").map(|(_, name)| name))
}

fn section(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.trim_end().strip_suffix(']')
}
