use crate::{Error, ErrorKind, Result};

/// The limits of a backend and the meaning of its acknowledgements.
///
/// ```
/// use cim_ipld_backend::{Backend, Durability, MemoryBackend};
///
/// let limits = MemoryBackend::new().limits();
/// assert!(limits.max_value_bytes >= 1 << 20);
/// assert!(limits.durability < Durability::Crash);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest value that [`put`](crate::Backend::put) accepts, in bytes.
    pub max_value_bytes: usize,
    /// The value size with the highest throughput, in bytes.
    pub preferred_value_bytes: usize,
    /// What an acknowledged write survives.
    pub durability: Durability,
}

impl Limits {
    /// Checks that the backend accepts values of `needed_bytes`.
    ///
    /// ```
    /// use cim_ipld_backend::{Backend, MemoryBackend};
    ///
    /// let limits = MemoryBackend::new().limits();
    /// limits.require(limits.max_value_bytes).unwrap();
    /// let refused = limits.require(limits.max_value_bytes + 1).unwrap_err();
    /// assert!(refused.to_string().contains("1048577 bytes are needed"));
    /// ```
    ///
    /// # Errors
    /// [`Incompatible`](ErrorKind::Incompatible) if the backend does not; the message contains both
    /// sizes.
    pub fn require(&self, needed_bytes: usize) -> Result<()> {
        let largest = self.max_value_bytes;
        if needed_bytes <= largest {
            return Ok(());
        }
        let message = format!(
            "values of {needed_bytes} bytes are needed, but the storage accepts at most {largest}: raise its limit by {} bytes",
            needed_bytes - largest
        );
        Err(Error::new(ErrorKind::Incompatible, message))
    }
}

/// What an acknowledged write survives, from least to most.
///
/// ```
/// use cim_ipld_backend::Durability;
///
/// assert!(Durability::Process < Durability::Crash && Durability::Crash < Durability::PowerLoss);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing: values are in the memory of this process.
    Process,
    /// A crash of this process or of the server, but not a power failure of the machine that stores
    /// the value.
    Crash,
    /// A crash, and a power failure of the machine that stores the value.
    PowerLoss,
}
