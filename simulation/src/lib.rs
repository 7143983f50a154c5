//! Tests of the catalog protocol of cim-ipld: an executable model of the protocol, and a simulator
//! that runs the engine itself.
//!
//! [`model`] is the protocol as an executable specification. `cargo test -p cim-ipld-simulation`
//! searches every state within a number of actions; `cargo xtask model --full` searches deeper and
//! prints statistics.
//!
//! [`store`] is a store with seeded faults and lies. [`simulator`] runs engines over it with a
//! paused clock and checks their behaviour. A seed reproduces a run exactly.

pub mod model;
pub mod simulator;
pub mod store;
