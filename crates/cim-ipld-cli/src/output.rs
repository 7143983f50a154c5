//! Standard output, the log, and text that is safe to show.

use std::io::{ErrorKind, IsTerminal, Write};

use serde::Serialize;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::failure::{Failure, Result};

/// Writes to standard output. A reader that went away is not an error: what it wanted it has.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let message = format!("standard output cannot be written: {error}");
            Err(Failure::new(message, "free room where standard output goes, or send it elsewhere"))
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

/// Replaces what would break the line or steer the terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).map(shown).collect()
}

/// Replaces what would steer the terminal; lines stay.
pub(crate) fn many_lines(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { shown(c) }).collect()
}

fn shown(c: char) -> char {
    // Beside the controls, the marks that reorder what follows them (Unicode Standard Annex #9).
    let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || reorders { '\u{fffd}' } else { c }
}

/// How words are set off on standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style(bool);

impl Style {
    /// Styles only on a terminal that does not ask for plain text (no-color.org).
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

/// Sends the libraries' log to standard error when `CIM_LOG` names a level; otherwise there is none.
pub(crate) fn start_log() -> Result<()> {
    let Some(level) = std::env::var_os("CIM_LOG").filter(|level| !level.is_empty()) else { return Ok(()) };
    let level = level.to_str().and_then(|level| level.parse::<tracing_subscriber::filter::LevelFilter>().ok());
    let Some(level) = level else {
        return Err(Failure::usage(
            "CIM_LOG names no level",
            "set it to error, warn, info, debug or trace, or unset it",
        ));
    };
    // The NATS client logs what it sends to log in, password and all, as a field of its own.
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

#[cfg(test)]
mod tests {
    use super::{many_lines, one_line};

    #[test]
    fn text_cannot_steer_the_terminal() {
        for (text, line, lines) in [
            ("plain text", "plain text", "plain text"),
            ("a\nb\tc\rd", "a b c d", "a\nb\tc\u{fffd}d"),
            ("\x1b[2Jgone", "\u{fffd}[2Jgone", "\u{fffd}[2Jgone"),
            ("\u{202e}cod.exe", "\u{fffd}cod.exe", "\u{fffd}cod.exe"),
            ("\u{9b}31m", "\u{fffd}31m", "\u{fffd}31m"),
            ("Grüße 🐋", "Grüße 🐋", "Grüße 🐋"),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
            assert_eq!(many_lines(text), lines, "{text:?}");
        }
    }
}
