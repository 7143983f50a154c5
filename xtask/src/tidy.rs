//! `cargo xtask tidy`: checks the conventions of the project that a program can check.
//!
//! Every rule is a function from the [`Tree`] to [`Finding`]s.

mod baseline;
mod manifests;
mod markdown;
mod project;
mod rust;
mod size;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{Outcome, workspace};
use rust::Source;

/// The file that lists the accepted sizes above the limits.
const BASELINE: &str = "xtask/tidy-baseline.txt";

/// Checks the real tree. With `--shrink`, first lowers the baseline to the current sizes.
pub(crate) fn run(args: &[String]) -> Outcome {
    let shrink = match args {
        [] => false,
        [flag] if flag == "--shrink" => true,
        _ => return Err("expected --shrink or no argument".into()),
    };
    let mut tree = Tree::read()?;
    if shrink {
        let lowered = size::shrink(&tree);
        let path = workspace::root().join(BASELINE);
        std::fs::write(&path, &lowered).map_err(|error| format!("{BASELINE}: {error}"))?;
        tree.texts.insert(BASELINE.into(), lowered);
    }
    let findings = check(&tree);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files", tree.paths.len());
        Ok(())
    } else {
        Err(format!("{} findings", findings.len()))
    }
}

fn check(tree: &Tree) -> Vec<Finding> {
    let rules: [fn(&Tree, &mut Vec<Finding>); 5] =
        [text::check, size::check, rust::check, project::check, markdown::check];
    let mut findings = Vec::new();
    for rule in rules {
        rule(tree, &mut findings);
    }
    manifests::check(tree, &mut findings);
    findings
}

/// The files of the project, as listed by git.
#[derive(Default)]
struct Tree {
    /// All files.
    paths: BTreeSet<String>,
    /// The text of the files that `text::is_text` accepts.
    texts: BTreeMap<String, String>,
    /// The Rust files among `texts`.
    sources: BTreeMap<String, Source>,
}

impl Tree {
    fn read() -> Result<Self, String> {
        let mut tree = Self::default();
        for path in workspace::files()? {
            let is_text = text::is_text(&path);
            let text = is_text.then(|| std::fs::read_to_string(workspace::root().join(&path)));
            let text = text.transpose().map_err(|error| format!("{path}: {error}"))?;
            tree.add(&path, text);
        }
        Ok(tree)
    }

    fn add(&mut self, path: &str, text: Option<String>) {
        self.paths.insert(path.to_owned());
        let Some(text) = text else { return };
        if path.ends_with(".rs") {
            self.sources.insert(path.to_owned(), Source::parse(&text));
        }
        self.texts.insert(path.to_owned(), text);
    }

    fn has_folder(&self, folder: &str) -> bool {
        let prefix = format!("{folder}/");
        self.paths.range(prefix.clone()..).next().is_some_and(|path| path.starts_with(&prefix))
    }

    /// Returns the names of the folders directly below `crates/`.
    fn crates(&self) -> BTreeSet<&str> {
        let inside = self.paths.iter().filter_map(|path| path.strip_prefix("crates/"));
        inside.filter_map(|path| path.split_once('/')).map(|(name, _)| name).collect()
    }
}

/// A violation: its location and description.
#[derive(Debug)]
struct Finding {
    path: String,
    /// The line, from 1, or 0 for the whole file.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}
