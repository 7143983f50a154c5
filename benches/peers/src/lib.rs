//! The index core beside what a user would take instead: the same documents, words and questions
//! for each.

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
