//! The location of the workspace, and running its tools.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the folder of the root `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask is a folder of the workspace").to_path_buf()
}

/// Returns the git-ignored folder for the downloads of `setup`.
pub(crate) fn tools() -> PathBuf {
    root().join(".tools")
}

/// Returns a cargo command as if called from a shell in the workspace folder.
///
/// `cargo run` sets variables that describe the xtask package for the program that it starts. Build
/// scripts such as the one of ring are rerun if those differ, so a cargo that inherits them would
/// recompile what a manual `cargo test` has compiled.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(describes_a_package) {
            command.env_remove(name);
        }
    }
    command.args(args).current_dir(root());
    command
}

fn describes_a_package(variable: &str) -> bool {
    ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

/// Runs `command` and returns what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let what = shown(command);
    let output = command.output().map_err(|error| format!("{what}: {error}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{what}: {}\n{}", output.status, stderr.trim_end()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{what}: answered with bytes that are not UTF-8"))
}

/// Runs `command` with its output on the terminal.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let what = shown(command);
    let status = command.status().map_err(|error| format!("{what}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what}: {status}")) }
}

/// Returns the program and its arguments as one line.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program.to_string_lossy().into_owned()).chain(args).collect::<Vec<_>>().join(" ")
}

/// Returns the paths of the files of the project (tracked, or new and not ignored), relative to the
/// root and separated by `/`.
pub(crate) fn files() -> Result<Vec<String>, String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let listing = output(&mut git)?;
    let exists = |path: &&str| !path.is_empty() && root().join(path).is_file();
    Ok(listing.split('\0').filter(exists).map(str::to_owned).collect())
}
