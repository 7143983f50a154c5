//! Integration tests of the index core, one module per area.

mod codec;
mod equivalence;
mod expanding;
mod fixtures;
mod hostile;
mod language;
mod memory_index;
mod model;
mod pruning;
mod query;
mod rounds;
mod search_page;
