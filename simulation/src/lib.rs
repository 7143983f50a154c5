//! The catalog protocol of cim-ipld, checked apart from the code that follows it.
//!
//! [`model`] is the protocol as an executable specification. `cargo test -p cim-ipld-simulation`
//! searches every state that it can reach within a number of actions; `cargo xtask model --full`
//! searches deeper and prints figures.
//!
//! [`store`] is a store that fails and lies as a seed says: the engine runs over it under a paused
//! clock, and a seed repeats a run exactly.

pub mod model;
pub mod simulator;
pub mod store;
