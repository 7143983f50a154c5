//! Checks that links in Markdown to files, folders and headings of the project are valid.

use super::{Finding, Tree};

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in tree.texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        for (line, target) in links(text) {
            if let Some(what) = broken(tree, path, &target) {
                findings.push(Finding::new(path, line, what));
            }
        }
    }
}

/// Returns the problem of a link from the file `path` to `target`, if any.
fn broken(tree: &Tree, path: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(file) = resolve(path, file) else { return Some(format!("the link {target} leaves the project")) };
    if !tree.paths.contains(&file) && !tree.has_folder(&file) && !file.is_empty() {
        return Some(format!("the target of the link {target} does not exist"));
    }
    let text = tree.texts.get(&file).filter(|_| file.ends_with(".md") && !anchor.is_empty())?;
    let known = headings(text).any(|heading| slug(heading) == anchor);
    (!known).then(|| format!("the link {target} names a heading that {file} does not have"))
}

/// Resolves `target` relative to the file `from`. An empty target is that file.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns the line and target of every `[text](target)` and `[name]: target` outside code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            links.push((number, target.trim_matches(['<', '>']).to_owned()));
        }
        let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        if let Some((_, target)) = definition {
            links.push((number, target.split(' ').next().unwrap_or_default().trim_matches(['<', '>']).to_owned()));
        }
    }
    links
}

fn headings(text: &str) -> impl Iterator<Item = &str> {
    prose(text).filter(|(_, line)| line.starts_with('#')).map(|(_, line)| line.trim_start_matches('#').trim())
}

/// Returns the lines outside fenced code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Returns the line without its code spans.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// Returns the anchor of a heading: lower case, words joined by hyphens, punctuation dropped.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}
