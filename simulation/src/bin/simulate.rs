//! Runs seeds of the simulation, for `cargo xtask simulate`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use cim_ipld_persistence::Rule;
use cim_ipld_simulation::simulator::{self, Outcome};

const USAGE: &str = "usage: simulate [--seeds N] [--first S] [--threads N] [--without RULES]
       simulate --seed S [--without RULES]
       simulate --rules [--seeds N]

  --seeds N        run N seeds (10000)
  --first S        start with seed S (0)
  --threads N      run N seeds at a time (one per core)
  --without RULES  remove these rules, separated by commas, and stop at the first seed that fails
  --seed S         run one seed, and print its trace
  --rules          remove each rule in turn, and print the first seed that fails
  --help           print this text";

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
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
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

/// Parses the arguments. Returns `None` for `--help`.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
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
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(Some(options))
}

fn rule(name: &str) -> Result<Rule, String> {
    let found = Rule::ALL.into_iter().find(|rule| format!("{rule:?}") == name);
    found.ok_or_else(|| format!("there is no rule {name:?}; the rules are {:?}", Rule::ALL))
}

fn run_one(seed: u64, removed: &[Rule]) -> bool {
    let Outcome { violations, plan, trace, trace_hash, acknowledged } = simulator::run(seed, removed);
    println!("{plan}");
    trace.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}: trace {trace_hash}, {acknowledged} writes acknowledged");
    violations.iter().for_each(|what| println!("VIOLATION: {what}"));
    violations.is_empty()
}

/// Returns the first seed that fails, if there is one, with its first violation.
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
                        let mut failed = failed.lock().expect("no thread panics while it holds the lock");
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
        Some((seed, _)) if !removed.is_empty() => println!("seed {seed} fails, after {seconds:.1} s"),
        _ => println!("{} seeds in {seconds:.1} s, {acknowledged} writes acknowledged", options.seeds),
    }
    failed
}

fn run_rules(options: &Options) -> bool {
    let mut table = vec!["| without | first seed | violation |".to_owned(), "|---|---|---|".to_owned()];
    for removed in simulator::REMOVALS {
        let names: Vec<String> = removed.iter().map(|rule| format!("`{rule:?}`")).collect();
        let row = match run_many(options, removed) {
            Some((seed, what)) => format!("| {} | {seed} | {what} |", names.join(", ")),
            None => format!("| {} | | none in {} seeds |", names.join(", "), options.seeds),
        };
        println!("{row}");
        table.push(row);
    }
    table.iter().for_each(|row| println!("{row}"));
    true
}
