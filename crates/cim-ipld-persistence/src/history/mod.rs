//! The order of an index: who wrote what, in which order, and what of the store's word is to be
//! believed.
//!
//! docs/protocol.md is the specification.

pub(crate) mod announced;
pub(crate) mod change;
pub(crate) mod follower;
pub(crate) mod journal;
pub(crate) mod manifest;
pub(crate) mod order;
mod outcome;
pub(crate) mod pin;
pub(crate) mod progress;
mod put;
pub(crate) mod records;
pub(crate) mod references;
pub(crate) mod remains;
pub(crate) mod root;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod submit;
pub(crate) mod turn;
pub(crate) mod update;
pub(crate) mod writer;
