//! The order of all writes to an index, and how it is derived from a store that is not trusted.
//!
//! The specification is docs/protocol.md.

pub(crate) mod announced;
mod backpressure;
pub(crate) mod change;
pub(crate) mod follower;
pub(crate) mod journal;
pub(crate) mod manifest;
mod open_segment;
pub(crate) mod order;
mod outcome;
pub(crate) mod pin;
pub(crate) mod progress;
mod put;
pub(crate) mod reachable;
pub(crate) mod records;
pub(crate) mod references;
pub(crate) mod repair;
pub(crate) mod root;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod submit;
pub(crate) mod tail;
pub(crate) mod turn;
pub(crate) mod update;
pub(crate) mod writer;
