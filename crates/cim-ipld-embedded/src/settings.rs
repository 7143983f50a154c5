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
/// settings.cache_bytes = 16 << 20;
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
    /// How long opening waits for another opener to close the store.
    pub lock_patience: Duration,
}

impl Default for EmbeddedSettings {
    /// Survives a power loss, caches 64 MiB, and waits 0.3 s for another opener, because a handle
    /// that was just dropped may take that long to release the lock.
    fn default() -> Self {
        Self { durability: Durability::PowerLoss, cache_bytes: 64 << 20, lock_patience: Duration::from_millis(300) }
    }
}
