//! Runs `cim` and checks its output.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Output;
use std::sync::LazyLock;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// Returns a command without the environment variables that affect the program.
pub(crate) fn cim<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cim"));
    for variable in ["CIM_KEY_FILE", "CIM_PASSPHRASE_FILE", "CIM_LOG", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command.env("XDG_STATE_HOME", state_home()).args(arguments);
    command
}

/// The start of a command line; what follows it runs with the default handling of SIGINT. If the
/// tests run as a background job of a shell, the program would otherwise inherit an ignored SIGINT.
#[cfg(unix)]
pub(crate) const WITH_SIGINT: [&str; 3] = [
    "python3",
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])",
];

/// Returns the folder for the pins of this test binary.
pub(crate) fn state_home() -> &'static Path {
    static FOLDER: LazyLock<TempDir> =
        LazyLock::new(|| TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder"));
    FOLDER.path()
}

/// Runs the program, which must succeed without output on standard error, and returns its standard
/// output.
#[track_caller]
pub(crate) fn done<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> String {
    let output = cim(arguments).output().expect("the program starts");
    succeeded(&output)
}

/// Checks that a run succeeded and returns its standard output.
#[track_caller]
pub(crate) fn succeeded(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "it failed: {error}");
    assert_eq!(error, "", "a successful run wrote to standard error");
    String::from_utf8(output.stdout.clone()).expect("standard output is UTF-8")
}

/// Runs the program and returns the one JSON object that it prints.
#[track_caller]
pub(crate) fn json<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Value {
    let output = done(arguments);
    assert_eq!(output.matches('\n').count(), 1, "one object on one line: {output}");
    serde_json::from_str(&output).expect("standard output is JSON")
}

/// The status of a failed run, and its two lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: i32,
    pub(crate) error: String,
    pub(crate) hint: String,
}

/// Runs the program, which must fail with the status of its kind and the lines `error: …` and
/// `hint: …` on standard error.
#[track_caller]
pub(crate) fn refused<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Refusal {
    refusal(&cim(arguments).output().expect("the program starts"))
}

/// Checks a failed run.
#[track_caller]
pub(crate) fn refusal(output: &Output) -> Refusal {
    let text = String::from_utf8(output.stderr.clone()).expect("standard error is UTF-8");
    let status = output.status.code().unwrap_or_else(|| panic!("it was killed: {text}"));
    assert!((1..=17).contains(&status), "status {status}: {text}");
    if let Ok(object) = serde_json::from_str::<Value>(&text) {
        let field = |name: &str| object["error"][name].as_str().expect("a string").to_owned();
        assert_eq!(object["error"]["status"], status, "{text}");
        return Refusal { status, error: field("message"), hint: field("hint") };
    }
    let lines: Vec<&str> = text.lines().collect();
    let [error, hint] = lines[..] else { panic!("two lines are expected: {text:?}") };
    let error = error.strip_prefix("error: ").unwrap_or_else(|| panic!("no error line: {text:?}"));
    let hint = hint.strip_prefix("hint: ").unwrap_or_else(|| panic!("no hint line: {text:?}"));
    assert!(!error.is_empty() && !hint.is_empty(), "{text:?}");
    Refusal { status, error: error.to_owned(), hint: hint.to_owned() }
}

/// Returns the names of the fields of a JSON object, in alphabetical order.
#[track_caller]
pub(crate) fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Returns the number of documents that a run of `cim index` has acknowledged, according to the
/// last complete line of acknowledgement.
pub(crate) fn acknowledged(stdout: &str) -> u64 {
    let whole = stdout.rfind('\n').map_or("", |end| &stdout[..end]);
    let counts = whole.lines().filter_map(|line| line.strip_prefix("acknowledged ")?.strip_suffix(" documents"));
    counts.map(|count| count.parse().expect("a count")).next_back().unwrap_or(0)
}
