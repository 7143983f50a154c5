//! Tests of the program through its binary.

mod archives;
mod attack;
mod corpus;
mod following;
mod following_kills;
mod indexes;
mod indexing;
mod keys;
mod kill;
mod languages;
mod leak;
mod life;
mod names;
mod operating;
mod pins;
mod program;
mod readme;
mod recovery;
mod refusals;
mod secrets;
mod statuses;
mod store;
mod tree;
mod usage;
