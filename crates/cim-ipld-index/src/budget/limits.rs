//! The limits of a search, and how to cancel one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits on what one search may cost. A search beyond one of them fails with
/// [`QueryTooExpensive`](crate::ErrorKind::QueryTooExpensive), which names the limit and the part
/// of the query that exceeded it; it never returns a part of the results.
///
/// Except for the deadline, the limits are counted rather than measured: the same search of the
/// same read view always ends in the same way, however busy the machine is.
///
/// ```
/// use std::time::Duration;
///
/// use cim_ipld_index::{SearchLimits, SearchOptions};
///
/// let limits = SearchLimits::default().work(1 << 24).memory_bytes(16 << 20).deadline(Duration::from_secs(2));
/// let options = SearchOptions::default().limits(limits);
/// assert_eq!(options.limits.expansions, 1 << 20);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SearchLimits {
    /// The maximum number of lookups: words, names, ranges and types of attributes, each counted as
    /// often as it occurs in the query; 4,096 by default.
    pub clauses: u64,
    /// The maximum number of words to which all prefixes, wildcards and fuzzy words of the query
    /// expand, summed over the parts of the index; 2^20 by default.
    pub expansions: u64,
    /// The maximum amount of work, in units; 2^28 by default. A unit is about one posting, position
    /// or dictionary entry that is read or compared.
    pub work: u64,
    /// The maximum size of the working memory for sets, expanded words, cursors and positions, in
    /// bytes; 256 MiB by default. It covers neither the pages of the index nor the results.
    pub memory_bytes: u64,
    /// The maximum duration; none by default. Reading stored documents counts, waiting for pages
    /// that a caller of [`ReadView::search`](crate::ReadView::search) fetches in between does not.
    pub deadline: Option<Duration>,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self { clauses: 4096, expansions: 1 << 20, work: 1 << 28, memory_bytes: 256 << 20, deadline: None }
    }
}

impl SearchLimits {
    /// Returns limits that no search exceeds, for trusted queries.
    ///
    /// ```
    /// assert_eq!(cim_ipld_index::SearchLimits::unlimited().work, u64::MAX);
    /// ```
    #[must_use]
    pub fn unlimited() -> Self {
        Self { clauses: u64::MAX, expansions: u64::MAX, work: u64::MAX, memory_bytes: u64::MAX, deadline: None }
    }

    /// Sets the maximum number of lookups.
    #[must_use]
    pub fn clauses(mut self, clauses: u64) -> Self {
        self.clauses = clauses;
        self
    }

    /// Sets the maximum number of words to which the query expands.
    #[must_use]
    pub fn expansions(mut self, expansions: u64) -> Self {
        self.expansions = expansions;
        self
    }

    /// Sets the maximum amount of work, in units.
    #[must_use]
    pub fn work(mut self, work: u64) -> Self {
        self.work = work;
        self
    }

    /// Sets the maximum size of the working memory, in bytes.
    #[must_use]
    pub fn memory_bytes(mut self, memory_bytes: u64) -> Self {
        self.memory_bytes = memory_bytes;
        self
    }

    /// Sets the maximum duration.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

/// A condition under which a running search stops with [`Cancelled`](crate::ErrorKind::Cancelled).
/// A search evaluates it every 16,384 units of [work](SearchLimits::work).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use cim_ipld_index::{Cancellation, Document, ErrorKind, MemoryIndex, Query, SearchOptions};
///
/// let is_cancelled = Arc::new(AtomicBool::new(false));
/// let flag = Arc::clone(&is_cancelled);
/// let cancellation = Cancellation::when(move || flag.load(Ordering::Relaxed));
///
/// is_cancelled.store(true, Ordering::Relaxed);
/// let (index, options) = (MemoryIndex::new(), SearchOptions::default());
/// let error = index.search_until(&Query::everything(), &options, &cancellation).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Cancelled);
/// ```
#[derive(Clone)]
pub struct Cancellation(Arc<dyn Fn() -> bool + Send + Sync>);

impl Cancellation {
    /// Creates a cancellation that takes effect once `is_cancelled` returns `true`. The closure
    /// should return at once.
    pub fn when(is_cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_cancelled))
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0()
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cancellation(..)")
    }
}
