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

/// What an acknowledged write survives, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing: the value lives in this process.
    Process,
    /// The death of this process and of the server's, but not a power failure of the machine that holds it.
    Crash,
    /// A power failure of the machine that holds it, too.
    PowerLoss,
}
