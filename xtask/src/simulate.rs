//! `cargo xtask simulate`: real engines over a store that fails and lies as a seed says.

use crate::Outcome;
use crate::workspace::{cargo, succeed};

/// Runs seeds; the options go to the program, whose `--help` lists them.
pub(crate) fn run(args: &[String]) -> Outcome {
    let mut command = cargo(&["run", "--quiet", "--package", "cim-ipld-simulation", "--bin", "simulate", "--"]);
    succeed(command.args(args))
}
