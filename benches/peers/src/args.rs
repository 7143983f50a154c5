//! The command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub const USAGE: &str = "\
usage: cargo xtask bench --peers [options]

  --corpus FILE    documents as JSON lines, optionally .zst (or CIM_CORPUS); by default, a generated corpus
  --queries FILE   word lists by set as JSON; by default, queries drawn from the corpus
  --scale N        use the documents and N-1 altered copies of them
  --only A,B       measure only searches, of classes whose names start with A or B; print a table instead of writing files
  --quick          fewer queries and repeats
  --no-sqlite      leave out SQLCipher, which is then not compiled
  --out FOLDER     write index-core.md and .json there, or index-core-xN with --scale N (target/benchmarks)
  --publish        the same as --out docs/benchmarks";

/// The arguments.
#[derive(Debug, Clone)]
pub struct Args {
    pub corpus: Option<PathBuf>,
    pub queries: Option<PathBuf>,
    pub scale: usize,
    pub only: Vec<String>,
    pub quick: bool,
    pub sqlite: bool,
    pub out: PathBuf,
    /// For the report. Like `commit` and `compiler`, it is passed by the caller, because this
    /// program does not know it.
    pub date: String,
    pub commit: String,
    pub compiler: String,
}

impl Args {
    /// Parses the arguments. Returns `None` for `--help`.
    ///
    /// # Errors
    ///
    /// If an argument is unknown or lacks its value.
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
                "--scale" => parsed.scale = value()?.parse().context("--scale needs a number")?,
                "--only" => parsed.only = value()?.split(',').map(str::to_owned).collect(),
                "--quick" => parsed.quick = true,
                "--no-sqlite" => parsed.sqlite = false,
                "--out" => parsed.out = value()?.into(),
                "--publish" => parsed.out = workspace().join("docs/benchmarks"),
                "--date" => parsed.date = value()?,
                "--commit" => parsed.commit = value()?,
                "--compiler" => parsed.compiler = value()?,
                other => bail!("unknown argument {other}\n\n{USAGE}"),
            }
        }
        Ok(Some(parsed))
    }

    /// Returns how often each query runs on each engine.
    pub fn repeats(&self) -> usize {
        if self.quick { 5 } else { 11 }
    }

    /// Returns the maximum number of queries of a class.
    pub fn most_queries(&self) -> usize {
        if self.quick { 50 } else { 200 }
    }

    /// Returns the number of documents of a generated corpus.
    pub fn synthetic_documents(&self) -> usize {
        if self.quick { 5_000 } else { 30_000 }
    }
}

/// The folder of the project.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
