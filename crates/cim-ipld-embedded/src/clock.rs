//! The clock of this store. It limits how long a call waits and how often the database is reopened;
//! no stored data depends on it. The threads of the store block, so tokio's clock does not apply to
//! them.

#![expect(clippy::disallowed_methods, reason = "the only place where this store reads a clock")]

use std::time::{Duration, Instant};

pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
