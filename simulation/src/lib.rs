//! Checks of the catalog protocol of cim-ipld, independent of its implementation and with it.
//!
//! [`model`] is the protocol as an executable specification. `cargo test -p cim-ipld-simulation`
//! searches every state within a number of actions; `cargo xtask model --full` searches deeper and
//! prints statistics.
//!
//! [`store`] is a store with seeded faults and lies. The engine runs over it with a paused clock,
//! and a seed reproduces a run exactly.

pub mod model;
pub mod simulator;
pub mod store;
