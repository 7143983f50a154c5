//! Attacks on the program with access to its store, but without its key: `tests/attack/attack.py`.

use std::path::Path;
use std::process::Command;

use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};

#[test]
fn attacks_without_a_key_are_withstood() {
    let server = NatsServer::start(ServerOptions::default());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attack/attack.py");
    let mut command = Command::new("python3");
    // Python must not write bytecode next to the script.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    for variable in ["CIM_KEY_FILE", "CIM_PASSPHRASE_FILE", "CIM_LOG"] {
        command.env_remove(variable);
    }
    command.arg(script).arg(env!("CARGO_BIN_EXE_cim"));
    command.arg(server.url().trim_start_matches("nats://")).arg(folder.path());
    let output = command.output().expect("python3 starts");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{text}");
    assert!(output.status.success(), "{text}\n{errors}");
    assert_eq!(text.matches("withstood: ").count(), 11, "{text}");
}
