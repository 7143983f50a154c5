//! `cargo xtask model`: searches the model of the catalog protocol in an optimized build.

use crate::Outcome;
use crate::workspace::{cargo, succeed};

/// Runs the search; `--full` searches to the greatest depths, which takes about 15 minutes.
pub(crate) fn run(args: &[String]) -> Outcome {
    let mut command = cargo(&["run", "--release", "--package", "cim-ipld-simulation", "--bin", "model", "--"]);
    succeed(command.args(args))
}
