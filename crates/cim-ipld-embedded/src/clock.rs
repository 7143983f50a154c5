//! The clock of this store. Its threads block, so tokio's clock does not apply to them, and nothing
//! that it returns depends on the time: it only limits how long a call waits.

#![expect(clippy::disallowed_methods, reason = "the only place where this store reads a clock")]

use std::time::{Duration, Instant};

pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
