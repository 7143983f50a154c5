//! The results as data.

use serde::Serialize;

use crate::measure::Times;

/// One run of the benchmark.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub run: Run,
    pub goals: Vec<Goal>,
    pub searches: Vec<Search>,
    pub equalities: Vec<Equality>,
    pub writes: Vec<Write>,
    pub sizes: Vec<Size>,
    pub cold: Vec<Cold>,
}

/// The circumstances of a run.
#[derive(Debug, Default, Serialize)]
pub struct Run {
    pub date: String,
    pub commit: String,
    pub machine: String,
    pub compiler: String,
    pub peers: Vec<String>,
    pub corpus: String,
    pub documents: usize,
    pub text_bytes: u64,
    pub queries: String,
    pub repeats: usize,
    pub load_before: String,
    pub load_after: String,
    pub command: String,
}

/// A goal, and the measured figure.
#[derive(Debug, Serialize)]
pub struct Goal {
    pub what: String,
    /// The largest figure that meets the goal, or the smallest if `at_least`.
    pub goal: f64,
    pub at_least: bool,
    pub figure: f64,
    pub unit: String,
    pub note: String,
}

/// The times of one class of queries on every engine.
#[derive(Debug, Serialize)]
pub struct Search {
    pub class: String,
    pub queries: usize,
    pub goal: Option<f64>,
    pub engines: Vec<Engine>,
}

/// The times of one engine.
#[derive(Debug, Serialize)]
pub struct Engine {
    pub engine: &'static str,
    #[serde(flatten)]
    pub times: Times,
}

/// The result of comparing hits.
#[derive(Debug, Serialize)]
pub struct Equality {
    pub what: String,
    pub equal: usize,
    pub of: usize,
    pub differences: Vec<String>,
}

/// A figure of the write benchmarks.
#[derive(Debug, Serialize)]
pub struct Write {
    pub what: String,
    pub engine: String,
    pub figure: f64,
    pub unit: &'static str,
}

/// The size of one part of a segment, in bytes.
#[derive(Debug, Serialize)]
pub struct Size {
    pub part: String,
    pub ours: Option<u64>,
    pub tantivy: Option<u64>,
    pub note: String,
}

/// The cost of searching a segment when none of its pages is cached.
#[derive(Debug, Serialize)]
pub struct Cold {
    pub class: String,
    pub most_rounds: usize,
    pub mean_pages: f64,
    pub mean_bytes: f64,
}

impl Goal {
    /// Returns whether the figure meets the goal.
    pub fn holds(&self) -> bool {
        if self.at_least { self.figure >= self.goal } else { self.figure <= self.goal }
    }
}

impl Search {
    /// Returns the times of `engine`, if it was measured.
    pub fn times(&self, engine: &str) -> Option<&Times> {
        self.engines.iter().find(|known| known.engine == engine).map(|known| &known.times)
    }
}
