//! Revisions of values.

use std::fmt;

/// The position of a write in its bucket's total order. Zero precedes every write.
///
/// ```
/// use cim_ipld_backend::Revision;
///
/// let first = Revision::new(1);
/// assert!(Revision::ZERO < first && first.number() == 1);
/// assert_eq!(first.to_string(), "r1");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The position before the first write.
    pub const ZERO: Self = Self(0);

    /// Creates a revision from the backend's own number, which is at least 1 for a write.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the backend's own number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}
