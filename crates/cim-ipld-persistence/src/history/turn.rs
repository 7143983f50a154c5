//! Whose turn it is to fold or merge: of several processes one, as what another does at the same
//! time is written for nothing.
//!
//! Nothing of it is in the store. The process whose record takes the tail over the budget folds,
//! and goes on doing so while the tail is over the budget behind its own manifest; the one whose
//! fold filled a size class merges; the others give it time. Only cost depends on it: of two
//! manifests the compare-and-set takes one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Turn<S>(Mutex<Inner<S>>);

#[derive(Debug)]
struct Inner<S> {
    waiting: Option<Work<S>>,
    /// How long the work before took whichever process did it, as seen from here.
    took: Duration,
}

/// Work to be done once.
#[derive(Clone, Copy, Debug)]
struct Work<S> {
    /// What it is about: for a fold the watermark behind which the tail is, for a merge the first
    /// of its segments.
    subject: S,
    since: Instant,
    /// When this process does it: at once, or when whoever should has had its time.
    due: Instant,
}

impl<S> Default for Turn<S> {
    fn default() -> Self {
        Self(Mutex::new(Inner { waiting: None, took: Duration::ZERO }))
    }
}

impl<S: Copy + PartialEq> Turn<S> {
    /// Notes that this process is the one to do it.
    pub(crate) fn claim(&self, subject: S) {
        let mut inner = self.lock();
        let now = Instant::now();
        let since = inner.waiting.filter(|work| work.subject == subject).map_or(now, |work| work.since);
        inner.waiting = Some(Work { subject, since, due: now });
    }

    /// Notes work that another process is expected to do, within the time that `patience` makes of
    /// the duration of the work before. Returns true when it is new.
    pub(crate) fn wait(&self, subject: S, patience: impl FnOnce(Duration) -> Duration) -> bool {
        let mut inner = self.lock();
        if inner.waiting.is_some_and(|work| work.subject == subject) {
            return false;
        }
        inner.passed();
        let now = Instant::now();
        inner.waiting = Some(Work { subject, since: now, due: now + patience(inner.took) });
        true
    }

    /// Notes that there is nothing to do.
    pub(crate) fn end(&self) {
        self.lock().passed();
    }

    pub(crate) fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    /// When this process does the work, unless another one does before.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.lock().waiting.map(|work| work.due)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Inner<S> {
    fn passed(&mut self) {
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
    async fn the_one_that_claims_folds_and_the_others_wait() {
        let (own, other) = (Turn::default(), Turn::default());
        assert!(!own.is_due() && own.due().is_none());
        own.claim(10);
        assert!(other.wait(10, |_| PATIENCE) && !other.wait(10, |_| Duration::ZERO));
        assert!(!own.wait(10, |_| PATIENCE), "claimed already");
        assert_eq!((own.is_due(), other.is_due()), (true, false));
        tokio::time::advance(PATIENCE).await;
        assert!(other.is_due(), "whoever should have folded is gone");
        other.end();
        assert!(!other.is_due());
        // A fold took five seconds: patience can be made of that.
        assert!(other.wait(20, |took| took * 3));
        assert_eq!(other.due(), Some(Instant::now() + PATIENCE * 3));
        // Another manifest with more behind it: its process goes on.
        assert!(other.wait(30, |_| PATIENCE));
        assert_eq!(other.due(), Some(Instant::now() + PATIENCE));
    }
}
