//! The README's transcript is what happens.

use std::process::Command;

use crate::store::Store;

const README: &str = include_str!("../../README.md");

#[test]
fn the_transcript_is_what_happens() {
    let store = Store::folder();
    let folder = store.file(".");
    let transcript =
        README.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a transcript");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_cim"));
    let path = format!("{}:{}", program.parent().expect("a folder").display(), std::env::var("PATH").expect("a PATH"));
    let mut environment: Vec<(&str, &str)> = vec![("PATH", &path)];
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
        assert_eq!(without_times(&said), without_times(expected), "step {number}: {command}");
    }
}

/// The text with every duration replaced: the number before `s` at the end of a line, and the one after `"took_us":`.
fn without_times(text: &str) -> String {
    let mut result = String::new();
    for line in text.lines() {
        match (line.strip_suffix(" s").and_then(|rest| rest.rsplit_once(' ')), line.split_once("\"took_us\":")) {
            (Some((before, _)), _) | (None, Some((before, _))) => result.push_str(before),
            (None, None) => result.push_str(line),
        }
        result.push('\n');
    }
    result
}
