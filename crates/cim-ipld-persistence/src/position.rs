use std::fmt;

/// The position of a write in the order of all writes to an index, starting at 1. It is the same in
/// every process.
///
/// ```
/// use cim_ipld_persistence::Position;
///
/// assert!(Position::new(2) > Position::new(1));
/// assert_eq!(Position::new(7).to_string(), "#7");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Creates a position from its number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number of the position.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
