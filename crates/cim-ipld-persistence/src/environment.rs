//! What an engine takes from the world around it: time and randomness. Both come in from outside,
//! so that a run can be repeated from a seed.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cim_ipld_index::Timestamp;

/// The wall clock, for the times that snapshots carry. Nothing else depends on it.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// A source of randomness for ids, names and pauses. It must not be predictable to whoever holds
/// the store, except in simulations; what seals objects is drawn by the envelope and never from
/// here.
pub trait Randomness: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Where an engine's time and randomness come from, and whether it may use threads.
///
/// ```
/// use cim_ipld_persistence::Environment;
///
/// let environment = Environment::default();
/// assert_ne!(environment.random::<16>(), environment.random::<16>());
/// ```
#[derive(Clone)]
pub struct Environment {
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    is_single_threaded: bool,
    #[cfg(feature = "simulation")]
    observer: Option<Arc<dyn crate::observer::Observer>>,
}

impl Environment {
    /// Returns an environment in which everything is a function of `clock`, `randomness` and the
    /// order of the runtime's tasks: long computations run on the task that needs them, not on
    /// threads of their own.
    #[must_use]
    pub fn deterministic(clock: Arc<dyn Clock>, randomness: Arc<dyn Randomness>) -> Self {
        Self {
            clock,
            randomness,
            is_single_threaded: true,
            #[cfg(feature = "simulation")]
            observer: None,
        }
    }

    /// Lets `observer` see what the engine does.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn crate::observer::Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Tells the observer, if there is one.
    #[cfg(feature = "simulation")]
    pub(crate) fn observe(&self, event: impl FnOnce() -> crate::observer::Event) {
        if let Some(observer) = &self.observer {
            observer.observe(event());
        }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns `N` random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.randomness.fill(&mut bytes);
        bytes
    }

    /// Returns a random number below `bound`, which is at least 1.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        u64::from_le_bytes(self.random()) % bound.max(1)
    }

    pub(crate) fn is_single_threaded(&self) -> bool {
        self.is_single_threaded
    }
}

impl Default for Environment {
    /// Returns the system's clock and the operating system's randomness.
    fn default() -> Self {
        Self {
            clock: Arc::new(System),
            randomness: Arc::new(System),
            is_single_threaded: false,
            #[cfg(feature = "simulation")]
            observer: None,
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("is_single_threaded", &self.is_single_threaded).finish_non_exhaustive()
    }
}

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Randomness for System {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            chunk.copy_from_slice(&cim_ipld_envelope::random::<32>()[..chunk.len()]);
        }
    }
}
