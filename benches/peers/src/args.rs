//! The command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub const USAGE: &str = "\
usage: cargo xtask bench --peers [options]

  --corpus FILE    documents as JSON lines, .zst accepted (or CIM_CORPUS); without it a corpus is made
  --queries FILE   word lists by set as JSON; without it queries are drawn from the corpus
  --scale N        N times the documents, altered
  --only A,B       only classes of queries whose names begin so, and nothing but searches
  --quick          fewer queries and repeats
  --no-sqlite      without SQLCipher, which is then not even compiled
  --out FOLDER     where index-core.md and .json go, with --scale N as index-core-xN (target/benchmarks)
  --publish        the same as --out docs/benchmarks";

/// What to run.
#[derive(Debug, Clone)]
pub struct Args {
    pub corpus: Option<PathBuf>,
    pub queries: Option<PathBuf>,
    pub scale: usize,
    pub only: Vec<String>,
    pub quick: bool,
    pub sqlite: bool,
    pub out: PathBuf,
    /// What only the caller knows, for the report.
    pub date: String,
    pub commit: String,
    pub compiler: String,
}

impl Args {
    /// Reads the arguments; `None` if help was asked for.
    ///
    /// # Errors
    ///
    /// If an argument is not known or lacks its value.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Self>> {
        let mut parsed = Self {
            corpus: std::env::var_os("CIM_CORPUS").map(PathBuf::from),
            queries: None,
            scale: 1,
            only: Vec::new(),
            quick: false,
            sqlite: cfg!(feature = "sqlite"),
            out: workspace().join("target/benchmarks"),
            date: "undated".into(),
            commit: "unknown".into(),
            compiler: "unknown".into(),
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--help" | "-h" => return Ok(None),
                "--corpus" => parsed.corpus = Some(value()?.into()),
                "--queries" => parsed.queries = Some(value()?.into()),
                "--scale" => parsed.scale = value()?.parse().context("--scale takes a number")?,
                "--only" => parsed.only = value()?.split(',').map(str::to_owned).collect(),
                "--quick" => parsed.quick = true,
                "--no-sqlite" => parsed.sqlite = false,
                "--out" => parsed.out = value()?.into(),
                "--publish" => parsed.out = workspace().join("docs/benchmarks"),
                "--date" => parsed.date = value()?,
                "--commit" => parsed.commit = value()?,
                "--compiler" => parsed.compiler = value()?,
                other => bail!("{other} is not known\n\n{USAGE}"),
            }
        }
        Ok(Some(parsed))
    }

    /// Returns how often each query runs on each engine.
    pub fn repeats(&self) -> usize {
        if self.quick { 5 } else { 11 }
    }

    /// Returns how many queries of a class run at most.
    pub fn most_queries(&self) -> usize {
        if self.quick { 50 } else { 200 }
    }

    /// Returns how many documents are made if none are given.
    pub fn synthetic_documents(&self) -> usize {
        if self.quick { 5_000 } else { 30_000 }
    }
}

/// The folder of the project.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
