//! The catalog protocol of cim-ipld, checked apart from the code that follows it.
//!
//! [`model`] is the protocol as an executable specification. `cargo test -p cim-ipld-simulation` searches every state
//! that it can reach within a number of actions; `cargo xtask model --full` searches deeper and prints figures.

pub mod model;
