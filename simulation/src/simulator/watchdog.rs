//! Aborts a run without progress. With a paused clock, a task that never waits prevents every
//! timeout.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// Thousands of times the duration of a run.
const LIMIT: Duration = Duration::from_secs(180);

/// Exits with an error unless it is dropped within the limit.
pub(super) struct Watchdog(#[expect(dead_code, reason = "dropping it is the signal")] Sender<()>);

impl Watchdog {
    pub(super) fn new(run: String) -> Self {
        let (running, ended) = mpsc::channel();
        thread::spawn(move || {
            if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{run} has not ended after {} s: it is stuck in a loop", LIMIT.as_secs());
                std::process::exit(101);
            }
        });
        Self(running)
    }
}
