//! `cargo xtask nats`: runs a server for development.

use std::process::Command;

use crate::{Outcome, no_arguments, setup, workspace};

/// Runs nats-server in the foreground, with its data in `.tools/nats-data`.
pub(crate) fn run(args: &[String]) -> Outcome {
    no_arguments(args)?;
    let server = setup::nats_server()?;
    let store = workspace::tools().join("nats-data");
    println!("nats://127.0.0.1:4222, data in {}; stop it with Ctrl-C", store.display());
    let mut command = Command::new(server);
    command.args(["--addr", "127.0.0.1", "--port", "4222", "--jetstream", "--store_dir"]).arg(store);
    become_command(command)
}

/// Replaces this process by the server, so that no parent exits on Ctrl-C before the server has
/// closed its store.
#[cfg(unix)]
fn become_command(mut command: Command) -> Outcome {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(format!("{}: {error}", workspace::shown(&command)))
}

#[cfg(not(unix))]
fn become_command(mut command: Command) -> Outcome {
    workspace::succeed(&mut command)
}
