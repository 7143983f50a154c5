//! What a search may cost: its limits, the meter that counts its work, and its cancellation.

pub(crate) mod limits;
pub(crate) mod meter;
