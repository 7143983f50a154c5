use std::time::Duration;

use cim_ipld_backend::Durability;

/// The settings of an [`EmbeddedBackend`](crate::EmbeddedBackend).
///
/// ```
/// use cim_ipld_backend::{Backend, Durability};
/// use cim_ipld_embedded::{EmbeddedBackend, EmbeddedSettings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("index");
/// let mut settings = EmbeddedSettings::default();
/// settings.durability = Durability::Crash;
/// settings.write_buffer_bytes = 8 << 20;
/// let backend = EmbeddedBackend::open_with(&path, settings).await?;
/// assert_eq!(backend.limits().durability, Durability::Crash);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbeddedSettings {
    /// What an acknowledged write survives. With `PowerLoss`, writes are synced before they are
    /// acknowledged; with `Crash`, the operating system syncs them later. `Process` is treated as
    /// `Crash`.
    pub durability: Durability,
    /// The size of the cache for blocks read from disk, in bytes.
    pub cache_bytes: u64,
    /// The maximum size in bytes of what is written but not yet in sorted tables, in all buckets
    /// together, plus one batch of writes. At half of it, the largest memtable is written to a
    /// table; writes wait while the limit is exceeded.
    pub write_buffer_bytes: u64,
    /// How long opening waits for another opener to close the store.
    pub lock_patience: Duration,
}

impl EmbeddedSettings {
    /// Returns default settings for a store that occupies about `memory_budget_bytes` of memory: a
    /// quarter for the cache and half for the write buffer. The rest is for the batch of writes in
    /// progress, which is held several times: by the caller, in the batch and in the journal's
    /// buffer.
    ///
    /// ```
    /// use cim_ipld_embedded::EmbeddedSettings;
    ///
    /// let settings = EmbeddedSettings::within(32 << 20);
    /// assert_eq!(settings, EmbeddedSettings::default());
    /// assert_eq!((settings.cache_bytes, settings.write_buffer_bytes), (8 << 20, 16 << 20));
    /// ```
    #[must_use]
    pub fn within(memory_budget_bytes: u64) -> Self {
        Self {
            durability: Durability::PowerLoss,
            cache_bytes: memory_budget_bytes / 4,
            write_buffer_bytes: memory_budget_bytes / 2,
            lock_patience: Duration::from_millis(300),
        }
    }

    /// Returns the size at which no more writes are added to a batch, in bytes.
    pub(crate) fn batch_bytes(&self) -> usize {
        const LARGEST: u64 = 8 << 20;
        const SMALLEST: u64 = 64 << 10;
        (self.write_buffer_bytes / 8).clamp(SMALLEST, LARGEST) as usize
    }
}

impl Default for EmbeddedSettings {
    /// Survives a power loss, occupies about 32 MiB, and waits 0.3 s for another opener, because a
    /// handle that was just dropped may take that long to release the lock.
    fn default() -> Self {
        Self::within(32 << 20)
    }
}
