//! `cargo xtask simulate`: runs engines over a store with seeded faults and lies.

use crate::Outcome;
use crate::workspace::{cargo, succeed};

/// Runs seeds. The options are those of the program, listed by its `--help`.
pub(crate) fn run(args: &[String]) -> Outcome {
    let mut command = cargo(&["run", "--quiet", "--package", "cim-ipld-simulation", "--bin", "simulate", "--"]);
    succeed(command.args(args))
}
