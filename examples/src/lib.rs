//! Examples of cim-ipld; each runs with `cargo run --example NAME`. What they share is here.

mod tree;

pub use tree::{Tree, TreeCounts, files_below};
