use std::time::Duration;

use cim_ipld_backend::Durability;

/// How an [`EmbeddedBackend`](crate::EmbeddedBackend) stores.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbeddedSettings {
    /// What an acknowledged write survives. `PowerLoss` syncs before it acknowledges; `Crash`
    /// leaves the syncing to the operating system; `Process` is taken as `Crash`.
    pub durability: Durability,
    /// Memory for blocks read from disk, in bytes.
    pub cache_bytes: u64,
    /// How long another opener of the folder is waited for.
    pub lock_patience: Duration,
}

impl Default for EmbeddedSettings {
    /// Survives a power loss; 64 MiB of cache; waits 0.3 s, which a handle that was just dropped
    /// may take to let go.
    fn default() -> Self {
        Self { durability: Durability::PowerLoss, cache_bytes: 64 << 20, lock_patience: Duration::from_millis(300) }
    }
}
