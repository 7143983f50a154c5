mod budget;

use std::num::NonZeroUsize;
use std::time::Duration;

pub use budget::MemoryBudget;

/// The tuning parameters of an engine.
///
/// ```
/// use std::time::Duration;
///
/// use cim_ipld_persistence::Settings;
///
/// let mut settings = Settings::default();
/// settings.memory_budget_bytes = 64 << 20;
/// settings.write_timeout = Duration::from_secs(5);
/// assert_eq!(settings.budget().memtable_bytes(), 12 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The memory in bytes for everything that grows with an index or its load: memtables, cached
    /// pages, merges, the caches of an embedded store, and documents in flight.
    /// [`MemoryBudget`] divides it. A process needs more, for its code, threads, and what the
    /// allocator wastes; docs/decisions/0014 has figures.
    pub memory_budget_bytes: usize,
    /// The size in bytes at which the memtable is folded into a segment, if that is less than its
    /// share of the memory budget.
    pub memtable_budget_bytes: Option<usize>,
    /// Whether this process folds automatically when the memtable exceeds its budget.
    pub background: bool,
    /// How often the process that folds and merges also collects the garbage, like
    /// [`Engine::collect_garbage`](crate::Engine::collect_garbage) with this grace period.
    /// `None`, the default, leaves it to that call: a collection reads every object of the index
    /// from the store, which may be slow or charged for, and only crashes leave garbage.
    pub collect_garbage_every: Option<Duration>,
    /// The zstd level of the objects that hold text, or `None` to store them uncompressed. `None`
    /// by default: the size of compressed text reveals something about it to an attacker who can
    /// choose part of the text (docs/decisions/0004).
    pub compression_level: Option<i32>,
    /// How long a write is retried against a store that is unreachable or does not answer, before
    /// it fails.
    pub write_timeout: Duration,
    /// The maximum number of pages fetched or stored concurrently by one operation. Merges and
    /// verification may fetch up to four pages at once even if this is less.
    pub parallel_transfers: NonZeroUsize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_budget_bytes: 256 << 20,
            memtable_budget_bytes: None,
            background: true,
            collect_garbage_every: None,
            compression_level: None,
            write_timeout: Duration::from_secs(30),
            parallel_transfers: const { NonZeroUsize::new(16).expect("16 is not zero") },
        }
    }
}

impl Settings {
    /// Returns the shares of the memory budget.
    #[must_use]
    pub fn budget(&self) -> MemoryBudget {
        MemoryBudget::new(self)
    }
}
