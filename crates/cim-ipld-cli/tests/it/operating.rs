//! Runs the drills in docs/operating.md, and compares what the commands say, apart from numbers.

use std::process::Command;

use crate::program::{done, state_home};
use crate::store::Store;

const OPERATING: &str = include_str!("../../../../docs/operating.md");

/// The drill during which the store is damaged.
const DAMAGED: &str = "$ cim repair";

#[test]
fn every_step_of_the_drills_works_as_described() {
    let store = Store::folder_named("index");
    let folder = store.file(".");
    let key = store.key("index.key");
    let at = store.name();
    done(["init", &at, "--key-file", &key]);
    store.write("notes/harbour.txt", "Two boats left the quiet harbour before the fog did.");
    store.write("notes/whales.txt", "Low calls of whales carry for miles under the water.");
    store.write("notes/fog.txt", "Bells and horns that warn boats in the fog.");
    store.write("more.txt", "Gulls follow the boats out of the bay.");
    store.write("wrong.txt", "This is not a note.");
    done(["index", &at, &store.file("notes").display().to_string(), "--key-file", &key]);

    let program = std::path::Path::new(env!("CARGO_BIN_EXE_cim"));
    let path = format!("{}:{}", program.parent().expect("a folder").display(), std::env::var("PATH").expect("a PATH"));
    let state = state_home().display().to_string();
    let environment = [("PATH", path.as_str()), ("XDG_STATE_HOME", &state), ("CIM_KEY_FILE", &key)];
    let drills: Vec<&str> =
        OPERATING.split("```console\n").skip(1).map(|rest| rest.split("```").next().expect("an end")).collect();
    assert!(drills.len() >= 5 && drills.iter().any(|drill| drill.starts_with(DAMAGED)));
    for drill in drills {
        if drill.starts_with(DAMAGED) {
            let contents = store.contents();
            contents.iter().filter(|stored| stored.bucket != "catalog_v1").for_each(|stored| store.delete(stored));
        }
        for step in drill.split("$ ").skip(1) {
            let (command, expected) = step.split_once('\n').expect("a line of its own");
            let shell = Command::new("sh").args(["-c", command]).current_dir(&folder).envs(environment).output();
            let output = shell.expect("sh starts");
            let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
            assert_eq!(without_numbers(&said), without_numbers(expected), "{command}: {said}");
            assert!(output.status.success(), "{command}");
        }
    }
}

/// Returns the text with one `0` for each number.
fn without_numbers(text: &str) -> String {
    let mut result = String::new();
    for part in text.split_inclusive(|character: char| !character.is_ascii_digit()) {
        let rest = part.trim_start_matches(|character: char| character.is_ascii_digit());
        if rest.len() < part.len() {
            result.push('0');
        }
        result.push_str(rest);
    }
    result
}
