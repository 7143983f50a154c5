//! Integration tests of the index core, one module per area.

mod codec;
mod equivalence;
mod expanding;
mod expensive;
mod finding;
mod fixtures;
mod hostile;
mod language;
mod language_limits;
mod memory_index;
mod merging;
mod model;
mod pruning;
mod query;
mod ranking;
mod rounds;
mod search_page;
mod trials;
