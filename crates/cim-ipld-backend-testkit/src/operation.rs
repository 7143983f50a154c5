use std::fmt;

use cim_ipld_backend::{Bucket, Key};

/// A call observed by a wrapper, numbered in call order.
///
/// ```
/// use cim_ipld_backend_testkit::{Fault, Operation, OperationKind};
///
/// /// Loses the acknowledgement of every write to one key.
/// fn lose_manifest(operation: &Operation) -> Option<Fault> {
///     let is_manifest = operation.key.as_ref().is_some_and(|key| key.as_str() == "manifest");
///     (operation.kind == OperationKind::Put && is_manifest).then_some(Fault::LostAfter)
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Operation {
    /// The number of earlier calls, in all buckets.
    pub number: u64,
    /// Which method was called.
    pub kind: OperationKind,
    /// The bucket it was called on.
    pub bucket: Bucket,
    /// The key of a read or write; `None` for the methods that take no single key.
    pub key: Option<Key>,
}

/// The methods of [`Backend`](cim_ipld_backend::Backend) that [`Counting`](crate::Counting) counts
/// and [`FaultInjecting`](crate::FaultInjecting) disturbs: all except `check_bucket` and `limits`.
///
/// ```
/// use cim_ipld_backend_testkit::OperationKind;
///
/// assert_eq!(OperationKind::Put.to_string(), "put");
/// ```
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
