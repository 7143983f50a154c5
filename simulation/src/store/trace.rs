//! The trace of a run, line by line, and its hash.

use std::fmt;
use std::time::Duration;

/// The operations of all clients in the order in which they ended, and the events of the store.
///
/// It contains keys and sizes but no values.
#[derive(Debug, Default)]
pub(super) struct Trace {
    lines: Vec<String>,
    hasher: blake3::Hasher,
}

impl Trace {
    pub(super) fn add(&mut self, at: Duration, what: impl fmt::Display) {
        let line = format!("{:>9.3} {what}", at.as_secs_f64());
        self.hasher.update(line.as_bytes());
        self.hasher.update(b"\n");
        self.lines.push(line);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.clone()
    }

    pub(super) fn hash(&self) -> String {
        self.hasher.finalize().to_hex()[..32].to_owned()
    }
}
