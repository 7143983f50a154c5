use std::fmt;

use cim_ipld_backend::{Bucket, Key};

/// One call that a wrapper saw, in the order the calls were made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Operation {
    /// How many calls came before this one, in all buckets.
    pub number: u64,
    /// Which method was called.
    pub kind: OperationKind,
    /// The bucket it was called on.
    pub bucket: Bucket,
    /// The key of a read or write; `None` for the methods that take no single key.
    pub key: Option<Key>,
}

/// The methods of [`Backend`](cim_ipld_backend::Backend) that reach the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OperationKind {
    /// `create`
    Create,
    /// `get`
    Get,
    /// `put`
    Put,
    /// `delete`
    Delete,
    /// `scan`
    Scan,
    /// `watch`
    Watch,
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Scan => "scan",
            Self::Watch => "watch",
        })
    }
}
