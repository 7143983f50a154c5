//! Compares the index core with the alternatives that a user might choose, on the same documents,
//! words and queries.

pub mod args;
pub mod corpus;
pub mod differential;
pub mod draw;
pub mod expanded;
pub mod machine;
pub mod markdown;
pub mod measure;
pub mod ours;
pub mod queries;
pub mod report;
pub mod searches;
pub mod sizes;
#[cfg(feature = "sqlite")]
pub mod sqlite_peer;
pub mod tantivy_peer;
pub mod tokens;
pub mod writes;
