//! The ids of clients and branches, and archived values.

use std::fmt;

use cim_ipld_backend::Key;

/// The id of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub(super) usize);

/// The id of a branch, which is the view of a group of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchId(pub(super) usize);

impl ClientId {
    /// Returns the id of the `number`-th client, counted from 0.
    #[must_use]
    pub const fn new(number: usize) -> Self {
        Self(number)
    }
}

impl BranchId {
    /// The branch in which every client starts.
    pub const MAIN: Self = Self(0);
}

/// A value that was once put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: Key,
    /// The length of the value in bytes.
    pub bytes: usize,
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

impl fmt::Display for BranchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "branch {}", self.0)
    }
}
