use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest version with the features that the NATS backend uses.
const OLDEST: (u32, u32) = (2, 12);

/// Finds the nats-server program: the one named by `NATS_SERVER`, else the one on the `PATH` if it
/// is 2.12 or newer, else the one in the `.tools` folder of the workspace.
///
/// ```no_run
/// use cim_ipld_backend_testkit::nats_server::find_program;
///
/// println!("testing with {}", find_program().display());
/// ```
///
/// # Panics
/// If there is none; the message says how to install it.
#[must_use]
pub fn find_program() -> PathBuf {
    if let Some(given) = std::env::var_os("NATS_SERVER").filter(|given| !given.is_empty()) {
        let given = PathBuf::from(given);
        assert!(version(&given).is_some(), "NATS_SERVER is {}, which is not a nats-server", given.display());
        return given;
    }
    let in_path = PathBuf::from("nats-server");
    if version(&in_path).is_some_and(|version| version >= OLDEST) {
        return in_path;
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/nats-server");
    if version(&tools).is_some() {
        return tools;
    }
    panic!("no nats-server 2.12 or newer was found: run `cargo xtask setup`, or set NATS_SERVER to the program");
}

/// Returns the major and minor version that `program` reports.
fn version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    parse_version(&String::from_utf8(output.stdout).ok()?)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let numbers = text.trim().strip_prefix("nats-server: v")?;
    let mut numbers = numbers.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_are_read() {
        for (text, expected) in [
            ("nats-server: v2.15.1\n", Some((2, 15))),
            ("nats-server: v2.12.0-RC.1\n", Some((2, 12))),
            ("nats-server: v3", None),
            ("redis 7.2.1", None),
            ("", None),
        ] {
            assert_eq!(parse_version(text), expected, "{text:?}");
        }
    }
}
