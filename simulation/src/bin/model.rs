//! Searches the model of the catalog protocol and prints statistics: `model [--full]`.

use std::process::ExitCode;

use cim_ipld_simulation::model::{self, Scope};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let scope = match args.as_slice() {
        [] => Scope::Test,
        [flag] if flag == "--full" => Scope::Full,
        _ => {
            eprintln!("usage: model [--full]");
            return ExitCode::from(2);
        }
    };
    if model::check(scope, |line| println!("{line}")) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
