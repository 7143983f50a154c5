//! `cargo xtask model`: searches the model of the catalog protocol in an optimised build.

use crate::Outcome;
use crate::workspace::{cargo, succeed};

/// Runs the search; `--full` goes to the depths that the protocol was accepted at.
pub(crate) fn run(args: &[String]) -> Outcome {
    let mut command = cargo(&["run", "--release", "--package", "cim-ipld-simulation", "--bin", "model", "--"]);
    succeed(command.args(args))
}
