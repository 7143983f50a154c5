//! Examples of cim-ipld; each runs with `cargo run --example NAME`. What they share is here.

mod questions;
mod tree;

pub use questions::{Questions, SEARCHED_BYTES};
pub use tree::{Tree, TreeCounts, files_below};
