use std::fmt;

use bincode::{Decode, Encode};

/// The random id of a writer. A process takes a new one if the key of its next record is occupied
/// by another value, or if its record was ignored because the writer was closed or had already used
/// a sequence number at least as high. The id is part of the key of each of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub(crate) struct WriterId(pub(crate) u64);

impl WriterId {
    /// Parses the form that `Display` writes, or a number in hexadecimal.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
