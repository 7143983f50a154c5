//! The failure for an invalid command line.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::args::Arguments;
use crate::failure::Failure;

/// Converts an error of clap to a message and a hint.
pub(crate) fn failure(error: &clap::Error) -> Failure {
    let command = command_named(std::env::args_os().skip(1));
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::usage("no command was given", format!("see `{command} --help`"));
    }
    let text = error.render().to_string();
    let (mut message, mut tips) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        match line.strip_prefix("tip: ") {
            Some(tip) => tips.push(tip),
            None => message.push(line),
        }
    }
    let message = message.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    tips.push("see");
    let tips = tips.join("; ");
    Failure::usage(message, format!("{tips} `{command} --help`"))
}

/// Returns the command named by the command line, such as `cim key rotate`.
fn command_named(arguments: impl IntoIterator<Item = OsString>) -> String {
    let root = Arguments::command();
    let mut command = &root;
    let mut name = command.get_name().to_owned();
    for argument in arguments {
        let Some(next) = command.find_subcommand(&argument) else { break };
        name = format!("{name} {}", next.get_name());
        command = next;
    }
    name
}
