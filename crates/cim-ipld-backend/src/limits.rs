use crate::{Error, ErrorKind, Result};

/// What a backend can hold and what its acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest value that [`put`](crate::Backend::put) takes, in bytes.
    pub max_value_bytes: usize,
    /// The value size at which the backend moves bytes fastest, in bytes.
    pub preferred_value_bytes: usize,
    /// What has survived by the time a write is acknowledged.
    pub durability: Durability,
}

impl Limits {
    /// Refuses a backend that does not take values of `needed_bytes`, before anything is made
    /// there.
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
    /// `Incompatible` with both numbers.
    pub fn require(&self, needed_bytes: usize) -> Result<()> {
        let largest = self.max_value_bytes;
        if needed_bytes <= largest {
            return Ok(());
        }
        let message = format!(
            "values of {needed_bytes} bytes are needed and the storage takes {largest} at most: raise its limit by {} bytes",
            needed_bytes - largest
        );
        Err(Error::new(ErrorKind::Incompatible, message))
    }
}

/// What an acknowledged write survives, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing: the value lives in this process.
    Process,
    /// The death of this process and of the server's, but not a power failure of the machine that
    /// holds it.
    Crash,
    /// A power failure of the machine that holds it, too.
    PowerLoss,
}
