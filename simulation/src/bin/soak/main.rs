//! Two writers, one process that folds and merges and two readers on real servers, with kills and
//! pauses of all of them at random. Ends with an error when anything acknowledged is lost, anything
//! is there twice or the index is not sound.

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
        let wrong = || format!("{name} {value} is not possible");
        match name.as_str() {
            "--minutes" => minutes = value.parse().ok().filter(|minutes| *minutes > 0.0).ok_or_else(wrong)?,
            "--replicas" => replicas = value.parse().ok().filter(|n| matches!(n, 1 | 3)).ok_or_else(wrong)?,
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(Soak { time: Duration::from_secs_f64(minutes * 60.0), replicas })
}
