//! Runs the transcript in the README and compares the output.

use std::process::Command;

use crate::program::state_home;
use crate::store::Store;

const README: &str = include_str!("../../README.md");

#[test]
fn the_transcript_is_up_to_date() {
    let store = Store::folder();
    let folder = store.file(".");
    let transcript =
        README.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a transcript");
    let state = state_home().display().to_string();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_cim"));
    let path = format!("{}:{}", program.parent().expect("a folder").display(), std::env::var("PATH").expect("a PATH"));
    let mut environment: Vec<(&str, &str)> = vec![("PATH", &path), ("XDG_STATE_HOME", &state)];
    for (number, step) in transcript.split("$ ").skip(1).enumerate() {
        let (command, expected) = step.split_once('\n').expect("a line of its own");
        if let Some((name, value)) = command.strip_prefix("export ").and_then(|set| set.split_once('=')) {
            environment.push((name, value));
            continue;
        }
        let shell = Command::new("sh").args(["-c", command]).current_dir(&folder).envs(environment.clone()).output();
        let output = shell.expect("sh starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("UTF-8");
        assert_eq!(comparable(&said), comparable(expected), "step {number}: {command}");
    }
}

/// Returns the text without the parts that differ between runs.
fn comparable(text: &str) -> String {
    without_page_bytes(&without_times(text))
}

/// Returns the text without the size that `cim verify` reports. It differs between runs, because
/// pages contain the times of the files in a variable number of bits.
fn without_page_bytes(text: &str) -> String {
    let Some((before, after)) = text.split_once(" pages, ") else { return text.to_owned() };
    let (bytes, after) = after.split_once(" bytes, ").expect("the pages' bytes");
    assert!(bytes.parse::<u64>().is_ok_and(|bytes| bytes > 0), "{bytes:?} is no number of bytes");
    format!("{before} pages, {after}")
}

/// Returns the text without durations (the number before `s` at the end of a line, and the one
/// after `"took_us":`), and with scores rounded to four decimals.
fn without_times(text: &str) -> String {
    let mut result = String::new();
    for line in text.lines().map(with_short_scores) {
        match (line.strip_suffix(" s").and_then(|rest| rest.rsplit_once(' ')), line.split_once("\"took_us\":")) {
            (Some((before, _)), _) | (None, Some((before, _))) => result.push_str(before),
            (None, None) => result.push_str(&line),
        }
        result.push('\n');
    }
    result
}

fn with_short_scores(line: &str) -> String {
    let mut parts = line.split("\"score\":");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(part.len());
        let score: f64 = part[..end].parse().expect("a score is a number");
        result.push_str(&format!("\"score\":{score:.4}{}", &part[end..]));
    }
    result
}
