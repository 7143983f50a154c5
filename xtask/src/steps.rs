//! `cargo xtask test` and `cargo xtask ci`: run every check and test, the fastest to fail first.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::workspace::{cargo, output, root, shown, succeed};
use crate::{Outcome, examples, layers, no_arguments, setup, tidy};

struct Step {
    name: &'static str,
    run: fn() -> Outcome,
}

/// No step sets RUSTFLAGS or features, and only the last one sets a profile. So clippy and doc
/// reuse the same `cargo check` output of the dependencies, and the tests and the example targets
/// built by `cargo test` share compiled dependencies.
const STEPS: &[Step] = &[
    Step { name: "setup", run: || setup::run(&[]) },
    Step { name: "fmt", run: || succeed(&mut cargo(&["fmt", "--all", "--check"])) },
    Step { name: "layers", run: || layers::run(&[]) },
    Step { name: "tidy", run: || tidy::run(&[]) },
    Step { name: "examples", run: || examples::run(&[]) },
    Step { name: "clippy", run: clippy },
    Step { name: "doc", run: doc },
    Step { name: "tests", run: tests },
    Step { name: "persistence_demo", run: persistence_demo },
];

/// Runs all steps, and stops at the first failure.
pub(crate) fn test(args: &[String]) -> Outcome {
    no_arguments(args)?;
    let start = Instant::now();
    let mut times = Vec::new();
    for step in STEPS {
        println!("\n== {}", step.name);
        let begin = Instant::now();
        let outcome = (step.run)();
        times.push((step.name, begin.elapsed()));
        if let Err(what) = outcome {
            print_times(&times, start.elapsed());
            return Err(format!("step {} failed: {what}", step.name));
        }
    }
    print_times(&times, start.elapsed());
    Ok(())
}

/// Runs all steps, and checks that they leave the checkout unchanged.
pub(crate) fn ci(args: &[String]) -> Outcome {
    no_arguments(args)?;
    let before = changes()?;
    if !before.is_empty() {
        return Err(format!("the checkout is not clean:\n{before}"));
    }
    test(args)?;
    let after = changes()?;
    if after.is_empty() { Ok(()) } else { Err(format!("the tests changed the checkout:\n{after}")) }
}

fn changes() -> Result<String, String> {
    output(Command::new("git").args(["status", "--porcelain"]).current_dir(root()))
}

fn print_times(times: &[(&str, Duration)], total: Duration) {
    println!("\n== times");
    for (name, time) in times {
        println!("{name:<18}{:>8.1} s", time.as_secs_f64());
    }
    println!("{:<18}{:>8.1} s", "all", total.as_secs_f64());
}

fn clippy() -> Outcome {
    succeed(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn doc() -> Outcome {
    succeed(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn persistence_demo() -> Outcome {
    succeed(&mut cargo(&["run", "--release", "--example", "persistence_demo"]))
}

/// Runs the tests with their output on the terminal, and counts them: a run without tests is a
/// failure.
fn tests() -> Outcome {
    let mut command = cargo(&["test", "--workspace"]);
    let what = shown(&command);
    let failed = |error: std::io::Error| format!("{what}: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let stdout = child.stdout.take().expect("standard output is piped");
    let mut total = Tally::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(failed)?;
        println!("{line}");
        total.add(&line);
    }
    let status = child.wait().map_err(failed)?;
    println!("\n{} passed, {} failed, {} skipped", total.passed, total.failed, total.ignored);
    if !status.success() {
        return Err(format!("{what}: {status}"));
    }
    total.verdict()
}

/// The sums of the result lines of all test binaries.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Tally {
    /// Parses a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else { return };
        for count in counts.1.split("; ") {
            match count.split_once(' ').map(|(number, what)| (number.parse::<u64>(), what)) {
                Some((Ok(number), "passed")) => self.passed += number,
                Some((Ok(number), "failed")) => self.failed += number,
                Some((Ok(number), "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }

    fn verdict(&self) -> Outcome {
        match self {
            Self { passed: 0, .. } => Err("no test ran".into()),
            Self { failed, .. } if *failed > 0 => Err(format!("{failed} tests failed")),
            Self { ignored, .. } if *ignored > 0 => {
                Err(format!("{ignored} tests were ignored: run them or delete them"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn closing_lines_add_up() {
        let mut tally = Tally::default();
        tally.add("running 3 tests");
        tally.add("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        tally.add("test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.50s");
        assert_eq!(tally, Tally { passed: 13, failed: 2, ignored: 1 });
    }

    #[test]
    fn only_tests_that_ran_and_passed_are_a_pass() {
        let cases = [(0, 0, 0, false), (5, 0, 0, true), (5, 1, 0, false), (5, 0, 1, false)];
        for (passed, failed, ignored, good) in cases {
            let tally = Tally { passed, failed, ignored };
            assert_eq!(tally.verdict().is_ok(), good, "{tally:?}");
        }
    }
}
