//! Names of clients and branches, and values that were in the store.

use std::fmt;

use cim_ipld_backend::Key;

/// Names a client of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub(super) usize);

/// Names a branch of a store: what a group of clients sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchId(pub(super) usize);

impl ClientId {
    /// Names the client that was added `number`-th, counted from 0.
    #[must_use]
    pub const fn new(number: usize) -> Self {
        Self(number)
    }
}

impl BranchId {
    /// The branch that every client begins in.
    pub const MAIN: Self = Self(0);
}

/// A value that was put at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// The bucket that it was put into.
    pub bucket: String,
    /// The key that it was put under.
    pub key: Key,
    /// Its length.
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
