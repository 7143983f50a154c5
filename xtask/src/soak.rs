//! `cargo xtask soak`: runs writers, readers and folds on real servers, and kills and pauses them.

use crate::workspace::{cargo, succeed};
use crate::{Outcome, setup};

/// Runs the soak with the options `--minutes N` and `--replicas 1|3`.
pub(crate) fn run(args: &[String]) -> Outcome {
    setup::run(&[])?;
    let mut command = cargo(&["run", "--release", "--package", "cim-ipld-simulation", "--bin", "soak", "--"]);
    succeed(command.args(args))
}
