//! Runs two writers, two readers and a process that folds and merges on real servers, and kills and
//! pauses servers and processes at random. Fails if an acknowledged write is lost, a document is
//! found twice, or the index is damaged.

mod chaos;
mod ledger;
mod worker;

use std::process::ExitCode;
use std::time::Duration;

use chaos::Soak;

const USAGE: &str = "usage: soak [--minutes N] [--replicas 1|3]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("worker", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return worker::run(rest);
    }
    let soak = match parse(&args) {
        Ok(soak) => soak,
        Err(what) => {
            eprintln!("soak: {what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match soak.run() {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("soak: {problem}"));
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Result<Soak, String> {
    let (mut minutes, mut replicas) = (10.0, 1);
    let mut rest = args.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
        let wrong = || format!("invalid value {value} for {name}");
        match name.as_str() {
            "--minutes" => minutes = value.parse().ok().filter(|minutes| *minutes > 0.0).ok_or_else(wrong)?,
            "--replicas" => replicas = value.parse().ok().filter(|n| matches!(n, 1 | 3)).ok_or_else(wrong)?,
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(Soak { time: Duration::from_secs_f64(minutes * 60.0), replicas })
}
