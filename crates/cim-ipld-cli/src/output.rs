//! Standard output and the log.

use std::io::{ErrorKind, IsTerminal, Write};

use serde::Serialize;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::failure::{Failure, Result};

/// Writes to standard output. A closed pipe is not an error: the reader has seen enough.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let message = format!("standard output cannot be written: {error}");
            Err(Failure::new(message, "free space where standard output is stored, or redirect it"))
        }
        _ => Ok(()),
    }
}

/// Writes one line to standard output.
pub(crate) fn print_line(line: impl Into<String>) -> Result<()> {
    let mut line = line.into();
    line.push('\n');
    print(&line)
}

/// Writes one JSON object on one line to standard output.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    print_line(serde_json::to_string(value).expect("keys are strings and writing to memory does not fail"))
}

/// How text is highlighted on standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style(bool);

impl Style {
    /// Uses styles on a terminal unless NO_COLOR is set (no-color.org).
    pub(crate) fn of_stdout() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(!plain && std::io::stdout().is_terminal())
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Sends the log of the libraries to standard error if `CIM_LOG` names a level. Otherwise there is
/// no log.
pub(crate) fn start_log() -> Result<()> {
    let Some(level) = std::env::var_os("CIM_LOG").filter(|level| !level.is_empty()) else { return Ok(()) };
    let level = level.to_str().and_then(|level| level.parse::<tracing_subscriber::filter::LevelFilter>().ok());
    let Some(level) = level else {
        return Err(Failure::usage(
            "CIM_LOG is not a log level",
            "set it to error, warn, info, debug or trace, or unset it",
        ));
    };
    // The NATS client logs its CONNECT message, which contains the password, in a separate field.
    let is_secret = |metadata: &tracing::Metadata<'_>| metadata.fields().field("connect_info").is_some();
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .finish()
        .with(filter_fn(move |metadata| !is_secret(metadata)))
        .init();
    Ok(())
}
