//! The tasks of the project: `cargo xtask <task>`.
//!
//! Each task has its own module, except `test` and `ci`, which share `steps`. The checks (`layers`,
//! `tidy`) are functions from data to findings, so that their tests can plant a violation and check
//! that it is found. Only the outermost function of each reads the real tree.

mod bench;
mod examples;
mod layers;
mod metadata;
mod model;
mod nats;
mod setup;
mod simulate;
mod soak;
mod steps;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// The result of a task. The error is printed after the name of the task.
type Outcome = Result<(), String>;

struct Task {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Outcome,
}

const TASKS: &[Task] = &[
    Task {
        name: "setup",
        about: "install in .tools what the tests need: nats-server, and the Python packages of the independent reader of sealed objects",
        run: setup::run,
    },
    Task { name: "test", about: "set up, then run every check and every test", run: steps::test },
    Task { name: "ci", about: "like test, on a clean checkout that must be clean again at the end", run: steps::ci },
    Task { name: "layers", about: "check the dependencies between packages and between modules", run: layers::run },
    Task { name: "tidy", about: "check the conventions of the project (--shrink lowers the baseline)", run: tidy::run },
    Task { name: "examples", about: "check that public types and methods have examples", run: examples::run },
    Task {
        name: "bench",
        about: "run the micro-benchmarks, or with --peers compare the index core with Tantivy and SQLCipher (--peers --help lists the options)",
        run: bench::run,
    },
    Task {
        name: "model",
        about: "search the model of the catalog protocol and print statistics (--full: search deeper, about 15 minutes)",
        run: model::run,
    },
    Task {
        name: "simulate",
        about: "run engines over a simulated store (--help lists the options)",
        run: simulate::run,
    },
    Task {
        name: "soak",
        about: "kill and pause processes and servers, and check that no write is lost or duplicated (--minutes N, --replicas 1|3)",
        run: soak::run,
    },
    Task {
        name: "nats",
        about: "run a local nats-server with JetStream on 127.0.0.1:4222 until Ctrl-C",
        run: nats::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        eprint!("{}", usage());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprint!("xtask: there is no task {name}\n\n{}", usage());
        return ExitCode::from(2);
    };
    match (task.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("xtask {name}: {what}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask <task>\n\n");
    for task in TASKS {
        text.push_str(&format!("  {:<8}{}\n", task.name, task.about));
    }
    text
}

/// Refuses arguments of a task that takes none.
fn no_arguments(args: &[String]) -> Outcome {
    match args.first() {
        None => Ok(()),
        Some(arg) => Err(format!("unexpected argument {arg}")),
    }
}
