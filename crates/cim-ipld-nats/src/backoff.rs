use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const BRIEF_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Exponential backoff with a deadline. Each pause is drawn from the upper half of its interval, so
/// that the clients of a restarted server do not all return at once.
pub(crate) struct Backoff {
    pause: Duration,
    deadline: Instant,
}

impl Backoff {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { pause: FIRST_PAUSE, deadline: Instant::now() + patience }
    }

    /// Like [`new`](Self::new), but with shorter pauses, for conditions that clear within
    /// milliseconds.
    pub(crate) fn brief(patience: Duration) -> Self {
        Self { pause: BRIEF_PAUSE, deadline: Instant::now() + patience }
    }

    /// Waits before the next attempt; returns false immediately once the deadline has passed.
    pub(crate) async fn wait(&mut self) -> bool {
        if Instant::now() >= self.deadline {
            return false;
        }
        self.pause().await;
        true
    }

    /// Waits before the next attempt, regardless of the deadline.
    #[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "only the length of a pause depends on it"))]
    pub(crate) async fn pause(&mut self) {
        // Hasher keys are random, which suffices for jitter.
        let random = RandomState::new().hash_one(self.pause) % 1000;
        tokio::time::sleep(self.pause.mul_f64(0.5 + random as f64 / 2000.0)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
