//! `cargo xtask bench`: runs the micro-benchmarks, or compares the index core with its peers.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Outcome;
use crate::workspace::{cargo, output, root, succeed};

/// Runs the Criterion benchmarks. With `--peers`, builds and runs `benches/peers` instead, and
/// passes it all other arguments.
pub(crate) fn run(args: &[String]) -> Outcome {
    if args.iter().any(|arg| arg == "--peers") {
        return peers(args);
    }
    let mut command = cargo(&["bench", "-p", "cim-ipld-benches"]);
    if !args.is_empty() {
        command.arg("--").args(args);
    }
    succeed(&mut command)
}

fn peers(args: &[String]) -> Outcome {
    let folder = root().join("benches/peers");
    let mut build = cargo(&["build", "--release", "--quiet"]);
    build.current_dir(&folder);
    // Without SQLCipher, OpenSSL is not compiled. The two builds use separate folders.
    let mut target = folder.join("target");
    if args.iter().any(|arg| arg == "--no-sqlite") {
        target.push("no-sqlite");
        build.arg("--no-default-features");
    }
    succeed(build.arg("--target-dir").arg(&target))?;
    let compiler = output(Command::new("rustc").arg("--version"))?;
    let mut git = Command::new("git");
    let commit = output(git.args(["describe", "--always", "--dirty"]).current_dir(root()))?;
    let mut run = Command::new(target.join("release/peers"));
    run.args(args.iter().filter(|arg| *arg != "--peers"));
    run.args(["--date", &today()?, "--commit", commit.trim(), "--compiler", compiler.trim()]);
    succeed(&mut run)
}

fn today() -> Result<String, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let (year, month, day) = civil(since.as_secs() / 86_400);
    Ok(format!("{year}-{month:02}-{day:02}"))
}

/// Returns the date that is a number of days after 1970-01-01. Source: Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms".
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_become_dates() {
        let known = [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (20_820, (2027, 1, 2))];
        for (days, date) in known {
            assert_eq!(civil(days), date, "{days}");
        }
    }
}
