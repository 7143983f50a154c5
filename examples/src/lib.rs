//! The shared code of the examples. Run an example with `cargo run --example NAME`.

mod questions;
mod tree;

pub use questions::{Questions, SEARCHED_BYTES};
pub use tree::{Tree, TreeCounts, files_below};
