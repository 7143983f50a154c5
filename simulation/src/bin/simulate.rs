//! Runs seeds of the simulation; `cargo xtask simulate` calls it.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use cim_ipld_persistence::Rule;
use cim_ipld_simulation::simulator::{self, Outcome};

const USAGE: &str = "usage: simulate [--seeds N] [--first S] [--threads N] [--without RULES]
       simulate --seed S [--without RULES]
       simulate --rules [--seeds N]

  --seeds N        how many seeds to run (10000)
  --first S        the first of them (0)
  --without RULES  with rules of the protocol removed, a comma between: stops at the first seed that finds the fault
  --seed S         one seed, with everything that happens in it
  --rules          each rule removed in turn, and some together: which seed finds it";

struct Options {
    seeds: u64,
    first: u64,
    threads: usize,
    one: Option<u64>,
    removed: Vec<Rule>,
    all_rules: bool,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let sound = match options.one {
        Some(seed) => run_one(seed, &options.removed),
        None if options.all_rules => run_rules(&options),
        None => run_many(&options, &options.removed).is_none(),
    };
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { seeds: 10_000, first: 0, threads, one: None, removed: Vec::new(), all_rules: false };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is not a number"));
        match argument.as_str() {
            "--seeds" => options.seeds = number(value()?)?,
            "--first" => options.first = number(value()?)?,
            "--threads" => options.threads = usize::try_from(number(value()?)?.max(1)).unwrap_or(1),
            "--seed" => options.one = Some(number(value()?)?),
            "--rules" => options.all_rules = true,
            "--without" => options.removed = value()?.split(',').map(rule).collect::<Result<_, _>>()?,
            other => return Err(format!("{other} is not an option")),
        }
    }
    Ok(options)
}

fn rule(name: &str) -> Result<Rule, String> {
    let found = Rule::ALL.into_iter().find(|rule| format!("{rule:?}") == name);
    found.ok_or_else(|| format!("there is no rule {name:?}: {:?}", Rule::ALL))
}

fn run_one(seed: u64, removed: &[Rule]) -> bool {
    let Outcome { violations, plan, trace, trace_hash, acknowledged } = simulator::run(seed, removed);
    println!("{plan}");
    trace.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}: trace {trace_hash}, {acknowledged} writes acknowledged");
    violations.iter().for_each(|what| println!("VIOLATION: {what}"));
    violations.is_empty()
}

/// Returns the first seed that goes wrong, if any does, and what does.
fn run_many(options: &Options, removed: &[Rule]) -> Option<(u64, String)> {
    let begin = Instant::now();
    let (next, acknowledged, failed) = (AtomicU64::new(0), AtomicUsize::new(0), std::sync::Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.seeds {
                        return;
                    }
                    let seed = options.first + number;
                    let outcome = simulator::run(seed, removed);
                    acknowledged.fetch_add(outcome.acknowledged, Ordering::Relaxed);
                    if let Some(what) = outcome.violations.first() {
                        println!("seed {seed}: {what}");
                        let mut failed = failed.lock().expect("no thread panics with it");
                        if failed.as_ref().is_none_or(|(first, _)| *first > seed) {
                            *failed = Some((seed, what.clone()));
                        }
                        if !removed.is_empty() {
                            next.store(options.seeds, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no thread panicked");
    let (seconds, acknowledged) = (begin.elapsed().as_secs_f64(), acknowledged.into_inner());
    match &failed {
        Some((seed, _)) if !removed.is_empty() => println!("seed {seed} finds it, after {seconds:.1} s"),
        _ => println!("{} seeds in {seconds:.1} s, {acknowledged} writes acknowledged", options.seeds),
    }
    failed
}

fn run_rules(options: &Options) -> bool {
    let mut table = vec!["| without | seed | what goes wrong |".to_owned(), "|---|---|---|".to_owned()];
    for removed in simulator::REMOVALS {
        let names: Vec<String> = removed.iter().map(|rule| format!("`{rule:?}`")).collect();
        let row = match run_many(options, removed) {
            Some((seed, what)) => format!("| {} | {seed} | {what} |", names.join(", ")),
            None => format!("| {} | | nothing in {} seeds |", names.join(", "), options.seeds),
        };
        println!("{row}");
        table.push(row);
    }
    table.iter().for_each(|row| println!("{row}"));
    true
}
