use std::time::Duration;

/// The plain numbers an engine works with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Bytes of memtable at which it is folded into a segment. While a fold or merge is under way,
    /// writes go on up to twice as much and one record.
    pub memtable_budget_bytes: usize,
    /// Bytes of opened pages kept in memory.
    pub cache_budget_bytes: usize,
    /// Whether this process folds by itself when the memtable passes its budget.
    pub background: bool,
    /// zstd level of the objects that hold text; `None` stores them uncompressed. Off by default:
    /// sizes of compressed text tell something of it to whoever can choose part of the text
    /// (docs/decisions/0004).
    pub compression_level: Option<i32>,
    /// How long a write is pursued through an unreachable or silent store before it is reported, in
    /// milliseconds.
    pub write_timeout_ms: u64,
    /// How many pages are fetched or stored at a time.
    pub parallel_transfers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memtable_budget_bytes: 64 << 20,
            cache_budget_bytes: 256 << 20,
            background: true,
            compression_level: None,
            write_timeout_ms: 30_000,
            parallel_transfers: 16,
        }
    }
}

impl Settings {
    pub(crate) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }
}
