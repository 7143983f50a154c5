//! The sources of time and randomness of an engine. Both are injected, so that a run can be
//! reproduced from a seed.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cim_ipld_index::Timestamp;

/// A wall clock. It supplies the creation times of snapshots and archives and the ages of objects
/// for garbage collection, limits how long an uncertain write is retried, and decides when the
/// snapshot left by an unfinished export has expired; no decision about the order of writes depends
/// on it.
///
/// ```
/// use cim_ipld_index::Timestamp;
/// use cim_ipld_persistence::Clock;
///
/// /// A clock that stands still.
/// struct Fixed(Timestamp);
///
/// impl Clock for Fixed {
///     fn now(&self) -> Timestamp {
///         self.0
///     }
/// }
///
/// assert_eq!(Fixed(Timestamp(0)).now(), Timestamp(0));
/// ```
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// A source of randomness for ids, object names and delays. Outside of simulations, it must be
/// unpredictable to anyone with access to the store. Keys, salts and nonces do not come from here:
/// the envelope draws them itself.
///
/// ```
/// use std::sync::atomic::{AtomicU8, Ordering};
///
/// use cim_ipld_persistence::Randomness;
///
/// /// Predictable, for tests only.
/// struct Counting(AtomicU8);
///
/// impl Randomness for Counting {
///     fn fill(&self, bytes: &mut [u8]) {
///         bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
///     }
/// }
///
/// let mut bytes = [0; 3];
/// Counting(AtomicU8::new(7)).fill(&mut bytes);
/// assert_eq!(bytes, [7, 8, 9]);
/// ```
pub trait Randomness: Send + Sync {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The clock and randomness of an engine, and whether it may use threads.
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
    /// Returns an environment in which an engine depends only on `clock`, `randomness` and the
    /// scheduling of the runtime: long computations run on the task that needs them instead of on
    /// blocking threads.
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

    /// Sets an observer that receives the events of the engine.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn crate::observer::Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Passes an event to the observer, if there is one.
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
    /// Returns an environment with the system clock and the randomness of the operating system.
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
    #[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "the clock of the default environment"))]
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
