//! The budget of a search for comparing positions.

use std::cell::Cell;
use std::rc::Rc;

use crate::error::{Error, ErrorKind, Result};

/// How many positions the phrases of one search may still compare. It bounds the time of a search
/// whose phrases are long or repeat frequent words.
#[derive(Debug, Clone)]
pub(super) struct PhraseBudget {
    limit: u64,
    left: Rc<Cell<u64>>,
}

impl PhraseBudget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, left: Rc::new(Cell::new(limit)) }
    }

    /// Charges for comparing `positions` positions.
    #[inline]
    pub(super) fn charge(&self, positions: usize) -> Result<()> {
        match self.left.get().checked_sub(positions as u64) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(self.exceeded()),
        }
    }

    #[cold]
    fn exceeded(&self) -> Error {
        let detail = format!(
            "the phrases of the query would compare more than {} positions: shorten them, or raise max_positions",
            self.limit
        );
        Error::new(ErrorKind::QueryTooExpensive, detail)
    }
}
