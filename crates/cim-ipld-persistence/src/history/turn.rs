//! Decides which of several processes folds or merges, because concurrent folds waste work.
//!
//! This is a local heuristic; nothing about it is stored. The process whose record pushes the tail
//! over the budget folds, and continues to fold while the tail after its own manifest exceeds the
//! budget. The process whose fold fills a size class merges it. The others wait for a while before
//! they do the work themselves. Correctness does not depend on this choice: the compare-and-set
//! accepts one of two competing manifests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Turn<S>(Mutex<Inner<S>>);

#[derive(Debug)]
struct Inner<S> {
    waiting: Option<Work<S>>,
    /// How long the previous work took, in this or another process, as observed here.
    took: Duration,
}

/// A piece of work for one process.
#[derive(Clone, Copy, Debug)]
struct Work<S> {
    /// The watermark that precedes the tail, for a fold; the first segment, for a merge.
    subject: S,
    since: Instant,
    /// When this process does the work: immediately, or after giving another process time.
    due: Instant,
}

impl<S> Default for Turn<S> {
    fn default() -> Self {
        Self(Mutex::new(Inner { waiting: None, took: Duration::ZERO }))
    }
}

impl<S: Copy + PartialEq> Turn<S> {
    /// Notes that this process is to do the work.
    pub(crate) fn claim(&self, subject: S) {
        let mut inner = self.lock();
        let now = Instant::now();
        let since = inner.waiting.filter(|work| work.subject == subject).map_or(now, |work| work.since);
        inner.waiting = Some(Work { subject, since, due: now });
    }

    /// Notes work that another process is expected to do. `patience` computes how long to wait for
    /// it from the duration of the previous work. Returns whether the work is new.
    pub(crate) fn wait(&self, subject: S, patience: impl FnOnce(Duration) -> Duration) -> bool {
        let mut inner = self.lock();
        if inner.waiting.is_some_and(|work| work.subject == subject) {
            return false;
        }
        inner.finish();
        let now = Instant::now();
        inner.waiting = Some(Work { subject, since: now, due: now + patience(inner.took) });
        true
    }

    /// Notes that there is nothing to do.
    pub(crate) fn end(&self) {
        self.lock().finish();
    }

    pub(crate) fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    /// Returns when this process does the work, unless another one does it before.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.lock().waiting.map(|work| work.due)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Inner<S> {
    fn finish(&mut self) {
        if let Some(work) = self.waiting.take() {
            self.took = work.since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn the_process_that_claims_folds_and_the_others_wait() {
        let (own, other) = (Turn::default(), Turn::default());
        assert!(!own.is_due() && own.due().is_none());
        own.claim(10);
        assert!(other.wait(10, |_| PATIENCE) && !other.wait(10, |_| Duration::ZERO));
        assert!(!own.wait(10, |_| PATIENCE), "claimed already");
        assert_eq!((own.is_due(), other.is_due()), (true, false));
        tokio::time::advance(PATIENCE).await;
        assert!(other.is_due(), "the process that should have folded is gone");
        other.end();
        assert!(!other.is_due());
        // The fold took five seconds, from which the next patience is computed.
        assert!(other.wait(20, |took| took * 3));
        assert_eq!(other.due(), Some(Instant::now() + PATIENCE * 3));
        // A newer manifest with another long tail: its publisher continues to fold.
        assert!(other.wait(30, |_| PATIENCE));
        assert_eq!(other.due(), Some(Instant::now() + PATIENCE));
    }
}
